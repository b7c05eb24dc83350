"""The contrastive loss: closed forms, a plain loop, and what the texts of one image are to each other."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from iglue_plugins.trainers.contrastive_loss import PairTargets, contrastive_loss, pair_targets

CHOICES = ("masked", "positives", "negatives")
# Pairs 0, 1 and 4 have one image, 2 and 3 one text, 3 and 4 one text, and 5 and 6 are twice the same pair.
IMAGES = torch.tensor([[0], [0], [1], [2], [0], [5], [5]])
TEXTS = torch.tensor([0, 1, 2, 2, 2, 5, 5])
TAU = 0.3


def embeddings(count: int, seed: int = 0, dtype: torch.dtype = torch.float64, size: int = 4) -> tuple[Tensor, Tensor]:
    numbers = torch.randn(2, count, size, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    text, image = functional.normalize(numbers, dim=-1).to(dtype)
    return text.requires_grad_(), image.requires_grad_()


def former_loss(text: Tensor, image: Tensor, temperature: float) -> Tensor:
    """Return the loss whose only right answers are the diagonal's, and whose wrong ones are all others."""
    similarity, rows = text @ image.T / temperature, torch.arange(len(text))
    return (functional.cross_entropy(similarity, rows) + functional.cross_entropy(similarity.T, rows)) / 2


def belongs(a: int, b: int, images: Tensor, texts: Tensor, share: Callable = set.intersection) -> bool:
    """Tell in plain Python whether text a and image b stand together in some pair."""
    return any(
        texts[m] == texts[a] and bool(share(set(images[m].tolist()), set(images[b].tolist())))
        for m in range(len(texts))
    )


def plain_loss(text: Tensor, image: Tensor, images: Tensor, texts: Tensor, choice: str) -> float:
    """Return the loss by a loop over terms."""
    count = len(text)
    similarity = (text @ image.T / TAU).tolist()
    known = [[choice != "negatives" and belongs(a, b, images, texts) for b in range(count)] for a in range(count)]
    halves = []
    for by_text in (True, False):
        terms = []
        for row in range(count):
            cells = [(row, other) if by_text else (other, row) for other in range(count)]
            own, right = (row, row), [(a, b) for a, b in cells if (a, b) == (row, row) or known[a][b]]
            wrong = [cell for cell in cells if cell not in right]
            if choice != "positives":
                right = [own]
            if wrong:
                total = math.log(sum(math.exp(similarity[a][b]) for a, b in right + wrong))
                terms.append(sum(total - similarity[a][b] for a, b in right) / len(right))
        halves.append(sum(terms) / len(terms) if terms else 0.0)
    return sum(halves) / 2


def test_contrastive_loss_of_two_pairs() -> None:
    text = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    image = torch.tensor([[1.0, 0.0], [0.6, 0.8]])
    # Similarities over the temperature: [[2, 1.2], [0, 1.6]].
    by_text = (math.log1p(math.exp(1.2 - 2)) + math.log1p(math.exp(0 - 1.6))) / 2
    by_image = (math.log1p(math.exp(0 - 2)) + math.log1p(math.exp(1.2 - 1.6))) / 2
    assert contrastive_loss(text, image, 0.5).item() == pytest.approx((by_text + by_image) / 2, rel=1e-6)
    assert contrastive_loss(image, text, 0.5).item() == pytest.approx((by_text + by_image) / 2, rel=1e-6)


def test_contrastive_loss_depends_on_the_pairs_and_not_on_their_order() -> None:
    text, image = torch.eye(4), torch.eye(4)
    assert contrastive_loss(text, image, 0.01) == pytest.approx(0, abs=1e-6)
    assert contrastive_loss(text, image.roll(1, 0), 0.01) == pytest.approx(100, rel=1e-6)
    order = torch.tensor([2, 0, 3, 1])
    mixed = torch.nn.functional.normalize(torch.arange(16.0).view(4, 4).sin(), dim=1)
    torch.testing.assert_close(contrastive_loss(text[order], mixed[order], 0.1), contrastive_loss(text, mixed, 0.1))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("choice", CHOICES)
def test_without_common_images_and_texts_the_loss_is_the_former_one(choice: str, dtype: torch.dtype) -> None:
    """To the bit, gradients of gradients included, except where the target is a distribution."""
    for count in (2, 7, 16, 33):
        targets = pair_targets(torch.arange(count)[:, None], torch.arange(count) + 7, choice)
        vectors = embeddings(count, dtype=dtype, size=96)
        outcomes = []
        for loss in (contrastive_loss(*vectors, 0.07, targets), former_loss(*vectors, 0.07)):
            gradients = torch.autograd.grad(loss, vectors, create_graph=True)
            curvature = torch.autograd.grad(sum(gradient.sin().sum() for gradient in gradients), vectors)
            outcomes.append((loss, *gradients, *curvature))
        for found, expected in zip(*outcomes, strict=True):
            if choice == "positives":
                torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
            else:
                assert torch.equal(found, expected)


@pytest.mark.parametrize("choice", CHOICES)
@pytest.mark.parametrize(
    ("images", "texts"),
    [(IMAGES, TEXTS), (IMAGES, torch.arange(7)), (torch.arange(7)[:, None], TEXTS), (IMAGES[:2], TEXTS[:2])],
    ids=["both", "images", "texts", "no-negatives"],
)
def test_the_loss_is_that_of_a_plain_loop(images: Tensor, texts: Tensor, choice: str) -> None:
    text, image = embeddings(len(texts))
    found = contrastive_loss(text, image, TAU, pair_targets(images, texts, choice))
    assert found.item() == pytest.approx(plain_loss(text, image, images, texts, choice), rel=1e-12, abs=1e-15)


def test_negatives_is_the_former_loss_whatever_pairs_have_in_common() -> None:
    text, image = embeddings(7)
    assert torch.equal(
        contrastive_loss(text, image, TAU, pair_targets(IMAGES, TEXTS, "negatives")), former_loss(text, image, TAU)
    )


@pytest.mark.parametrize("choice", CHOICES)
def test_the_gradient_is_softmax_minus_target(choice: str) -> None:
    """The softmax is over what is not excluded, the target uniform over the positives, and rows are averaged."""
    text, image = embeddings(7)
    temperature = torch.tensor(TAU, dtype=torch.float64, requires_grad=True)
    targets = pair_targets(IMAGES, TEXTS, choice)
    loss = contrastive_loss(text, image, temperature, targets)
    found = torch.autograd.grad(loss, (text, image, temperature))

    with torch.no_grad():
        scores = text @ image.T / temperature
        positive = torch.eye(7, dtype=torch.bool) if targets.positive is None else targets.positive
        kept = torch.ones_like(positive) if targets.excluded is None else ~targets.excluded
        slope = torch.zeros(7, 7, dtype=torch.float64)
        for side in (0, 1):
            parts = scores.exp() * kept, positive.double()
            probability, target = (part / part.sum(1 - side, keepdim=True) for part in parts)
            counted = (kept & ~positive).any(1 - side, keepdim=True)
            slope += (probability - target) * counted / counted.sum() / 2
        expected = slope @ image / TAU, slope.T @ text / TAU, -(slope * scores).sum() / TAU
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-15)
    assert (slope[~kept] == 0).all()


@pytest.mark.parametrize("choice", CHOICES)
@pytest.mark.parametrize("rows", [slice(0, 7), slice(0, 2), slice(4, 7)], ids=["some", "no-negatives", "few-negatives"])
def test_first_and_second_derivatives_are_those_of_finite_differences(choice: str, rows: slice) -> None:
    temperature = torch.tensor(0.8, dtype=torch.float64, requires_grad=True)
    targets = pair_targets(IMAGES[rows], TEXTS[rows], choice)
    inputs = (*embeddings(len(TEXTS[rows])), temperature)
    assert torch.autograd.gradcheck(lambda *given: contrastive_loss(*given, targets), inputs)
    assert torch.autograd.gradgradcheck(lambda *given: contrastive_loss(*given, targets), inputs)


def test_a_term_is_that_of_a_batch_without_the_excluded_pairs() -> None:
    """So the copy of a pair, or another text of its image, changes nothing in what its text or its image asks for."""
    text, image = (vectors.detach() for vectors in embeddings(7))
    excluded = pair_targets(IMAGES, TEXTS, "masked").excluded
    halves = []
    for scores, mask in ((text @ image.T / TAU, excluded), (image @ text.T / TAU, excluded.T)):
        terms = []
        for row in range(7):
            rest = [i for i in range(7) if not mask[row, i]]
            term = functional.cross_entropy(scores[row, rest][None], torch.tensor([rest.index(row)]))
            if len(rest) > 1:
                terms.append(term)
        halves.append(torch.stack(terms).mean())
    found = contrastive_loss(text, image, TAU, PairTargets(excluded=excluded))
    torch.testing.assert_close(found, sum(halves) / 2, rtol=1e-12, atol=0)


@pytest.mark.parametrize("choice", CHOICES)
def test_the_loss_depends_on_neither_order_nor_names_nor_sides(choice: str) -> None:
    text, image = embeddings(7)
    expected = contrastive_loss(text, image, TAU, pair_targets(IMAGES, TEXTS, choice))
    order = torch.tensor([3, 6, 0, 2, 5, 1, 4])
    shuffled = pair_targets(90 - 3 * IMAGES[order], 5 * TEXTS[order], choice)
    torch.testing.assert_close(contrastive_loss(text[order], image[order], TAU, shuffled), expected)
    sides = pair_targets(TEXTS[:, None], IMAGES[:, 0], choice)
    torch.testing.assert_close(contrastive_loss(image, text, TAU, sides), expected)


@pytest.mark.parametrize("choice", ["masked", "positives"])
def test_pairs_of_one_image_alone_have_no_loss_and_no_gradient(choice: str) -> None:
    text, image = embeddings(3)
    loss = contrastive_loss(text, image, TAU, pair_targets(torch.zeros(3, 1).long(), torch.arange(3), choice))
    assert loss == 0
    assert all((gradient == 0).all() for gradient in torch.autograd.grad(loss, (text, image)))


def test_only_masked_pairs_can_be_told_apart_perfectly() -> None:
    """Two images with two captions each, embedded as well as can be: each caption lies on its image."""
    vectors = torch.eye(2, dtype=torch.float64).repeat_interleave(2, 0)
    images, texts = torch.tensor([[0], [0], [1], [1]]), torch.arange(4)
    losses = {
        choice: contrastive_loss(vectors, vectors, 0.01, pair_targets(images, texts, choice)).item()
        for choice in CHOICES
    }
    assert losses == {choice: pytest.approx(0 if choice == "masked" else math.log(2)) for choice in CHOICES}


def test_what_belongs_together() -> None:
    """A text belongs to all images that it stands beside, and so to all pairs of these images."""
    expected = torch.tensor([[belongs(a, b, IMAGES, TEXTS) for b in range(7)] for a in range(7)])
    itself = torch.eye(7, dtype=torch.bool)
    assert torch.equal(pair_targets(IMAGES, TEXTS, "masked").excluded, expected & ~itself)
    positives = pair_targets(IMAGES, TEXTS, "positives")
    assert torch.equal(positives.positive, expected)
    assert not positives.excluded.any()
    # Text 2 (of pairs 2, 3 and 4) stands beside image 0 in pair 4, and text 0 beside no image but image 0.
    assert expected[2, 0] and expected[2, 1] and not expected[0, 2]


def test_pairs_that_share_one_of_two_images_are_neither_positive_nor_negative() -> None:
    images = torch.tensor([[1, 2], [2, 3], [1, 2], [4, 5], [2, 1]])
    masked, positives = (pair_targets(images, torch.arange(5), choice) for choice in ("masked", "positives"))
    shared = torch.tensor([[a != b and 3 not in (a, b) for b in range(5)] for a in range(5)])
    assert torch.equal(masked.excluded, shared)
    same = torch.eye(5, dtype=torch.bool)
    same[0, 2] = same[2, 0] = True
    assert torch.equal(positives.positive, same)
    assert torch.equal(positives.excluded, shared & ~same)


@pytest.mark.parametrize("choice", CHOICES)
def test_bfloat16_does_not_turn_masks_into_nan(choice: str) -> None:
    text, image = embeddings(7, dtype=torch.float32)
    targets = pair_targets(IMAGES, TEXTS, choice)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = contrastive_loss(text, image, TAU, targets)
    gradients = torch.autograd.grad(rounded, (text, image))
    exact = contrastive_loss(text, image, TAU, targets)
    torch.testing.assert_close(rounded, exact, rtol=2e-2, atol=0, check_dtype=False)
    for found, expected in zip(gradients, torch.autograd.grad(exact, (text, image)), strict=True):
        assert torch.cosine_similarity(found.flatten(), expected.flatten(), dim=0) > 0.99


@pytest.mark.parametrize("choice", CHOICES)
def test_random_batches_equal_the_loop(choice: str) -> None:
    generator = torch.Generator().manual_seed(1)
    for seed, count in itertools.product(range(10), (2, 3, 8)):
        images = torch.randint(4, (count, 1), generator=generator)
        texts = torch.randint(5, (count,), generator=generator)
        text, image = embeddings(count, seed)
        found = contrastive_loss(text, image, TAU, pair_targets(images, texts, choice)).item()
        assert found == pytest.approx(plain_loss(text, image, images, texts, choice), rel=1e-12, abs=1e-15)
