from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from iglue_plugins.models.configuration import XUniterConfig
from iglue_plugins.models.heads import MaskedWordHead
from iglue_plugins.models.uniter import XUniterForVisionAndLanguage


@pytest.mark.parametrize(
    ("kind", "num_labels", "shape"),
    [("classifier", 3, (6, 3)), ("vqa", 11, (6, 11)), ("image_pair", 2, (3, 2)), ("image_text_matching", 1, (6, 1))],
)
def test_shapes(
    model: XUniterForVisionAndLanguage, batch: dict[str, Tensor], kind: str, num_labels: int, shape: tuple[int, int]
) -> None:
    model.set_head(kind, num_labels)
    assert model(**batch).shape == shape
    assert (model.config.head, model.config.num_labels) == (kind, num_labels)


def test_the_rows_of_an_image_pair_are_neighbors(model: XUniterForVisionAndLanguage, batch: dict[str, Tensor]) -> None:
    model.set_head("image_pair", 2)
    logits = model(**batch)
    first_pair = model(**{name: value[:2] for name, value in batch.items()})
    torch.testing.assert_close(first_pair, logits[:1])
    swapped = model(**{name: value[[1, 0]] for name, value in batch.items()})
    assert (swapped - first_pair).abs().max() > 1e-4


def test_set_head_keeps_a_head_that_fits(model: XUniterForVisionAndLanguage) -> None:
    head = model.head
    model.set_head("classifier", 3)
    assert model.head is head
    model.set_head("classifier", 4)
    assert model.head is not head


def test_set_head_initializes_and_follows_the_model(model: XUniterForVisionAndLanguage) -> None:
    model.double().train().set_head("vqa", 500)
    first, _, norm, last = model.head
    assert first.weight.dtype == torch.float64 and model.head.training
    assert last.weight.std().item() == pytest.approx(0.2, rel=0.05)
    assert not first.bias.any() and not last.bias.any()
    assert torch.equal(norm.weight, torch.ones_like(norm.weight))


def test_set_head_refuses_what_does_not_exist(model: XUniterForVisionAndLanguage) -> None:
    with pytest.raises(ValueError, match="head is 'classifer'; .*did you mean 'classifier'"):
        model.set_head("classifer", 3)
    with pytest.raises(ValueError, match="num_labels is 2; expected 1"):
        model.set_head("image_text_matching", 2)
    assert model.config.head == "classifier"


def test_set_head_takes_names_of_earlier_versions(model: XUniterForVisionAndLanguage) -> None:
    model.set_head("image_pair", 2)
    head = model.head
    model.set_head("paired", 2)
    assert model.head is head and model.config.head == "image_pair"


def test_no_head(sizes: dict[str, int | float], batch: dict[str, Tensor]) -> None:
    model = XUniterForVisionAndLanguage(XUniterConfig(**sizes))
    assert not any(name.startswith("head") for name, _ in model.named_parameters())
    with pytest.raises(ValueError, match="the model has no head; choose one by set_head"):
        model(**batch)


def test_masked_word_head_uses_the_embedding_matrix(sizes: dict[str, int | float]) -> None:
    head = MaskedWordHead(XUniterConfig(**sizes))
    assert {name for name, _ in head.named_parameters()} == {
        "dense.weight", "dense.bias", "norm.weight", "norm.bias", "bias"
    }  # fmt: skip
    nn.init.constant_(head.bias, 0.5)
    words, hidden = torch.randn(61, 16), torch.randn(3, 4, 16)
    logits = head(hidden, words)
    torch.testing.assert_close(logits, head.norm(nn.GELU()(head.dense(hidden))) @ words.T + 0.5)
