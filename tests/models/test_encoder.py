from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from iglue_plugins.models import XUniterForVisionAndLanguage

INPUTS = ("input_ids", "attention_mask", "region_features", "region_locations", "region_mask")
TOLERANCE = {"atol": 1e-5, "rtol": 1e-5}


def inputs(batch: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: batch[name] for name in INPUTS}


def test_shapes_of_the_three_passes(model: XUniterForVisionAndLanguage, batch: dict[str, Tensor]) -> None:
    joint = model.encoder(**inputs(batch))
    assert joint.text_hidden.shape == (6, 7, 16) and joint.region_hidden.shape == (6, 5, 16)
    assert joint.text_pooled.shape == joint.region_pooled.shape == (6, 18)
    text = model.encoder(batch["input_ids"], batch["attention_mask"])
    assert set(text) == {"text_hidden", "text_pooled"}
    image = model.encoder(region_features=batch["region_features"], region_locations=batch["region_locations"])
    assert set(image) == {"region_hidden", "region_pooled"}


def test_more_padding_changes_nothing(model: XUniterForVisionAndLanguage, batch: dict[str, Tensor]) -> None:
    padded = {
        "input_ids": F.pad(batch["input_ids"], (0, 4), value=1),
        "attention_mask": F.pad(batch["attention_mask"], (0, 4)),
        "region_features": F.pad(batch["region_features"], (0, 0, 0, 3), value=9.0),
        "region_locations": F.pad(batch["region_locations"], (0, 0, 0, 3), value=0.5),
        "region_mask": F.pad(batch["region_mask"], (0, 3)),
    }
    before, after = model.encoder(**inputs(batch)), model.encoder(**padded)
    tokens, regions = batch["attention_mask"].bool(), batch["region_mask"].bool()
    torch.testing.assert_close(after.text_hidden[:, :7][tokens], before.text_hidden[tokens], **TOLERANCE)
    torch.testing.assert_close(after.region_hidden[:, :5][regions], before.region_hidden[regions], **TOLERANCE)
    torch.testing.assert_close(model(**padded), model(**batch), **TOLERANCE)


def test_single_passes_do_not_see_the_other_modality(
    model: XUniterForVisionAndLanguage, batch: dict[str, Tensor]
) -> None:
    other_picture = {**batch, "region_features": batch["region_features"] + 1}
    other_text = {**batch, "input_ids": batch["input_ids"].flip(1)}
    text, image = model.embed_pairs(**batch)
    torch.testing.assert_close(model.embed_pairs(**other_picture)[0], text, rtol=0, atol=0)
    torch.testing.assert_close(model.embed_pairs(**other_text)[1], image, rtol=0, atol=0)
    joint_text, joint_image = model.embed_pairs(**batch, joint=True)
    assert (model.embed_pairs(**other_picture, joint=True)[0] - joint_text).abs().max() > 1e-4
    assert (model.embed_pairs(**other_text, joint=True)[1] - joint_image).abs().max() > 1e-4


@pytest.mark.parametrize("absent", ["none", "text", "regions"])
def test_pooled_only_gives_the_same_vectors(
    model: XUniterForVisionAndLanguage, batch: dict[str, Tensor], absent: str
) -> None:
    given = inputs(batch)
    if absent == "text":
        given |= {"input_ids": None, "attention_mask": None}
    if absent == "regions":
        given |= {"region_features": None, "region_locations": None, "region_mask": None}
    full, pooled = model.encoder(**given), model.encoder(**given, pooled_only=True)
    assert set(pooled) == {name for name in full if name.endswith("pooled")}
    for name, value in pooled.items():
        torch.testing.assert_close(value, full[name], **TOLERANCE)


def test_one_token_and_one_region(model: XUniterForVisionAndLanguage, batch: dict[str, Tensor]) -> None:
    single = {name: value[:, :1] for name, value in inputs(batch).items()}
    full, pooled = model.encoder(**single), model.encoder(**single, pooled_only=True)
    torch.testing.assert_close(pooled.text_pooled, full.text_pooled, **TOLERANCE)
    torch.testing.assert_close(pooled.region_pooled, full.region_pooled, **TOLERANCE)


def test_left_out_masks_cover_padding_ids_only(model: XUniterForVisionAndLanguage, batch: dict[str, Tensor]) -> None:
    without = model.encoder(batch["input_ids"])
    torch.testing.assert_close(without.text_pooled, model.encoder(*[batch[name] for name in INPUTS[:2]]).text_pooled)
    regions = batch["region_features"], batch["region_locations"]
    unmasked = model.encoder(None, None, *regions).region_pooled
    torch.testing.assert_close(model.encoder(None, None, *regions, torch.ones(6, 5)).region_pooled, unmasked)
    assert (model.encoder(None, None, *regions, batch["region_mask"]).region_pooled - unmasked).abs().max() > 1e-4


def test_renumbered_words_give_the_same_output_and_gradient(
    model: XUniterForVisionAndLanguage, batch: dict[str, Tensor]
) -> None:
    words = model.encoder.text_embeddings.word_embeddings.weight
    (full,) = torch.autograd.grad(model(**batch).square().sum(), words)
    kept, renumbered = batch["input_ids"].unique(return_inverse=True)
    rows = words.detach()[kept].requires_grad_()
    name = "encoder.text_embeddings.word_embeddings.weight"
    small = {**batch, "input_ids": renumbered}
    logits = torch.func.functional_call(model, {name: rows}, kwargs=small)
    (gathered,) = torch.autograd.grad(logits.square().sum(), rows)
    torch.testing.assert_close(gathered, full[kept], **TOLERANCE)
    assert full.abs().sum() == pytest.approx(full[kept].abs().sum().item())
    assert not full[1].any()


def test_missing_inputs(model: XUniterForVisionAndLanguage, batch: dict[str, Tensor]) -> None:
    with pytest.raises(ValueError, match="input_ids and region_features are both None"):
        model.encoder()
    with pytest.raises(ValueError, match="region_locations is None"):
        model.encoder(region_features=batch["region_features"])
