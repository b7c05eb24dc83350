"""Embeddings and similarities, against those of transformers."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from loaded_dual_encoders import TEXTS, Loaded, Tiny, load
from torch.autograd import grad, gradcheck, gradgradcheck

from iglue_plugins.models.dual_encoder.model import unit_vectors

IDS = ["0", "1", "2", "3"]


@torch.no_grad()
def test_embeddings_and_similarities_are_those_of_transformers(encoder: Tiny, loaded: Loaded) -> None:
    texts = TEXTS[:3]
    processed = loaded.text(texts), loaded.image(IDS)
    text, image = ({key: value for key, value in side.items() if not key.endswith("_rows")} for side in processed)
    expected = encoder.reference(**text, **image)
    embedded_text, embedded_image = loaded.model.embed_text(**processed[0]), loaded.model.embed_image(**processed[1])
    rows = processed[0]["text_rows"]
    torch.testing.assert_close(embedded_text, expected.text_embeds[rows], rtol=0, atol=1e-6)
    torch.testing.assert_close(embedded_image, expected.image_embeds, rtol=0, atol=1e-6)

    scale, bias = loaded.model.similarity_scale()
    logits = embedded_text @ embedded_image.T * scale + (0 if bias is None else bias)
    torch.testing.assert_close(logits, expected.logits_per_text[rows], rtol=1e-5, atol=1e-5)
    assert (bias is not None) == encoder.name.startswith("siglip")

    loaded.model.set_head("image_text_matching", 1)
    scores = loaded.model(**loaded.inputs(texts, ("0", "1", "2")))
    torch.testing.assert_close(scores, logits[:, :3].diagonal()[:, None], rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_a_text_or_picture_that_stands_in_several_rows_is_encoded_once(loaded: Loaded) -> None:
    model = loaded.model
    inputs = loaded.inputs(TEXTS, ("2", "0", "2", "1"))
    assert (len(inputs["input_ids"]), len(inputs["pixel_values"]), inputs.rows) == (3, 3, 4)
    model.set_head("classifier", 3)
    logits = model(**inputs)
    singly = [model(**loaded.inputs([text], (picture,))) for text, picture in zip(TEXTS, "2021", strict=True)]
    torch.testing.assert_close(logits, torch.cat(singly), rtol=1e-5, atol=1e-5)
    # Parts of a batch read the texts and pictures of their rows alone.
    parts = torch.cat([model(**part) for part in inputs.split(1)])
    torch.testing.assert_close(parts, logits, rtol=1e-5, atol=1e-5)
    seen: list[int] = []
    hook = model.encoder.vision_model.register_forward_pre_hook(
        lambda module, args, kwargs: seen.append(len(kwargs.get("pixel_values", args[0] if args else ()))),
        with_kwargs=True,
    )
    model(**inputs.select(torch.tensor([0, 2])))
    hook.remove()
    assert seen == [1]


@torch.no_grad()
def test_several_images_of_a_text_are_the_mean_of_their_unit_vectors(make: Callable[[str], Tiny]) -> None:
    loaded = load(make("clip").folder)
    image = loaded.image(["0", "1", "2", "2"])
    singly = loaded.model.embed_image(**image)
    paired = loaded.model.embed_image(**image, images_per_text=2)
    mean = singly[:2].mean(0)
    torch.testing.assert_close(paired[0], mean / mean.norm())
    torch.testing.assert_close(paired[1], singly[2])


@torch.no_grad()
@pytest.mark.parametrize("name", ["siglip", "siglip2"])
def test_siglip_reads_small_letters_padded_to_its_last_position(name: str, make: Callable[[str], Tiny]) -> None:
    loaded = load(make(name).folder)
    text = loaded.text(["Two Dogs", "a"])
    assert text.keys() == {"input_ids", "text_rows"}, "no mask"
    assert text["input_ids"].shape == (2, 40)
    tokenizer = loaded.processor.tokenizer
    expected = tokenizer(
        ["two dogs", "a"], padding="max_length", max_length=40, padding_side="right", return_tensors="pt"
    )
    assert text["input_ids"].equal(expected.input_ids)
    # The length of the other texts does not matter then.
    long = loaded.text(["Two Dogs", "a" * 60])
    embedded = loaded.model.embed_text(**text)[0], loaded.model.embed_text(**long)[0]
    torch.testing.assert_close(*embedded, rtol=0, atol=1e-6)


@torch.no_grad()
def test_naflex_padding_does_not_matter(make: Callable[[str], Tiny]) -> None:
    loaded = load(make("siglip2").folder)
    image = loaded.image(["0", "3"])
    patches = image["pixel_attention_mask"].sum(1)
    assert patches[0] != patches[1] and image["spatial_shapes"].prod(1).equal(patches)
    changed = image["pixel_values"].clone()
    changed[image["pixel_attention_mask"] == 0] = 7.0
    embedded = loaded.model.embed_image(**image)
    torch.testing.assert_close(loaded.model.embed_image(**{**image, "pixel_values": changed}), embedded)
    loaded.model.config.fusion = "cross_attention"
    loaded.model.set_head("classifier", 3)
    inputs = loaded.processor.collate(loaded.text(["a", "two dogs"]), image)
    logits = loaded.model(**inputs)
    torch.testing.assert_close(loaded.model(**{**inputs, "pixel_values": changed}), logits)


def test_unit_vectors_have_derivatives_at_zero() -> None:
    vectors = torch.randn(3, 5, dtype=torch.float64, requires_grad=True)
    torch.testing.assert_close(unit_vectors(vectors), vectors / vectors.norm(dim=-1, keepdim=True))
    assert gradcheck(unit_vectors, vectors) and gradgradcheck(unit_vectors, vectors)
    zero = torch.zeros(1, 5, requires_grad=True)
    (first,) = grad(unit_vectors(zero)[0, 0], zero, create_graph=True)
    (second,) = grad(first.sum(), zero)
    assert unit_vectors(zero).equal(zero) and first.isfinite().all() and second.isfinite().all()
    assert unit_vectors(torch.ones(2, 4, dtype=torch.bfloat16)).dtype == torch.float32


def test_token_ids_may_be_renumbered_where_they_only_choose_embeddings(encoder: Tiny, loaded: Loaded) -> None:
    embeddings = loaded.model.get_input_embeddings()
    text = loaded.text(TEXTS)
    assert embeddings.num_embeddings == loaded.model.config.encoder.text_config.vocab_size
    expected = loaded.model.embed_text(**text)
    if not loaded.model.token_id_keys:
        assert encoder.name in ("clip", "metaclip_2", "altclip", "xlm-roberta+dinov2")
        return
    ids = text["input_ids"].unique()
    with torch.no_grad():
        embeddings.weight = torch.nn.Parameter(embeddings.weight[ids])
    embeddings.padding_idx = None
    renumbered = text.map(lambda value: torch.searchsorted(ids, value), loaded.model.token_id_keys)
    torch.testing.assert_close(loaded.model.embed_text(**renumbered), expected, rtol=0, atol=0)
