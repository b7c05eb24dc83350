"""Dual encoders over region features: what the towers compute, what is saved, and what is refused."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_dual_encoders as tiny
import torch
from loaded_dual_encoders import Tiny
from pydantic import ValidationError
from torch import Tensor
from transformers import BertConfig, BertModel, XLMRobertaModel

from iglue_plugins.data.regions import InMemoryRegions
from iglue_plugins.meta.double_backward import attention_for
from iglue_plugins.models.dual_encoder.model import DualEncoder
from iglue_plugins.models.dual_encoder.plugin import DualEncoderPlugin
from iglue_plugins.models.dual_encoder.region_plugin import RegionDualEncoderPlugin
from iglue_plugins.registry import models
from iglue_plugins.utils.errors import UserError

Settings = RegionDualEncoderPlugin.Settings
REGIONS = {"feature_size": 6, "hidden_size": 8, "heads": 2}
TEXTS = ["a dog", "two boats", "a dog"]


class Photographs:
    """Three images with 2, 3 and 1 regions, as a task has them."""

    name, max_text_length, max_boxes, global_region_takes_a_box = "photographs", 80, None, False

    def __init__(self) -> None:
        self.regions = InMemoryRegions(6, 3)
        rng = np.random.default_rng(0)
        for number, count in enumerate((2, 3, 1)):
            corners = np.sort(rng.random((count, 2, 2)), 1).reshape(count, 4).astype(np.float32)
            features = rng.normal(size=(count, 6)).astype(np.float32)
            self.regions.add({str(number): (features, 90 * corners)}, 100, 90)


@pytest.fixture
def text(tmp_path: Path) -> str:
    """A BERT of three layers with a pooler, and its tokenizer."""
    folder, tokenizer = tmp_path / "text", tiny.byte_tokenizer()
    sizes = tiny.TEXT | {"num_hidden_layers": 3, "vocab_size": len(tokenizer), "max_position_embeddings": 40}
    torch.manual_seed(3)
    BertModel(BertConfig(**sizes, pad_token_id=1, initializer_range=0.2)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


def load(**settings: Any) -> tuple[DualEncoder, Any]:
    torch.manual_seed(0)
    return RegionDualEncoderPlugin(Settings(**{"regions": REGIONS, "projection_size": 12} | settings)).load()


def sides(processor: Any, texts: list[str] = TEXTS, ids: str = "012") -> tuple[Any, Any]:
    images = processor.prepare_images(Photographs())
    return processor.prepare_texts(texts, 80).inputs(np.arange(len(texts))), images.inputs(images.index(ids))


def test_registered() -> None:
    assert models.load("region_dual_encoder") is RegionDualEncoderPlugin
    assert models.get("region_dual_encoder").reads == "regions"


@torch.no_grad()
def test_a_text_is_the_mean_of_its_tokens_with_the_prefix_before_it(text: str) -> None:
    model, processor = load(text=text, text_prefix="query: ")
    found = model.embed_text(**sides(processor)[0])
    reference, tokenizer = BertModel.from_pretrained(text).eval(), tiny.byte_tokenizer()
    for vector, words in zip(found, TEXTS, strict=True):
        hidden = reference(**tokenizer(f"query: {words}", return_tensors="pt")).last_hidden_state
        expected = model.encoder.text_projection(hidden.mean(1))
        torch.testing.assert_close(vector, expected[0] / expected.norm(), rtol=1e-5, atol=1e-6)
    assert load(text=text, text_pooling="first")[0].embed_text(**sides(processor)[0]).ne(found).any()


@torch.no_grad()
def test_the_lower_layers_are_those_of_the_text_encoder(text: str) -> None:
    model, _ = load(text=text, text_layers=2)
    tower, whole = model.encoder.text_model.state_dict(), BertModel.from_pretrained(text).state_dict()
    assert tower.keys() == {name for name in whole if "layer.2." not in name and not name.startswith("pooler.")}
    assert all(value.equal(whole[name]) for name, value in tower.items())
    with pytest.raises(UserError, match="model.text_layers: it is 4, but the model in .* has 3 layers"):
        load(text=text, text_layers=4)


@torch.no_grad()
@pytest.mark.parametrize("layers", [0, 2])
def test_padding_of_regions_and_the_order_of_rows_change_nothing(text: str, layers: int) -> None:
    model, processor = load(text=text, regions=REGIONS | {"layers": layers})
    together = model.embed_image(**sides(processor, ids="2012")[1])
    for vector, name in zip(together, "2012", strict=True):
        torch.testing.assert_close(vector, model.embed_image(**sides(processor, ids=name)[1])[0], rtol=1e-5, atol=1e-6)
    assert together[0].equal(together[3])
    _, image = sides(processor, ids="2012")
    assert len(image["region_features"]) == 3, "each image stands once"


@torch.no_grad()
def test_mean_pooling_without_layers_is_the_mean_of_embedded_regions(text: str) -> None:
    model, processor = load(text=text, regions=REGIONS | {"layers": 0})
    tower, (_, image) = model.encoder.vision_model, sides(processor)
    embedded = tower.features(image["region_features"]) + tower.locations(image["region_locations"])
    embedded = tower.last_norm(tower.norm(embedded))
    means = torch.stack([of_image[:count].mean(0) for of_image, count in zip(embedded, (2, 3, 1), strict=True)])
    expected = model.encoder.visual_projection(means)
    found = model.embed_image(**image)
    torch.testing.assert_close(found, expected / expected.norm(dim=1, keepdim=True), rtol=1e-5, atol=1e-6)


@torch.no_grad()
def test_a_pairs_score_is_the_scaled_cosine(text: str) -> None:
    model, processor = load(text=text)
    model.set_head("image_text_matching", 1)
    text_side, image_side = sides(processor)
    cosine = (model.embed_text(**text_side) * model.embed_image(**image_side)).sum(1, keepdim=True)
    torch.testing.assert_close(model(**processor.collate(text_side, image_side)), cosine / 0.07)
    assert model.similarity_scale().scale.item() == pytest.approx(1 / 0.07)


@torch.no_grad()
@pytest.mark.parametrize("fusion", ["concat", "cross_attention"])
def test_a_saved_model_needs_nothing_but_its_folder(text: str, fusion: str, tmp_path: Path) -> None:
    saved = tmp_path / "saved"
    model, processor = load(text=text, text_layers=2, text_prefix="query: ", fusion=fusion)
    model.set_head("image_pair", 2)
    model.save_pretrained(saved)
    processor.save_pretrained(saved)
    shutil.rmtree(text)
    RegionDualEncoderPlugin(Settings(checkpoint=str(saved))).check()
    again, loaded = load(checkpoint=str(saved))
    texts, ids = ["a dog", "a dog", "two boats", "two boats"], "0112"
    inputs = [one.collate(*sides(one, texts, ids)) for one in (processor, loaded)]
    assert model(**inputs[0]).equal(again(**inputs[1]))
    with pytest.raises(UserError, match="holds a dual encoder over region features; set model.name to region_dual"):
        DualEncoderPlugin(DualEncoderPlugin.Settings(checkpoint=str(saved))).check()


@pytest.mark.parametrize("layers", [0, 1])
def test_gradients_of_gradients_are_finite_and_reach_what_is_trained(text: str, layers: int) -> None:
    model, processor = load(text=text, regions=REGIONS | {"layers": layers})
    text_side, image_side = sides(processor)

    def loss() -> Tensor:
        similarity = model.embed_text(**text_side) @ model.embed_image(**image_side).T
        return torch.nn.functional.cross_entropy(similarity * model.similarity_scale().scale, torch.arange(3))

    parameters = dict(model.named_parameters())
    with attention_for(second_order=True):
        first = torch.autograd.grad(loss(), list(parameters.values()), create_graph=True, materialize_grads=True)
        second = torch.autograd.grad(
            sum(value.square().sum() for value in first), list(parameters.values()), materialize_grads=True
        )
    assert all(value.isfinite().all() for value in second)
    reached = {name for name, value in zip(parameters, second, strict=True) if value.any()}
    assert {"encoder.text_projection.weight", "encoder.vision_model.features.weight", "encoder.logit_scale"} <= reached


def test_token_ids_can_be_remapped_where_positions_do_not_come_from_them(text: str, tmp_path: Path) -> None:
    assert load(text=text)[0].token_id_keys == ("input_ids",)
    folder, tokenizer = tmp_path / "xlm-r", tiny.byte_tokenizer()
    XLMRobertaModel(tiny.xlm_roberta_config(len(tokenizer), tokenizer.eos_token_id)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    model, processor = load(text=str(folder))
    assert model.token_id_keys == ()
    side = processor.prepare_texts(["x" * 90], 80).inputs(np.zeros(1, dtype=int))
    assert side["input_ids"].shape == (1, 40), "XLM-R's positions begin after that of the padding"
    assert model.embed_text(**side).shape == (1, 12)


def test_what_is_refused(text: str, make: Callable[[str], Tiny]) -> None:
    with pytest.raises(ValidationError, match="text is 'a', but checkpoint is 'b' too"):
        Settings(text="a", checkpoint="b")
    with pytest.raises(ValidationError, match="hidden_size is 10, which is no multiple of heads, 4"):
        Settings(regions={"hidden_size": 10})
    with pytest.raises(UserError, match="neither a checkpoint nor text; set model.text"):
        RegionDualEncoderPlugin(Settings()).check()
    clip = str(make("clip").folder)
    with pytest.raises(UserError, match="model.text: .* holds a model of type 'clip'; give an encoder of the archi"):
        RegionDualEncoderPlugin(Settings(text=clip)).check()
    with pytest.raises(UserError, match="model.checkpoint: .* of type 'clip' that is no dual encoder over region fea"):
        RegionDualEncoderPlugin(Settings(checkpoint=clip)).check()
    model, processor = load(text=text, regions=REGIONS | {"feature_size": 5})
    with pytest.raises(UserError, match="model.regions.feature_size: it is 5 in the model, but the task's regions hav"):
        model.embed_image(**sides(processor)[1])
    assert math.isfinite(model.encoder.logit_scale.item())
