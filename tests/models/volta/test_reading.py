from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from iglue_plugins.models.uniter import MODELS
from iglue_plugins.models.volta.heads import NO_HEAD
from iglue_plugins.models.volta.reading import from_volta, import_checkpoint, volta_files
from iglue_plugins.utils.errors import UserError

Weights = dict[str, Tensor]
Save = Callable[..., tuple[Path, Path]]
LAYER = "bert.encoder.layer.0.attention_self"


class RunsCode:
    """An object whose unpickling would make a folder."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("executed",)


@pytest.mark.parametrize("kind", MODELS)
def test_every_weight_is_read(kind: str, save: Save, weights: Weights) -> None:
    model = from_volta(*save(weights))
    assert model.config.model_type == kind and not model.training
    assert (model.config.head, model.config.num_labels, model.config.num_hidden_layers) == ("classifier", 3, 1)
    stored = {value.data_ptr(): value for value in weights.values()}
    read = sum(value.numel() for name, value in model.named_parameters() if not name.startswith("contrastive."))
    assert read == sum(value.numel() for value in stored.values())
    merged = model.encoder.layers[0].query_key_value.weight
    for rows, part in zip(merged.split(8), ("query", "key", "value"), strict=True):
        assert torch.equal(rows, weights[f"{LAYER}.{part}.weight"])
    assert torch.equal(model.head.bias, weights["clfs_dict.TASK19.bias"])


def test_pretrained(save: Save, weights: Weights) -> None:
    for name in ("weight", "bias"):
        del weights[f"clfs_dict.TASK19.{name}"]
    pretraining = {"cls.predictions.bias": torch.randn(20), "cls.bi_seq_relationship.weight": torch.randn(2, 10)}
    assert from_volta(*save(weights | pretraining)).head is None


@pytest.mark.parametrize("kind", MODELS)
def test_a_shared_weight_may_be_stored_twice_or_under_either_name(kind: str, save: Save, weights: Weights) -> None:
    twice = {name: value.clone() for name, value in weights.items()}
    second = {name for name in weights if name.rsplit(".", 2)[-2].startswith("v_") and "LayerNorm" not in name}
    first = {name.replace(".v_", ".") for name in second}
    expected = from_volta(*save(weights)).state_dict()
    for left_out in (set(), second, first):
        kept = {name: value for name, value in twice.items() if name not in left_out}
        found = from_volta(*save(kept)).state_dict()
        same = [name for name in expected if not name.startswith("contrastive.")]
        assert all(torch.equal(found[name], expected[name]) for name in same)
    assert len(second) >= 12


def test_data_parallel_prefix_and_half_precision(save: Save, weights: Weights) -> None:
    prefixed = {f"module.{name}": value.half() for name, value in weights.items()}
    model = from_volta(*save(prefixed))
    assert {value.dtype for value in model.parameters()} == {torch.float32}
    assert torch.equal(model.head.bias, weights["clfs_dict.TASK19.bias"].half().float())


@pytest.mark.parametrize(
    "prefix",
    ["_orig_mod.", "module.module.", "module._orig_mod.", "_orig_mod.module.", "_fsdp_wrapped_module._orig_mod."],
)
def test_what_wrappers_add_to_names_is_taken_off(save: Save, weights: Weights, prefix: str) -> None:
    model = from_volta(*save({f"{prefix}{name}": value for name, value in weights.items()}), "TASK19")
    assert torch.equal(model.head.bias, weights["clfs_dict.TASK19.bias"])
    inside = {name.replace("bert.", f"bert.{prefix}"): value for name, value in weights.items()}
    expected = from_volta(*save(weights)).state_dict()
    found = from_volta(*save(inside)).state_dict()
    assert all(torch.equal(found[name], value) for name, value in expected.items() if "contrastive" not in name)


def test_a_name_of_another_wrapper_is_shown(save: Save, weights: Weights) -> None:
    with pytest.raises(UserError, match=r"has no head TASK19; its weights have names such as 'net\.bert\."):
        from_volta(*save({f"net.{name}": value for name, value in weights.items()}), "TASK19")


def test_a_weight_with_and_without_a_prefix_is_ambiguous(save: Save, weights: Weights) -> None:
    bias = {"module.clfs_dict.TASK19.bias": torch.zeros(3)}
    with pytest.raises(UserError, match=r"holds clfs_dict\.TASK19\.bias twice, once as module\.clfs_dict"):
        from_volta(*save(weights | bias))


@pytest.mark.filterwarnings("ignore")  # PyTorch warns that sparse and quantized tensors may change or go
@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: torch.eye(8).to_sparse(), r"sparse \(torch.sparse_coo\)"),
        (lambda: torch.eye(8).to_sparse_csr(), r"sparse \(torch.sparse_csr\)"),
        (lambda: torch.eye(8, device="meta"), "without its values"),
        (lambda: torch.quantize_per_tensor(torch.eye(8), 0.1, 0, torch.qint8), r"quantized \(torch.qint8\)"),
        (lambda: torch.zeros(1).expand(10**6, 10**6), "expanded from fewer values"),
    ],
)
def test_a_tensor_that_is_not_dense_is_named(
    save: Save, weights: Weights, make: Callable[[], Tensor], reason: str
) -> None:
    config, path = save(weights)
    torch.save(weights | {f"{LAYER}.query.weight": make()}, path)
    with pytest.raises(UserError, match=rf"pytorch_model.bin: .*query.weight.* {reason}"):
        from_volta(config, path)


@pytest.mark.parametrize(
    ("head", "outputs", "width"),
    [("classifier", 3, 16), ("image_text_matching", 1, 16), ("vqa", 5, 14), ("image_pair", 5, 14)],
)
def test_the_head_is_as_large_as_in_the_file(
    save: Save, weights: Weights, add_head: Callable[[str, str], Weights], head: str, outputs: int, width: int
) -> None:
    config = from_volta(*save(weights | add_head("TASK7", head)), "7").config
    assert (config.head, config.num_labels, config.classifier_hidden_size) == (head, outputs, width)


def test_the_task_chooses_the_head(save: Save, weights: Weights, add_head: Callable[[str, str], Weights]) -> None:
    files = save(weights | add_head("TASK8", "image_text_matching"))
    assert from_volta(*files, NO_HEAD).head is None
    assert from_volta(*files, "TASK8").config.head == from_volta(*files, "8").config.head == "image_text_matching"
    with pytest.raises(UserError, match="has the heads TASK19, TASK8; .*--task.*'none'"):
        from_volta(*files)
    with pytest.raises(UserError, match="has no head TASK9; did you mean 'TASK19'"):
        from_volta(*files, "TASK9")
    odd = save(weights | {"clfs_dict.TASK4.0.weight": torch.zeros(2, 2)})
    with pytest.raises(UserError, match="the head TASK4 is of an unknown kind"):
        from_volta(*odd, "TASK4")


def test_all_weights_that_do_not_fit_are_listed(save: Save, weights: Weights) -> None:
    del weights["bert.t_pooler.dense.bias"]
    del weights[f"{LAYER}.query.weight"], weights[f"{LAYER}.v_query.weight"]
    weights["bert.odd.weight"] = torch.zeros(1)
    weights[f"{LAYER}.v_value.weight"] = weights[f"{LAYER}.v_value.weight"] + 1
    weights["bert.v_pooler.dense.bias"] = torch.full((10,), torch.nan)
    weights["bert.v_pooler.dense.weight"] = torch.ones(10, 8, dtype=torch.long)
    with pytest.raises(UserError) as caught:
        from_volta(*save(weights, v_feature_size=7))
    problems = str(caught.value).split("does not fit the configuration: it ")[1].split("; ")
    assert sorted(problems) == sorted([
        "lacks bert.t_pooler.dense.bias",
        f"lacks {LAYER}.query.weight",
        "has bert.embeddings.image_embeddings.weight of shape (8, 6) where (8, 7) is expected",
        f"has {LAYER}.value.weight and {LAYER}.v_value.weight with different values, though they are one weight",
        "has bert.v_pooler.dense.bias with values that are not finite numbers",
        "has bert.v_pooler.dense.weight with values that are not finite numbers",
        "has bert.odd.weight, which no part of the model takes",
    ])  # fmt: skip


def test_a_head_of_another_width_does_not_fit(save: Save, weights: Weights) -> None:
    weights["clfs_dict.TASK19.weight"] = torch.zeros(3, 9)
    with pytest.raises(UserError, match=r"has clfs_dict.TASK19.weight of shape \(3, 9\) where \(3, 10\) is expected"):
        from_volta(*save(weights))


def test_code_is_not_executed(save: Save, weights: Weights, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="pytorch_model.bin: .* posix.mkdir, which is code"):
        from_volta(*save({**weights, "tb_logger": RunsCode()}))
    assert not Path("executed").exists()


def test_a_plain_pickle_is_refused_without_warnings(save: Save, weights: Weights, tmp_path: Path) -> None:
    """PyTorch would warn of the protocol that Python writes by default."""
    config, path = save(weights)
    path.write_bytes(pickle.dumps(RunsCode()))
    with pytest.raises(UserError, match="pytorch_model.bin: .* cut off, damaged or of another kind"):
        from_volta(config, path)


@pytest.mark.parametrize("is_zip", [True, False])
def test_a_file_that_is_cut_off(save: Save, weights: Weights, is_zip: bool) -> None:
    config, path = save(weights)
    torch.save(weights, path, _use_new_zipfile_serialization=is_zip)
    from_volta(config, path)
    whole = path.read_bytes()
    for size in [*range(0, len(whole), len(whole) // 60), len(whole) - 1]:
        path.write_bytes(whole[:size])
        with pytest.raises(UserError, match="pytorch_model.bin: .* PyTorch weights"):
            from_volta(config, path)


def test_files_of_something_else(save: Save, weights: Weights) -> None:
    with pytest.raises(UserError, match="holds a Tensor; give a state dict"):
        from_volta(*save(torch.zeros(3)))
    with pytest.raises(UserError, match="holds a dict under 'model_state_dict'; give a state dict"):
        from_volta(*save({"model_state_dict": weights, "epoch_id": 3}))
    with pytest.raises(UserError, match="holds a Tensor under 0; give a state dict"):
        from_volta(*save({0: torch.zeros(3)}))
    config, path = save(weights)
    with pytest.raises(UserError, match="config.json: .* cut off, damaged"):
        from_volta(config, config)
    with pytest.raises(UserError, match=r"absent.bin: cannot be read \(No such file"):
        from_volta(config, path.with_name("absent.bin"))


@pytest.mark.parametrize("kind", MODELS)
def test_contrastive_projections_beside_the_weights(kind: str, save: Save, weights: Weights) -> None:
    image = 8 if kind == "uc2" else 10
    beside = {"text.weight": torch.randn(7, 10), "text.bias": torch.randn(7),
              "image.weight": torch.randn(7, image), "image.bias": torch.randn(7)}  # fmt: skip
    config, path = save(weights)
    save_file(beside, path.parent / "contrastive.safetensors")
    model = from_volta(config, path)
    assert model.config.contrastive_size == 7
    assert {name: value.tolist() for name, value in model.contrastive.state_dict().items()} == {
        name: value.tolist() for name, value in beside.items()
    }
    assert [file.name for file in volta_files(path)] == [path.name, "config.json", "contrastive.safetensors"]
    save_file({**beside, "image.weight": torch.randn(7, 3)}, path.parent / "contrastive.safetensors")
    with pytest.raises(UserError, match=r"contrastive.safetensors: .*\(7, 3\).* but the model's are"):
        from_volta(config, path)
    save_file({name: value[:0] for name, value in beside.items()}, path.parent / "contrastive.safetensors")
    with pytest.raises(UserError, match=r"contrastive.safetensors: .*\(0,\).* but the model's are"):
        from_volta(config, path)
    (path.parent / "contrastive.safetensors").write_bytes(b"nothing")
    with pytest.raises(UserError, match="contrastive.safetensors: cannot be read"):
        from_volta(config, path)


@pytest.mark.parametrize("kind", MODELS)
def test_import(kind: str, save: Save, weights: Weights, tmp_path: Path, save_tokenizer: Callable) -> None:
    config, path = save(weights)
    save_tokenizer(tmp_path / "words", 20, "<s>" if kind == "muniter" else "<pad>")
    made = import_checkpoint(config, path, tmp_path / "made", tokenizer=str(tmp_path / "words"))
    assert {file.name for file in (tmp_path / "made").iterdir()} == {
        "config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"
    }  # fmt: skip
    loaded = MODELS[kind].from_pretrained(tmp_path / "made")
    assert loaded.config.head == made.head == "classifier"
    expected = from_volta(config, path).state_dict()
    for name, value in loaded.state_dict().items():
        assert name.startswith("contrastive.") or torch.equal(value, expected[name]), name


def test_projections_that_volta_lacks_are_drawn_by_the_run(save: Save, weights: Weights, tmp_path: Path) -> None:
    import_checkpoint(*save(weights), tmp_path / "made")

    def drawn(seed: int) -> Tensor:
        torch.manual_seed(seed)
        return MODELS["xuniter"].from_pretrained(tmp_path / "made").contrastive.text.weight

    assert torch.equal(drawn(1), drawn(1)) and not torch.equal(drawn(1), drawn(2))
    assert drawn(1).std().item() == pytest.approx(0.02, rel=0.1)


def test_an_import_that_fails_leaves_nothing(
    save: Save, weights: Weights, tmp_path: Path, save_tokenizer: Callable
) -> None:
    files = save(weights)
    save_tokenizer(tmp_path / "words", 30)
    with pytest.raises(UserError, match="vocab_size is 30 in '.*words', but 20 in the model"):
        import_checkpoint(*files, tmp_path / "made", tokenizer=str(tmp_path / "words"))
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes").write_text("mine")
    with pytest.raises(UserError, match="full: is not empty; name a new or empty folder"):
        import_checkpoint(*files, tmp_path / "full")
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="made: cannot be written"):
        import_checkpoint(*files, tmp_path / "file" / "made")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "full", "volta", "words"]
