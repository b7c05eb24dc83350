from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor

from iglue_plugins.errors import UserError
from iglue_plugins.models.volta import from_volta

LINEAR = {
    "embeddings.image_embeddings": (8, 6), "embeddings.image_location_embeddings": (8, 5),
    "encoder.layer.0.attention_self.query": (8, 8), "encoder.layer.0.attention_self.key": (8, 8),
    "encoder.layer.0.attention_self.value": (8, 8), "encoder.layer.0.attention_output.dense": (8, 8),
    "encoder.layer.1.intermediate.dense": (12, 8), "encoder.layer.1.output.dense": (8, 12),
    "t_pooler.dense": (10, 8), "v_pooler.dense": (10, 8),
}  # fmt: skip
NORMS = (
    "embeddings.LayerNorm", "embeddings.image_layer_norm", "embeddings.image_location_layer_norm",
    "embeddings.v_LayerNorm", "encoder.layer.0.attention_output.LayerNorm", "encoder.layer.1.output.LayerNorm",
)  # fmt: skip
EMBEDDINGS = {"word": 20, "position": 12, "token_type": 1, "image_token_type": 1}
SETTINGS = {
    "vocab_size": 20, "hidden_size": 8, "num_attention_heads": 2, "intermediate_size": 12, "pooler_size": 10,
    "max_position_embeddings": 12, "type_vocab_size": 1, "pad_token_id": 1, "v_feature_size": 6, "num_locs": 5,
    "hidden_dropout_prob": 0.1, "attention_probs_dropout_prob": 0.1, "initializer_range": 0.02, "clf_hidden_size": 16,
    "image_embeddings": "uniter", "model": "roberta", "fusion_method": "mul", "hidden_act": "gelu",
    "tt_attn_sublayers": [0], "t_ff_sublayers": [1], "shared_sublayers": [0, 1],
}  # fmt: skip


def volta_weights() -> dict[str, Tensor]:
    """Weights of a one-layer xUNITER as VOLTA saves them, shared ones under two names."""
    weights = {f"bert.embeddings.{name}_embeddings.weight": torch.randn(rows, 8) for name, rows in EMBEDDINGS.items()}
    for name, shape in LINEAR.items():
        weights |= {f"bert.{name}.weight": torch.randn(shape), f"bert.{name}.bias": torch.randn(shape[0])}
    for name in NORMS:
        weights |= {f"bert.{name}.weight": torch.randn(8), f"bert.{name}.bias": torch.randn(8)}
    for name in [name for name in weights if ".layer." in name]:
        first, module, kind = name.rsplit(".", 2)
        weights[f"{first}.v_{module}.{kind}"] = weights[name]
    weights |= {"clfs_dict.TASK19.weight": torch.randn(3, 10), "clfs_dict.TASK19.bias": torch.randn(3)}
    return weights | {"cls.predictions.bias": torch.randn(20)}


def save(folder: Path, weights: dict[str, Tensor], **settings: object) -> tuple[Path, Path]:
    (folder / "config.json").write_text(json.dumps(SETTINGS | settings))
    torch.save(weights, folder / "pytorch_model.bin")
    return folder / "config.json", folder / "pytorch_model.bin"


def test_reads_with_and_without_head_and_data_parallel_prefix(tmp_path: Path) -> None:
    weights = volta_weights()
    model = from_volta(*save(tmp_path, {f"module.{name}": value for name, value in weights.items()}), head="TASK19")
    assert (model.config.head, model.config.num_labels, model.config.num_hidden_layers) == ("classifier", 3, 1)
    assert torch.equal(model.head.bias, weights["clfs_dict.TASK19.bias"])
    merged = model.encoder.layers[0].query_key_value.bias
    assert torch.equal(merged[8:16], weights["bert.encoder.layer.0.attention_self.key.bias"])
    assert from_volta(*save(tmp_path, weights)).head is None


def test_epsilon_of_the_embeddings(tmp_path: Path) -> None:
    config = from_volta(*save(tmp_path, volta_weights(), layer_norm_eps=1e-5)).config
    assert (config.embedding_layer_norm_eps, config.layer_norm_eps) == (1e-5, 1e-12)


def test_all_weights_that_do_not_fit_are_listed(tmp_path: Path) -> None:
    weights = volta_weights()
    del weights["bert.t_pooler.dense.bias"]
    weights["bert.odd.weight"] = torch.zeros(1)
    with pytest.raises(UserError) as caught:
        from_volta(*save(tmp_path, weights, v_feature_size=7))
    assert "lacks encoder.text_pooler.bias; has bert.odd.weight, which no part of the model takes" in str(caught.value)
    assert "has encoder.region_embeddings.image_embeddings.weight of shape (8, 6) where (8, 7)" in str(caught.value)


def test_a_missing_query_is_reported(tmp_path: Path) -> None:
    weights = volta_weights()
    del weights["bert.encoder.layer.0.attention_self.query.weight"]
    with pytest.raises(UserError, match="lacks encoder.layers.0.query_key_value.weight; has bert.*self.key.weight"):
        from_volta(*save(tmp_path, weights))


def test_unknown_head(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="has no head 'TASK9'; did you mean 'TASK19'"):
        from_volta(*save(tmp_path, volta_weights()), head="TASK9")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"image_embeddings": "uc2"}, "config.json has image_embeddings 'uc2'; expected 'uniter'"),
        ({"fusion_method": "text"}, "config.json has fusion_method 'text'; expected 'mul'"),
        ({"shared_sublayers": [0]}, "config.json has sublayers that text and regions do not share"),
    ],
)
def test_other_architectures(tmp_path: Path, settings: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        from_volta(*save(tmp_path, volta_weights(), **settings))


def test_settings_that_lack_or_do_not_fit(tmp_path: Path) -> None:
    config, weights = save(tmp_path, volta_weights(), num_attention_heads=3)
    with pytest.raises(UserError, match="config.json describes no xUNITER: hidden_size is 8; expected a multiple"):
        from_volta(config, weights)
    absent = ("num_locs", "t_ff_sublayers")
    config.write_text(json.dumps({key: value for key, value in SETTINGS.items() if key not in absent}))
    with pytest.raises(UserError, match="config.json lacks num_locs, t_ff_sublayers; expected the keys of"):
        from_volta(config, weights)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    config, weights = save(tmp_path, volta_weights())
    with pytest.raises(UserError, match="absent.json cannot be read as a VOLTA model configuration"):
        from_volta(tmp_path / "absent.json", weights)
    with pytest.raises(UserError, match="config.json cannot be read as PyTorch weights"):
        from_volta(config, config)
