from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from iglue_plugins.models.configuration import MUniterConfig, UC2Config, UniterConfig, XUniterConfig
from iglue_plugins.models.uniter import MODELS
from iglue_plugins.models.volta.settings import DEFAULTS, read_config, volta_settings
from iglue_plugins.utils.errors import UserError

VOLTA = Path(__file__).parents[3].parent / "shared" / "iglue" / "volta" / "config"
OURS = {
    "ctrl_xuniter_base.json": XUniterConfig(),
    "uc2_base.json": UC2Config(),
    "ctrl_muniter_base.json": MUniterConfig(),
    "ctrl_uniter_base.json": MUniterConfig(vocab_size=30522),
}
OTHERS = {
    "ctrl_lxmert_base.json": "lxmert", "ctrl_vilbert_base.json": "vilbert", "ctrl_visualbert_base.json": "visualbert",
    "ctrl_vl-bert_base.json": "vl-bert", "lxmert.json": "lxmert", "m3p_base.json": "m3p",
    "vilbert_base.json": "vilbert", "vl-bert_base.json": "vl-bert",
}  # fmt: skip
in_volta = pytest.mark.skipif(not VOLTA.is_dir(), reason=f"no configurations of VOLTA in {VOLTA}")


@pytest.fixture
def read(tmp_path: Path, settings: dict[str, Any]) -> Any:
    """Returns a function that reads the configuration with changes; a key that becomes ... is removed."""

    def changed(**changes: Any) -> UniterConfig:
        path = tmp_path / "model.json"
        data = settings | changes
        path.write_text(json.dumps({key: value for key, value in data.items() if value is not ...}))
        return read_config(path)

    return changed


@in_volta
@pytest.mark.parametrize("file", OURS)
def test_the_members_are_what_volta_says(file: str) -> None:
    found = read_config(VOLTA / file)
    assert type(found) is type(OURS[file])
    assert found.to_dict() == OURS[file].to_dict()


@in_volta
@pytest.mark.parametrize("file", OTHERS)
def test_the_other_models_of_volta_are_refused(file: str) -> None:
    with pytest.raises(UserError, match=f"{file}: image_embeddings is '{OTHERS[file]}'; expected 'uc2' or 'uniter'"):
        read_config(VOLTA / file)


@in_volta
def test_no_configuration_of_volta_is_left_out() -> None:
    assert {path.name for path in VOLTA.glob("*.json")} == OURS.keys() | OTHERS.keys()


@in_volta
@pytest.mark.parametrize("file", OURS)
def test_written_as_volta_writes_them(file: str) -> None:
    expected = json.loads((VOLTA / file).read_text())
    written = volta_settings(OURS[file])
    assert expected.keys() <= written.keys()
    differing = {key for key in written if written[key] != (DEFAULTS | expected)[key]}
    assert differing == ({"v_pooler_size"} if file == "uc2_base.json" else set()), "UC2 has no such pooler"


@pytest.mark.parametrize("kind", MODELS)
def test_there_and_back(kind: str, read: Any, tmp_path: Path) -> None:
    config = read(hidden_dropout_prob=0.3, initializer_range=0.05)
    assert config.model_type == kind
    (tmp_path / "back.json").write_text(json.dumps(volta_settings(config)))
    assert read_config(tmp_path / "back.json").to_dict() == config.to_dict()


def test_keys_that_are_left_out_have_the_defaults_of_volta(read: Any) -> None:
    config = read(pad_token_id=..., v_feature_size=..., model=..., type_vocab_size=..., num_locs=...)
    assert isinstance(config, MUniterConfig)
    assert (config.pad_token_id, config.region_feature_size, config.type_vocab_size) == (0, 2048, 2)


def test_keys_of_no_effect(read: Any) -> None:
    assert read(visual_target_weights={"3": 6.667}, objective=2, single_ln_sublayers=[]).to_dict() == read().to_dict()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image_embeddings": "uc2", "model": "bert"}, "model is 'bert'; expected 'roberta'"),
        ({"model": "t5"}, "model is 't5'; expected 'bert' or 'roberta'"),
        ({"fusion_method": "sum"}, "fusion_method is 'sum'; expected 'mul' or 'text'"),
        ({"num_locs": 4}, "num_locs is 4; expected 5 or 7"),
        ({"add_global_imgfeat": "last"}, "add_global_imgfeat is 'last'; expected 'first' or None"),
        ({"hidden_act": "swish"}, "hidden_act is 'swish'; expected 'gelu'"),
        ({"fusion_act": "tanh"}, "fusion_act is 'tanh'; expected 'relu'"),
        ({"v_hidden_size": 1024}, "v_hidden_size is 1024; expected 8"),
        ({"v_hidden_size": ...}, "v_hidden_size is 768; expected 8"),
        ({"v_pooler_size": 12}, "v_pooler_size is 12; expected 10"),
        ({"fixed_layers": ["bert.embeddings"]}, r"fixed_layers is \['bert.embeddings'\]; expected \[\]"),
        ({"sublayer2attn_hidden_size": {"0": 16}}, "sublayer2attn_hidden_size is {'0': 16}; expected {}"),
        ({"shared_sublayers": [0]}, r"shared_sublayers is \[0\]; expected \[0, 1\]"),
        ({"vt_attn_sublayers": []}, r"vt_attn_sublayers is \[\]; expected \[0\]"),
        ({"t_ff_sublayers": ...}, r"t_ff_sublayers is None; expected \[1\]"),
        ({"tt_attn_sublayers": ...}, r"tt_attn_sublayers is None; expected a list .* \[0, 2, 4\]"),
        ({"tt_attn_sublayers": 1}, "tt_attn_sublayers is 1; expected a list"),
        ({"vv_attn_sublayers": [0, "2"]}, r"vv_attn_sublayers is \[0, '2'\]; expected \[0\]"),
        ({"hidden_size": "big"}, "hidden_size is 'big'; expected a whole number"),
        ({"initializer_range": "small"}, "initializer_range is 'small'; expected a number"),
        ({"pooler_sise": 10}, ".* no key 'pooler_sise'; did you mean 'pooler_size'"),
        ({"num_attention_heads": 3, "v_num_attention_heads": 3}, "hidden_size is 8; expected a multiple of"),
        ({"vocab_size": ...}, "has no vocab_size; .*uc2_base.json"),
    ],
)
def test_configurations_of_other_models_are_refused(read: Any, changes: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=f"model.json: {message}"):
        read(**changes)


def test_sublayers_in_another_order(read: Any) -> None:
    """Two attention sublayers and then two feed-forward ones are as many sublayers, but another model."""
    attention = {f"{pair}_attn_sublayers": [0, 1] for pair in ("tt", "tv", "vt", "vv")}
    with pytest.raises(UserError, match=r"tt_attn_sublayers is \[0, 1\]; expected \[0, 2\]"):
        read(**attention, t_ff_sublayers=[2, 3], v_ff_sublayers=[2, 3], shared_sublayers=[0, 1, 2, 3])


def test_files_that_are_no_configuration(tmp_path: Path) -> None:
    for content in ("{", "[1]", '"text"'):
        (tmp_path / "model.json").write_text(content)
        with pytest.raises(UserError, match="model.json: .* give a VOLTA model configuration"):
            read_config(tmp_path / "model.json")
    with pytest.raises(UserError, match="absent.json: cannot be read"):
        read_config(tmp_path / "absent.json")


def test_a_design_that_volta_lacks_cannot_be_exported() -> None:
    with pytest.raises(UserError, match="position_ids 'bert' and shared_type_embeddings False: VOLTA has no model"):
        volta_settings(XUniterConfig(position_ids="bert"))
