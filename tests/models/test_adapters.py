"""Adapters: which layers get matrices, what is trained, and adapters in files, which peft itself reads."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import PretrainedConfig, PreTrainedModel

from iglue_plugins.models.adapter_files import (
    Base,
    Head,
    Origin,
    holds_adapter,
    load_adapter,
    read_origin,
    save_adapter,
    set_origin,
)
from iglue_plugins.models.adapters import (
    add_adapter,
    frozen_names,
    head_parameters,
    is_adapted,
    is_of_adapter,
    stored_weights,
    weights_hash,
)
from iglue_plugins.models.context import find_context
from iglue_plugins.models.tied_weights import check_tied_weights
from iglue_plugins.models.trim import trim_checkpoint
from iglue_plugins.models.uniter import UniterForVisionAndLanguage
from iglue_plugins.models.volta.writing import export_checkpoint
from iglue_plugins.recipes.adapter import AdapterSettings
from iglue_plugins.utils.errors import UserError


class Plain(PreTrainedModel):
    """A model of another package: an output layer that is tied to the embeddings, an attention, and a temperature."""

    config_class = PretrainedConfig
    _tied_weights_keys = {"output.weight": "words.weight"}

    def __init__(self) -> None:
        super().__init__(PretrainedConfig(tie_word_embeddings=True))
        self.words = nn.Embedding(7, 8)
        self.attention = nn.MultiheadAttention(8, 2)
        self.linear = nn.Linear(8, 8)
        self.output = nn.Linear(8, 7, bias=False)
        self.head = nn.Linear(8, 3)
        self.temperature = nn.Parameter(torch.ones(()))
        self.register_buffer("mean", torch.zeros(8))
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        return self.words


class Named(Plain):
    head_modules = ("head", "temperature")


def settings(**changes: object) -> AdapterSettings:
    return AdapterSettings(**{"type": "lora", "r": 2} | changes)


# peft asks a model for it
pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")


@pytest.fixture
def adapted(model: UniterForVisionAndLanguage) -> UniterForVisionAndLanguage:
    """A tiny xUNITER whose adapter has an effect, as neither of its matrices is 0."""
    add_adapter(model, settings(dropout=0.1))
    with torch.no_grad():
        for value in model.parameters():
            if value.requires_grad:
                value.normal_(std=0.3)
    set_origin(model, Origin(settings(dropout=0.1), Base({"checkpoint": None}, 3, {"weights": weights_hash(model)})))
    return model


def inputs(batch: dict[str, Tensor]) -> dict[str, Tensor]:
    return {key: value for key, value in batch.items() if key != "labels"}


def test_a_new_adapter_changes_nothing_but_what_is_trained(
    member: UniterForVisionAndLanguage, make_batch: Callable
) -> None:
    batch, names = inputs(make_batch(member)), {name for name, _ in member.named_parameters()}
    expected, cls = member(**batch), type(member)
    add_adapter(member, settings(dropout=0.5))
    assert torch.equal(member(**batch), expected) and type(member) is cls
    assert not any(module.training for module in member.modules())
    trained = {name for name, value in member.named_parameters() if value.requires_grad}
    heads = {name for name in trained if name.startswith(("head.", "contrastive."))}
    assert heads == {name for name in names if name.startswith(("head.", "contrastive."))}
    assert trained - heads == {name for name, _ in member.named_parameters() if is_of_adapter(name)}
    assert {name.rpartition(".lora_")[0].rpartition(".")[2] for name in trained - heads} >= {
        "query_key_value", "attention_output", "intermediate", "output", "image_embeddings", "text_pooler",
    }  # fmt: skip
    assert stored_weights(member).keys() == trained
    assert frozen_names(member) == {name for name, _ in member.named_parameters()} - trained


def test_named_layers_and_modules(model: UniterForVisionAndLanguage) -> None:
    chosen = settings(
        target_modules=["query_key_value", "layers.1.output"], modules_to_save=["encoder.region_embeddings"]
    )
    add_adapter(model, chosen)
    trained = [name for name, value in model.named_parameters() if value.requires_grad]
    assert {name.partition(".lora_")[0] for name in trained if is_of_adapter(name)} == {
        "encoder.layers.0.query_key_value", "encoder.layers.1.query_key_value", "encoder.layers.1.output",
    }  # fmt: skip
    whole = {name.rpartition(".")[0] for name in trained if not is_of_adapter(name)}
    assert {"encoder.region_embeddings.image_embeddings", "encoder.region_embeddings.norm"} <= whole


def test_names_that_match_nothing(make_model: Callable) -> None:
    for target in ("query", "head", "word_embeddings", "contrastive.text"):
        with pytest.raises(UserError, match=f"no linear layer .* outside its heads is named '{target}' or ends in .*; "
                           "name some of .*query_key_value, attention_output, intermediate, output"):  # fmt: skip
            add_adapter(make_model(), settings(target_modules=["intermediate", target]))
    with pytest.raises(UserError, match="no module or parameter 'encoder.region_embedding'; did you mean "
                       "'encoder.region_embeddings'"):  # fmt: skip
        add_adapter(make_model(), settings(modules_to_save=["encoder.region_embedding"]))


def test_models_of_other_packages() -> None:
    """Tied layers and those that are used without a call get no matrices; heads may be single parameters."""
    with pytest.raises(UserError, match="a Plain does not tell which of its modules are heads.*set head_modules"):
        add_adapter(Plain(), settings())
    model = Named()
    add_adapter(model, settings())
    assert head_parameters(model) == ["temperature", "head.weight", "head.bias"]
    trained = {name.partition(".lora_")[0] for name, value in model.named_parameters() if value.requires_grad}
    assert trained == {"linear", "head.weight", "head.bias", "temperature"}
    assert stored_weights(model).keys() >= {"mean", "temperature"}, "training may change buffers"
    check_tied_weights(model)
    with pytest.raises(UserError, match="named 'out_proj'"):
        add_adapter(Named(), settings(target_modules=["out_proj"]))


def test_a_later_head_is_trained(adapted: UniterForVisionAndLanguage, batch: dict[str, Tensor]) -> None:
    adapted.set_head("vqa", 5)
    assert adapted(**inputs(batch)).shape == (6, 5)
    assert all(value.requires_grad for value in adapted.head.parameters())
    assert {"head.0.weight", "head.3.bias"} <= stored_weights(adapted).keys()


def test_files(
    adapted: UniterForVisionAndLanguage, make_model: Callable, batch: dict[str, Tensor], tmp_path: Path
) -> None:
    save_adapter(adapted, tmp_path, Head("classifier", 3))
    assert holds_adapter(tmp_path) and sum(file.stat().st_size for file in tmp_path.iterdir()) < 30_000
    origin = read_origin(tmp_path)
    assert origin == Origin(settings(dropout=0.1), adapted.adapter_origin.base, Head("classifier", 3))
    loaded = make_model()
    loaded.set_head("vqa", 5)
    load_adapter(loaded, tmp_path, origin)
    expected = adapted(**inputs(batch))
    assert torch.equal(loaded(**inputs(batch)), expected)
    assert weights_hash(loaded) == weights_hash(adapted)
    with torch.no_grad():
        loaded.encoder.layers[0].output.base_layer.bias[0] += 1
    assert weights_hash(loaded) != weights_hash(adapted)


def test_peft_reads_the_files(
    adapted: UniterForVisionAndLanguage, make_model: Callable, batch: dict[str, Tensor], tmp_path: Path
) -> None:
    save_adapter(adapted, tmp_path, Head("classifier", 3))
    torch.manual_seed(1)
    base = make_model()
    with torch.no_grad():
        base.head.weight.zero_()
    by_peft = PeftModel.from_pretrained(base, str(tmp_path)).eval()
    assert torch.equal(by_peft(**inputs(batch)), adapted(**inputs(batch)))
    text = {key: batch[key] for key in ("input_ids", "attention_mask")}
    assert torch.equal(by_peft.embed_text(**text), adapted.embed_text(**text))


def test_a_context_is_in_the_files(
    adapted: UniterForVisionAndLanguage, make_model: Callable, batch: dict[str, Tensor], tmp_path: Path
) -> None:
    adapted.set_context(4)
    save_adapter(adapted, tmp_path, Head("classifier", 3))
    origin = read_origin(tmp_path)
    assert origin.context_size == 4
    loaded, base = make_model(), make_model()
    load_adapter(loaded, tmp_path, origin)
    base.set_context(4)
    by_peft = PeftModel.from_pretrained(base, str(tmp_path)).eval()
    for model in (adapted, loaded, by_peft):
        context = find_context(model)[1]
        assert context.weight.equal(find_context(adapted)[1].weight)
        context.values.fill_(0.5)
    assert torch.equal(loaded(**inputs(batch)), adapted(**inputs(batch)))
    assert torch.equal(by_peft(**inputs(batch)), adapted(**inputs(batch)))
    assert weights_hash(loaded) == weights_hash(adapted)


def test_damaged_files(adapted: UniterForVisionAndLanguage, make_model: Callable, tmp_path: Path) -> None:
    save_adapter(adapted, tmp_path, Head("classifier", 3))
    origin, weights = read_origin(tmp_path), tmp_path / "adapter_model.safetensors"
    stored = load_file(weights)
    for name in (next(iter(stored)), "base_model.model.head.bias"):
        save_file({key: value[:1] if key == name else value for key, value in stored.items()}, weights)
        with pytest.raises(UserError, match=f"weights do not fit the model's .{name}"):
            load_adapter(make_model(), tmp_path, origin)
    with pytest.raises(UserError, match="weights do not fit the model's .base_model.model.encoder.layers.1"):
        load_adapter(make_model(num_hidden_layers=1), tmp_path, origin)
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(UserError, match="adapter_model.safetensors: no adapter can be loaded"):
        load_adapter(make_model(), tmp_path, origin)
    path = tmp_path / "adapter_origin.json"
    content = json.loads(path.read_text())
    for damaged in (
        content | {"format": 2}, content | {"base": {}}, content | {"head": {"kind": "vqa"}}, [], None,
        content | {"base": content["base"] | {"source": {"checkpoint": 3}}}, content | {"adapter": {"type": "ia3"}},
    ):  # fmt: skip
        path.write_text(json.dumps(damaged))
        with pytest.raises(UserError, match="adapter_origin.json: cannot be read .*, which tells the weights") as error:
            read_origin(tmp_path)
        assert "\n" not in str(error.value)
    path.unlink()
    with pytest.raises(UserError, match="adapter_origin.json: cannot be read"):
        read_origin(tmp_path)


def test_a_base_that_moved_with_the_adapter_is_found(adapted: UniterForVisionAndLanguage, tmp_path: Path) -> None:
    base = tmp_path / "runs" / "first" / "model"
    base.mkdir(parents=True)
    set_origin(adapted, Origin(settings(), Base({"checkpoint": str(base)}, 0, {"files": "1"}, str(base))))
    save_adapter(adapted, tmp_path / "runs" / "second" / "model", Head("classifier", 3))
    assert read_origin(tmp_path / "runs" / "second" / "model").base.source == {"checkpoint": str(base)}
    (tmp_path / "runs").rename(tmp_path / "moved")
    found = read_origin(tmp_path / "moved" / "second" / "model").base
    assert found.source == {"checkpoint": str(tmp_path / "moved" / "first" / "model")}
    base = tmp_path / "moved" / "first" / "model"
    base.rmdir()
    with pytest.raises(UserError, match="its adapter belongs to the weights in .*first/model, which are not there any"):
        read_origin(tmp_path / "moved" / "second" / "model")


def test_what_takes_whole_models_refuses_an_adapter(adapted: UniterForVisionAndLanguage, tmp_path: Path) -> None:
    save_adapter(adapted, tmp_path / "run" / "model", Head("classifier", 3))
    for source in (tmp_path / "run", tmp_path / "run" / "model"):
        for take in (export_checkpoint, partial(trim_checkpoint, texts={})):
            with pytest.raises(UserError, match=f"^{source}: holds an adapter without the weights that it belongs to"):
                take(str(source) if isinstance(take, partial) else source, tmp_path / "out")


def test_models_without_adapter(model: UniterForVisionAndLanguage) -> None:
    model.encoder.layers.requires_grad_(False)
    assert not is_adapted(model) and frozen_names(model) == set()
    assert stored_weights(model).keys() == model.state_dict().keys()
