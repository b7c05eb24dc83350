from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from pair_embeddings import embed_pairs
from torch import Tensor
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from iglue_plugins.data.inputs import Inputs
from iglue_plugins.models.uniter import UniterForVisionAndLanguage
from iglue_plugins.utils.errors import UserError

INPUTS = ("input_ids", "attention_mask", "region_features", "region_locations", "region_mask")
TOLERANCE = {"atol": 1e-5, "rtol": 1e-5}
MakeBatch = Callable[[UniterForVisionAndLanguage], dict[str, Tensor]]


def test_shapes_of_the_three_passes(member: UniterForVisionAndLanguage, make_batch: MakeBatch) -> None:
    batch = make_batch(member)
    joint = member.encoder(**batch)
    assert joint.text_hidden.shape == (6, 7, 16) and joint.region_hidden.shape == (6, 5, 16)
    assert joint.text_pooled.shape == (6, 18)
    assert joint.region_pooled.shape == (6, member.config.region_pooled_size)
    text = member.encoder(batch["input_ids"], batch["attention_mask"])
    assert set(text) == {"text_hidden", "text_pooled"}
    image = member.encoder(region_features=batch["region_features"], region_locations=batch["region_locations"])
    assert set(image) == {"region_hidden", "region_pooled"}


def test_more_padding_changes_nothing(member: UniterForVisionAndLanguage, make_batch: MakeBatch) -> None:
    batch = make_batch(member)
    padded = {
        "input_ids": F.pad(batch["input_ids"], (0, 4), value=member.config.pad_token_id),
        "attention_mask": F.pad(batch["attention_mask"], (0, 4)),
        "region_features": F.pad(batch["region_features"], (0, 0, 0, 3), value=9.0),
        "region_locations": F.pad(batch["region_locations"], (0, 0, 0, 3), value=0.5),
        "region_mask": F.pad(batch["region_mask"], (0, 3)),
    }
    before, after = member.encoder(**batch), member.encoder(**padded)
    tokens, regions = batch["attention_mask"].bool(), batch["region_mask"].bool()
    torch.testing.assert_close(after.text_hidden[:, :7][tokens], before.text_hidden[tokens], **TOLERANCE)
    torch.testing.assert_close(after.region_hidden[:, :5][regions], before.region_hidden[regions], **TOLERANCE)
    torch.testing.assert_close(member(**padded), member(**batch), **TOLERANCE)
    for joint in (False, True):
        torch.testing.assert_close(
            embed_pairs(member, padded, joint=joint), embed_pairs(member, batch, joint=joint), **TOLERANCE
        )


def test_each_row_alone_gives_what_it_gives_in_a_batch(
    member: UniterForVisionAndLanguage, make_batch: MakeBatch
) -> None:
    batch = make_batch(member)
    logits, embeddings = member(**batch), embed_pairs(member, batch)
    for row in range(6):
        tokens, regions = batch["attention_mask"][row].sum(), batch["region_mask"][row].sum()
        alone = {name: batch[name][row : row + 1, : regions if "region" in name else tokens] for name in INPUTS}
        torch.testing.assert_close(member(**alone), logits[row : row + 1], **TOLERANCE)
        for row_embedding, in_batch in zip(embed_pairs(member, alone), embeddings, strict=True):
            torch.testing.assert_close(row_embedding, in_batch[row : row + 1], **TOLERANCE)


def test_attention_kernels_agree(member: UniterForVisionAndLanguage, make_batch: MakeBatch, labels: Tensor) -> None:
    batch, outputs = make_batch(member), {}
    for backend in (SDPBackend.MATH, SDPBackend.FLASH_ATTENTION):
        member.zero_grad()
        with sdpa_kernel(backend):
            logits = member(**batch)
        F.cross_entropy(logits, labels).backward()
        gradients = [value.grad.clone() for value in member.encoder.parameters() if value.grad is not None]
        outputs[backend] = [logits, *gradients]
    torch.testing.assert_close(*outputs.values(), **TOLERANCE)


def test_regions_are_told_from_tokens(member: UniterForVisionAndLanguage, make_batch: MakeBatch) -> None:
    """Regions have another type embedding than tokens: row 1 of the shared table, or row 0 of a separate one."""
    batch = make_batch(member)
    before = member.encoder(**batch)
    if member.config.shared_type_embeddings:
        assert not hasattr(member.encoder.region_embeddings, "region_type_embeddings")
        table, row = member.encoder.text_embeddings.token_type_embeddings.weight, 1
    else:
        table, row = member.encoder.region_embeddings.region_type_embeddings.weight, 0
    with torch.no_grad():
        table[row] += torch.arange(16.0)
    text_alone = member.encoder(batch["input_ids"], batch["attention_mask"])
    assert (member.encoder(**batch).region_hidden - before.region_hidden).abs().max() > 1e-2
    with torch.no_grad():
        table[row] -= 5.0
    again = member.encoder(batch["input_ids"], batch["attention_mask"])
    torch.testing.assert_close(again.text_hidden, text_alone.text_hidden, rtol=0, atol=0)


@pytest.mark.parametrize(("kind", "shifted"), [("xuniter", True), ("uc2", True), ("muniter", False)])
def test_position_ids(make_model: Callable, kind: str, shifted: bool) -> None:
    embeddings = make_model(kind).encoder.text_embeddings
    mask = torch.tensor([[1, 1, 1, 0], [1, 1, 0, 0]])
    expected = [[2, 3, 4, 1], [2, 3, 1, 1]] if shifted else [[0, 1, 2, 3]]
    assert embeddings.position_ids(mask).tolist() == expected


def test_single_passes_do_not_see_the_other_modality(member: UniterForVisionAndLanguage, make_batch: MakeBatch) -> None:
    batch = make_batch(member)
    other_picture = {**batch, "region_features": batch["region_features"] + 1}
    other_text = {**batch, "input_ids": batch["input_ids"].flip(1)}
    text, image = embed_pairs(member, batch)
    torch.testing.assert_close(embed_pairs(member, other_picture)[0], text, rtol=0, atol=0)
    torch.testing.assert_close(embed_pairs(member, other_text)[1], image, rtol=0, atol=0)
    joint_text, joint_image = embed_pairs(member, batch, joint=True)
    assert (embed_pairs(member, other_picture, joint=True)[0] - joint_text).abs().max() > 1e-4
    assert (embed_pairs(member, other_text, joint=True)[1] - joint_image).abs().max() > 1e-4


@pytest.mark.parametrize("absent", ["none", "text", "regions"])
def test_the_pooled_vectors_alone_are_the_same(
    member: UniterForVisionAndLanguage, make_batch: MakeBatch, absent: str
) -> None:
    given = make_batch(member)
    if absent == "text":
        given |= {"input_ids": None, "attention_mask": None}
    if absent == "regions":
        given |= {"region_features": None, "region_locations": None, "region_mask": None}
    full, pooled = member.encoder(**given), member.encoder(**given, last_layer="pooled")
    assert set(pooled) == {name for name in full if name.endswith("pooled")}
    for name, value in pooled.items():
        torch.testing.assert_close(value, full[name], **TOLERANCE)
    if absent != "text":
        text = member.encoder(**given, last_layer="text")
        assert set(text) == {"text_pooled"}
        torch.testing.assert_close(text.text_pooled, full.text_pooled, **TOLERANCE)


def test_without_a_region_pooler_an_image_is_the_mean_of_its_regions(
    make_model: Callable, make_batch: MakeBatch
) -> None:
    model = make_model("uc2")
    batch = make_batch(model)
    output = model.encoder(**batch)
    counts = batch["region_mask"].sum(1)
    mean = torch.stack([row[:count].mean(0) for row, count in zip(output.region_hidden, counts, strict=True)])
    torch.testing.assert_close(output.region_pooled, mean)
    assert not hasattr(model.encoder, "region_pooler")


def test_one_token_and_one_region(member: UniterForVisionAndLanguage, make_batch: MakeBatch) -> None:
    single = {name: value[:, :1] for name, value in make_batch(member).items()}
    full, pooled = member.encoder(**single), member.encoder(**single, last_layer="pooled")
    torch.testing.assert_close(pooled.text_pooled, full.text_pooled, **TOLERANCE)
    torch.testing.assert_close(pooled.region_pooled, full.region_pooled, **TOLERANCE)


def test_left_out_masks_cover_padding_ids_only(member: UniterForVisionAndLanguage, make_batch: MakeBatch) -> None:
    batch, encoder = make_batch(member), member.encoder
    without = encoder(batch["input_ids"])
    torch.testing.assert_close(without.text_pooled, encoder(*[batch[name] for name in INPUTS[:2]]).text_pooled)
    regions = batch["region_features"], batch["region_locations"]
    unmasked = encoder(None, None, *regions).region_pooled
    torch.testing.assert_close(encoder(None, None, *regions, torch.ones(6, 5)).region_pooled, unmasked)
    assert (encoder(None, None, *regions, batch["region_mask"]).region_pooled - unmasked).abs().max() > 1e-4


def test_remapped_token_ids_give_the_same_output_and_gradient(
    member: UniterForVisionAndLanguage, make_batch: MakeBatch
) -> None:
    batch = make_batch(member)
    words = member.encoder.text_embeddings.word_embeddings.weight
    (full,) = torch.autograd.grad(member(**batch).square().sum(), words)
    kept, remapped = batch["input_ids"].unique(return_inverse=True)
    rows = words.detach()[kept].requires_grad_()
    name = "encoder.text_embeddings.word_embeddings.weight"
    small = {**batch, "input_ids": remapped}
    logits = torch.func.functional_call(member, {name: rows}, kwargs=small)
    (gathered,) = torch.autograd.grad(logits.square().sum(), rows)
    torch.testing.assert_close(gathered, full[kept], **TOLERANCE)
    assert full.abs().sum() == pytest.approx(full[kept].abs().sum().item())
    assert not full[member.config.pad_token_id].any()


def test_precomputed_embeddings_give_the_same_logits(member: UniterForVisionAndLanguage, make_batch: MakeBatch) -> None:
    batch = make_batch(member)
    expected = member(**batch)
    precomputed = member.precompute_embeddings(Inputs(batch, 6))
    assert precomputed.rows == 6
    assert set(precomputed) == {"text_embedded", "attention_mask", "regions_embedded", "region_mask"}
    torch.testing.assert_close(member(**precomputed), expected, rtol=0, atol=0)
    text = member.precompute_embeddings(Inputs({name: batch[name] for name in INPUTS[:2]}, 6))
    assert set(text) == {"text_embedded", "attention_mask"}
    regions = {name: batch[name] for name in INPUTS[2:]}
    torch.testing.assert_close(member(**text, **regions), expected, rtol=0, atol=0)


def test_missing_inputs(model: UniterForVisionAndLanguage, batch: dict[str, Tensor]) -> None:
    with pytest.raises(ValueError, match="input_ids and region_features are both None"):
        model.encoder()
    with pytest.raises(ValueError, match="region_locations is None"):
        model.encoder(region_features=batch["region_features"])


def test_inputs_of_other_sizes(member: UniterForVisionAndLanguage, make_batch: MakeBatch) -> None:
    batch, size = make_batch(member), member.config.region_location_size
    with pytest.raises(UserError, match="region_features: .* 9 numbers.* region_feature_size is 10"):
        member(**{**batch, "region_features": batch["region_features"][..., :9]})
    with pytest.raises(UserError, match=f"region_locations: .* 4 numbers.* region_location_size is {size}"):
        member(**{**batch, "region_locations": batch["region_locations"][..., :4]})
    longer = member.config.text_capacity + 1
    with pytest.raises(UserError, match=f"input_ids: .* {longer} tokens.* of 32 leaves room for {longer - 1}"):
        member.encoder(torch.full((1, longer), 5))
    member.encoder(torch.full((1, longer - 1), 5))
