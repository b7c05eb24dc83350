from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from loaded_dual_encoders import TEXTS, Loaded, Tiny, load
from torch.nn import functional as F

from iglue_plugins.models.dual_encoder.heads import attention_heads, interactions

FUSIONS = ("concat", "cross_attention")


@torch.no_grad()
@pytest.mark.parametrize("fusion", FUSIONS)
@pytest.mark.parametrize(
    ("kind", "labels", "shape"),
    [
        ("classifier", 3, (4, 3)),
        ("vqa", 7, (4, 7)),
        ("image_pair", 2, (2, 2)),
        ("image_text_matching", 1, (4, 1)),
    ],
)
def test_logits(encoder: Tiny, fusion: str, kind: str, labels: int, shape: tuple[int, int]) -> None:
    loaded = load(encoder.folder, fusion=fusion)
    loaded.model.set_head(kind, labels)
    logits = loaded.model(**loaded.inputs(["two dogs", "two dogs", "a", "a"]))
    assert logits.shape == shape and logits.dtype == torch.float32 and logits.isfinite().all()
    head = loaded.model.head
    loaded.model.set_head(kind, labels)
    assert loaded.model.head is head, "a head that fits stays"


@torch.no_grad()
def test_concat_reads_vectors_products_and_differences(make: Callable[[str], Tiny]) -> None:
    loaded = load(make("clip").folder)
    model, inputs = loaded.model, loaded.inputs()
    model.set_head("classifier", 3)
    text = model.embed_text(**loaded.text(TEXTS))
    image = model.embed_image(**loaded.image(["0", "1", "2", "1"]))
    t, v = (side * 12**0.5 for side in (text, image))  # 12: the width of the vectors
    assert (t * v).mean(-1).allclose((text * image).sum(-1)), "the products' mean is the cosine"
    expected = model.head.classifier(torch.cat([t, v, t * v, (t - v).abs()], -1))
    torch.testing.assert_close(model(**inputs), expected)


def test_interactions_of_three_vectors() -> None:
    t, v, w = torch.tensor([[2.0]]), torch.tensor([[3.0]]), torch.tensor([[7.0]])
    assert interactions([t, v, w]).tolist() == [[2, 3, 7, 6, 14, 21, 1, 5, 4]]


@torch.no_grad()
@pytest.mark.parametrize("fusion", FUSIONS)
def test_both_images_of_a_pair_count_and_their_order_too(make: Callable[[str], Tiny], fusion: str) -> None:
    loaded = load(make("siglip").folder, fusion=fusion)
    loaded.model.set_head("image_pair", 2)
    if fusion == "cross_attention":
        loaded.model.head.image_place.weight.normal_()
    texts = ["two dogs", "two dogs"]
    one, swapped, first, second = (
        loaded.model(**loaded.inputs(texts, ids)) for ids in (("0", "1"), ("1", "0"), ("2", "1"), ("0", "2"))
    )
    for other in (swapped, first, second):
        assert not one.allclose(other, atol=1e-6)


@torch.no_grad()
def test_cross_attention_leaves_out_padding(make: Callable[[str], Tiny]) -> None:
    loaded = load(make("clip").folder, fusion="cross_attention", fusion_layers=2)
    loaded.model.set_head("vqa", 3)
    alone = loaded.model(**loaded.inputs(["two dogs"], ("0",)))
    beside_a_longer_text = loaded.model(**loaded.inputs(["two dogs", "a cat by the sea"], ("0", "1")))
    torch.testing.assert_close(beside_a_longer_text[:1], alone, rtol=1e-5, atol=1e-6)


@torch.no_grad()
@pytest.mark.parametrize("fusion", FUSIONS)
def test_a_model_in_bfloat16_has_logits_in_float32(encoder: Tiny, fusion: str) -> None:
    loaded = load(encoder.folder, fusion=fusion)
    for kind, labels in (("classifier", 3), ("image_text_matching", 1)):
        loaded.model.float().set_head(kind, labels)
        inputs = loaded.inputs()
        expected = loaded.model(**inputs)
        loaded.model.bfloat16()
        logits = loaded.model(**inputs)
        assert logits.dtype == torch.float32
        assert len(logits.unique()) == logits.numel(), "8 bits would make some tie"
        torch.testing.assert_close(logits, expected, rtol=0.1, atol=0.2)


@pytest.mark.parametrize("fusion", FUSIONS)
def test_gradient_checkpointing_changes_no_gradient(encoder: Tiny, fusion: str) -> None:
    gradients = []
    for checkpointing in (False, True):
        torch.manual_seed(0)
        loaded: Loaded = load(encoder.folder, gradient_checkpointing=checkpointing, fusion=fusion, dropout=0.0)
        loaded.model.set_head("classifier", 3)
        loaded.model.train()
        loss = F.cross_entropy(loaded.model(**loaded.inputs()), torch.tensor([0, 1, 2, 0]))
        loss.backward()
        gradients.append({name: parameter.grad for name, parameter in loaded.model.named_parameters()})
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradient, gradients[1][name], msg=lambda text, name=name: f"{name}: {text}")


def test_a_model_without_a_head_says_so(make: Callable[[str], Tiny]) -> None:
    loaded = load(make("clip").folder)
    with pytest.raises(ValueError, match="has no head; choose one by set_head"):
        loaded.model(**loaded.inputs())
    with pytest.raises(ValueError, match="num_labels is 2; expected 1"):
        loaded.model.set_head("image_text_matching", 2)


@pytest.mark.parametrize("size", [12, 16, 64, 512, 640, 768, 1000, 1152])
def test_attention_heads_divide_the_width(size: int) -> None:
    assert size % attention_heads(size) == 0
    assert size < 128 or 32 <= size // attention_heads(size) <= 130
