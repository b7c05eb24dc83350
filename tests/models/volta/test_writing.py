from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor
from transformers import AutoTokenizer

from iglue_plugins.models.uniter import MODELS, UniterForVisionAndLanguage
from iglue_plugins.models.volta.heads import NO_HEAD
from iglue_plugins.models.volta.reading import from_volta, import_checkpoint
from iglue_plugins.models.volta.writing import export_checkpoint
from iglue_plugins.utils.errors import UserError

PARITY = Path(__file__).parents[3].parent / "shared" / "parity"
Weights = dict[str, Tensor]
Save = Callable[..., tuple[Path, Path]]


def read(folder: Path) -> Weights:
    return torch.load(folder / "pytorch_model.bin", weights_only=True)


@pytest.mark.parametrize("kind", MODELS)
def test_imported_and_exported_is_the_same(kind: str, save: Save, weights: Weights, tmp_path: Path) -> None:
    import_checkpoint(*save(weights), tmp_path / "ours")
    assert export_checkpoint(tmp_path / "ours", tmp_path / "theirs") == "TASK19"
    assert {file.name for file in (tmp_path / "theirs").iterdir()} == {"config.json", "pytorch_model.bin"}
    exported = read(tmp_path / "theirs")
    assert exported.keys() == weights.keys()
    assert all(torch.equal(exported[name], value) for name, value in weights.items())
    stored = {value.untyped_storage().data_ptr(): value.untyped_storage().nbytes() for value in exported.values()}
    assert len(stored) == len({value.data_ptr() for value in weights.values()}), "shared weights take room once"
    assert sum(stored.values()) == 4 * sum({value.data_ptr(): value.numel() for value in weights.values()}.values())


def test_exported_and_imported_is_the_same(
    member: UniterForVisionAndLanguage, tmp_path: Path, save_tokenizer: Callable
) -> None:
    """The contrastive projections and the tokenizer are included."""
    ours, theirs, back = (tmp_path / name for name in ("ours", "theirs", "back"))
    member.save_pretrained(ours)
    save_tokenizer(ours, padding="<s>" if member.config.pad_token_id == 0 else "<pad>")
    export_checkpoint(ours, theirs)
    assert {file.name for file in theirs.iterdir()} == {
        "config.json", "pytorch_model.bin", "contrastive.safetensors", "tokenizer"
    }  # fmt: skip
    import_checkpoint(theirs / "config.json", theirs / "pytorch_model.bin", back)
    assert (back / "model.safetensors").read_bytes() == (ours / "model.safetensors").read_bytes()
    assert (back / "config.json").read_text() == (ours / "config.json").read_text()
    vocabularies = [AutoTokenizer.from_pretrained(folder).get_vocab() for folder in (ours, back)]
    assert vocabularies[0] == vocabularies[1]


@pytest.mark.parametrize("head", [("vqa", 5), ("image_pair", 2), ("image_text_matching", 1)])
def test_heads(model: UniterForVisionAndLanguage, tmp_path: Path, head: tuple[str, int]) -> None:
    model.set_head(*head)
    model.save_pretrained(tmp_path / "ours")
    named = export_checkpoint(tmp_path / "ours", tmp_path / "theirs")
    assert named == {"vqa": "TASK15", "image_pair": "TASK12", "image_text_matching": "TASK8"}[head[0]]
    back = from_volta(tmp_path / "theirs" / "config.json", tmp_path / "theirs" / "pytorch_model.bin", named)
    assert (back.config.head, back.config.num_labels) == head
    for name, value in model.state_dict().items():
        assert torch.equal(back.state_dict()[name], value), name


def test_without_head_and_for_another_task(model: UniterForVisionAndLanguage, tmp_path: Path) -> None:
    model.save_pretrained(tmp_path / "ours")
    assert export_checkpoint(tmp_path / "ours", tmp_path / "theirs", "18") == "TASK18"
    assert torch.equal(read(tmp_path / "theirs")["clfs_dict.TASK18.weight"], model.head.weight)
    model.config.head, model.head = None, None
    model.save_pretrained(tmp_path / "headless")
    assert export_checkpoint(tmp_path / "headless", tmp_path / "encoder") is None
    assert {name.split(".")[0] for name in read(tmp_path / "encoder")} == {"bert"}
    with pytest.raises(UserError, match="headless: the model has no head, so --task TASK18"):
        export_checkpoint(tmp_path / "headless", tmp_path / "other", "TASK18")


def test_a_context_is_left_out(member: UniterForVisionAndLanguage, tmp_path: Path) -> None:
    """At test time it is zero, and VOLTA's models have none."""
    member.save_pretrained(tmp_path / "without")
    member.set_context(4)
    member.save_pretrained(tmp_path / "with")
    for name in ("without", "with"):
        export_checkpoint(tmp_path / name, tmp_path / f"{name} as VOLTA's")
    expected, found = (read(tmp_path / f"{name} as VOLTA's") for name in ("without", "with"))
    assert expected.keys() == found.keys() and all(found[name].equal(value) for name, value in expected.items())
    configs = [(tmp_path / f"{name} as VOLTA's" / "config.json").read_text() for name in ("without", "with")]
    assert configs[0] == configs[1]


def test_a_run(model: UniterForVisionAndLanguage, tmp_path: Path) -> None:
    model.save_pretrained(tmp_path / "run" / "model")
    assert export_checkpoint(tmp_path / "run", tmp_path / "theirs") == "TASK19"
    assert json.loads((tmp_path / "theirs" / "config.json").read_text())["vocab_size"] == 61


def test_sources_that_cannot_be_exported(model: UniterForVisionAndLanguage, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="absent: holds neither a run nor a checkpoint"):
        export_checkpoint(tmp_path / "absent", tmp_path / "out")
    (tmp_path / "bert").mkdir()
    (tmp_path / "bert" / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(UserError, match="bert: holds a model of type 'bert', not one of xuniter, uc2, muniter"):
        export_checkpoint(tmp_path / "bert", tmp_path / "out")
    model.save_pretrained(tmp_path / "ours")
    for task in ("nli", "", "TASK"):
        with pytest.raises(UserError, match=f"--task: '{task}' is not the number of a task"):
            export_checkpoint(tmp_path / "ours", tmp_path / "out", task)
    whole = (tmp_path / "ours" / "model.safetensors").read_bytes()
    (tmp_path / "ours" / "model.safetensors").write_bytes(whole[:100])
    with pytest.raises(UserError, match="model.safetensors: cannot be read"):
        export_checkpoint(tmp_path / "ours", tmp_path / "out")
    (tmp_path / "ours" / "model.safetensors").unlink()
    with pytest.raises(UserError, match="model.safetensors: cannot be read"):
        export_checkpoint(tmp_path / "ours", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_hidden_layers": 1}, "model.safetensors: .*left over.*: encoder.layers.1.attention_norm.bias, "),
        ({"num_hidden_layers": 3}, "model.safetensors: .*missing.*: encoder.layers.2.attention_norm.bias, "),
        ({"pooler_size": 9}, "model.safetensors: .*another shape.*: encoder.region_pooler.bias, .*head.weight"),
        ({"head": "vqa"}, "head.0.bias, .*, head.weight"),
        ({"id2label": 3}, "ours: holds neither a run nor a checkpoint"),
    ],
)
def test_weights_of_another_configuration(
    model: UniterForVisionAndLanguage, tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    model.save_pretrained(tmp_path / "ours")
    config = tmp_path / "ours" / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | changes))
    with pytest.raises(UserError, match=message):
        export_checkpoint(tmp_path / "ours", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(not PARITY.is_dir(), reason=f"no weights of VOLTA in {PARITY}")
@pytest.mark.parametrize("kind", MODELS)
def test_exports_of_the_references_have_their_names_and_values(kind: str, tmp_path: Path) -> None:
    expected = read(PARITY / kind)
    found: Weights = {}
    for task in ("TASK8", "TASK12", "TASK15", "TASK19", NO_HEAD):
        files = (PARITY / kind / "config.json", PARITY / kind / "pytorch_model.bin")
        import_checkpoint(*files, tmp_path / f"{task}-ours", task)
        assert export_checkpoint(tmp_path / f"{task}-ours", tmp_path / task) == (None if task == NO_HEAD else task)
        found |= read(tmp_path / task)
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], value) for name, value in expected.items())
