"""The meta-gradient of a model: against plain autograd, finite differences and plain SGD on a copy."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable

import pytest
import torch
from batches import token_ids
from meta_gradients import Grads, assert_equal_gradients, meta_gradient, unrolled
from torch import Tensor
from transformers import PreTrainedModel

from iglue_plugins.data.batching import Batcher
from iglue_plugins.trainers.meta_objective import MetaObjective

LOSSES = ("task", "contrastive", "both")
ATTENTION = "batch_loss.model.encoder.layers.0.query_key_value.weight"
WORDS = "batch_loss.model.encoder.text_embeddings.word_embeddings.weight"
MakeMeta = Callable[..., MetaObjective]


# Against plain autograd over all parameters


@pytest.mark.parametrize(("inner", "outer"), list(itertools.product(LOSSES, LOSSES)))
@pytest.mark.parametrize("first_order", [True, False])
def test_every_pair_of_losses_agrees_with_autograd(
    meta: MakeMeta, episodes: list[dict], inner: str, outer: str, first_order: bool
) -> None:
    objective = meta(inner_loss=inner, outer_loss=outer, first_order=first_order)
    found, expected = meta_gradient(objective, episodes), unrolled(objective, episodes)
    torch.testing.assert_close(found[0], expected[0], rtol=1e-12, atol=0)
    assert_equal_gradients(found[1], expected[1])


@pytest.mark.parametrize("inner_steps", [2, 3])
@pytest.mark.parametrize("storage", ["graphs", "parameters", "start"])
def test_several_steps_agree_with_autograd_in_every_storage(
    meta: MakeMeta, episodes: list[dict], inner_steps: int, storage: str
) -> None:
    factors = (1.0, 0.5, 2.0)[:inner_steps]
    objective = meta(inner_steps=inner_steps, inner_storage=storage, inner_lr_factors=factors, inner_loss="both")
    assert_equal_gradients(meta_gradient(objective, episodes)[1], unrolled(objective, episodes)[1])


@pytest.mark.parametrize("storage", ["parameters", "start"])
def test_inner_storage_does_not_change_the_gradient_of_a_model_with_dropout(
    make_model: Callable[..., PreTrainedModel], meta: MakeMeta, batchers: dict[str, Batcher], storage: str
) -> None:
    batch = batchers["tr"].batch
    episodes = [{"language": "tr", "support": batch(range(4)), "query": batch(range(4, 8))}]

    def run(storage: str) -> tuple[Tensor, Grads]:
        torch.manual_seed(3)
        return meta_gradient(meta(noisy, inner_steps=3, inner_storage=storage), episodes)

    noisy = make_model(dropout=0.1).train()
    (loss, expected), (same_loss, found) = run("graphs"), run(storage)
    assert torch.equal(loss, same_loss)
    assert_equal_gradients(found, expected, 0)
    assert all(value.isfinite().all() for value in found.values())


@pytest.mark.parametrize("first_order", [True, False])
def test_dropout_is_drawn_in_the_order_of_a_plain_loop(
    make_model: Callable[..., PreTrainedModel], meta: MakeMeta, episodes: list[dict], first_order: bool
) -> None:
    objective = meta(make_model(dropout=0.1).double().train(), inner_steps=2, first_order=first_order)
    results = []
    for gradient_of in (meta_gradient, unrolled):
        torch.manual_seed(3)
        results.append(gradient_of(objective, episodes))
    torch.testing.assert_close(results[0][0], results[1][0], rtol=1e-12, atol=0)
    assert_equal_gradients(results[0][1], results[1][1])


def test_a_shared_weight_is_trained_once(meta: MakeMeta, model: PreTrainedModel, episodes: list[dict]) -> None:
    first, second = model.encoder.layers
    second.intermediate.weight = first.intermediate.weight
    model.contrastive.text.bias = model.contrastive.image.bias
    objective = meta(inner_steps=2)
    found = meta_gradient(objective, episodes)[1]
    assert_equal_gradients(found, unrolled(objective, episodes)[1])
    assert "batch_loss.model.encoder.layers.1.intermediate.weight" not in found
    assert_slope(objective, episodes, found)


@pytest.mark.parametrize("first_order", [True, False])
def test_frozen_parameters_are_neither_adapted_nor_trained(
    meta: MakeMeta, episodes: list[dict], first_order: bool
) -> None:
    objective = meta(first_order=first_order)
    all_trained = meta_gradient(objective, episodes)[0]
    for name, parameter in objective.named_parameters():
        parameter.requires_grad_("embeddings" not in name)
    loss, found = meta_gradient(objective, episodes)
    assert_equal_gradients(found, unrolled(objective, episodes)[1])
    assert {name for name, value in found.items() if value is None} == {name for name in found if "embeddings" in name}
    assert abs(loss - all_trained) > 1e-4  # the embeddings would have made a difference


# Against finite differences


def assert_slope(objective: MetaObjective, episodes: list[dict], found: Grads) -> None:
    """The gradient's slope along itself and a random direction is that of the loss, to 1e-8."""
    parameters = {name: value for name, value in objective.named_parameters() if found[name] is not None}
    draw = torch.Generator().manual_seed(1)
    random = {name: torch.randn(value.shape, generator=draw, dtype=torch.float64) for name, value in parameters.items()}
    towards = {name: found[name] / norm(found.values()) + random[name] / norm(random.values()) for name in parameters}
    slope = sum((found[name] * towards[name]).sum() for name in parameters)

    @torch.no_grad()
    def loss_at(distance: float) -> float:
        for name, value in parameters.items():
            value.add_(towards[name], alpha=distance)
        loss = objective(episodes)["loss"].item()
        for name, value in parameters.items():
            value.sub_(towards[name], alpha=distance)
        return loss

    step = 5e-6  # short enough to meet no kink of a ReLU
    near, far = (loss_at(factor * step) - loss_at(-factor * step) for factor in (1, 2))
    assert slope.item() == pytest.approx((8 * near - far) / (12 * step), rel=1e-8)


def norm(values: object) -> float:
    return sum(value.square().sum().item() for value in values if value is not None) ** 0.5


@pytest.mark.parametrize(("inner", "outer"), list(itertools.product(LOSSES, LOSSES)))
def test_meta_gradient_equals_finite_differences(meta: MakeMeta, episodes: list[dict], inner: str, outer: str) -> None:
    objective = meta(inner_loss=inner, outer_loss=outer)
    assert_slope(objective, episodes, meta_gradient(objective, episodes)[1])


@pytest.mark.parametrize("inner_steps", [2, 3])
def test_finite_differences_of_several_steps(meta: MakeMeta, episodes: list[dict], inner_steps: int) -> None:
    objective = meta(inner_steps=inner_steps)
    assert_slope(objective, episodes, meta_gradient(objective, episodes)[1])


# First order


def first_order_reference(objective: MetaObjective, episode: dict) -> tuple[Tensor, Grads]:
    """Return the outer loss after plain SGD steps on a copy of the model, and its gradient with respect to theta'."""
    settings, copied = objective._settings, copy.deepcopy(objective.batch_loss)
    for _ in range(settings.inner_steps):
        loss = copied(episode["support"], settings.inner_loss)["loss"]
        slopes = torch.autograd.grad(loss, list(copied.parameters()), allow_unused=True)
        with torch.no_grad():
            for parameter, slope in zip(copied.parameters(), slopes, strict=True):
                if slope is not None:
                    parameter -= settings.inner_lr * slope
    loss = copied(episode["query"], settings.outer_loss)["loss"]
    loss.backward()
    return loss.detach(), {f"batch_loss.{name}": parameter.grad for name, parameter in copied.named_parameters()}


@pytest.mark.parametrize("inner_steps", [1, 2])
def test_first_order_is_the_gradient_at_the_adapted_parameters(
    meta: MakeMeta, episodes: list[dict], inner_steps: int
) -> None:
    settings = {"inner_steps": inner_steps, "inner_loss": "both"}
    loss, found = meta_gradient(meta(**settings, first_order=True), episodes[:1])
    expected_loss, expected = first_order_reference(meta(**settings), episodes[0])
    torch.testing.assert_close(loss, expected_loss, rtol=1e-12, atol=0)
    assert_equal_gradients(found, expected)
    exact = meta_gradient(meta(**settings), episodes[:1])[1]
    assert (exact[ATTENTION] - found[ATTENTION]).norm() > 0.01 * found[ATTENTION].norm()  # there is curvature to drop


def test_a_contrastive_inner_loop_does_not_adapt_the_head(meta: MakeMeta, episodes: list[dict]) -> None:
    """The head's meta-gradient has no second-order part: it is the plain gradient at theta'."""
    objective = meta(outer_loss="task", inner_steps=2)
    found, expected = meta_gradient(objective, episodes[:1])[1], first_order_reference(objective, episodes[0])[1]
    heads = [name for name in found if ".head." in name]
    assert len(heads) == 6
    assert_equal_gradients({name: found[name] for name in heads}, {name: expected[name] for name in heads})


# The embedding subset


@pytest.mark.parametrize("first_order", [True, False])
def test_the_embedding_subset_is_exact_and_the_other_rows_gradients_are_zero(
    meta: MakeMeta, model: PreTrainedModel, episodes: list[dict], first_order: bool
) -> None:
    objective = meta(inner_steps=2, first_order=first_order)
    sizes = []
    model.encoder.text_embeddings.register_forward_hook(
        lambda module, *_: sizes.append(len(module.word_embeddings.weight))
    )
    results = []
    for model.token_id_keys in ((), ("input_ids",)):
        results.append(meta_gradient(objective, episodes))
    used_ids = token_ids(*(episode[part] for episode in episodes for part in ("support", "query")))
    assert set(sizes) == {model.config.vocab_size, len(used_ids)}
    assert torch.equal(results[0][0], results[1][0])
    assert_equal_gradients(results[0][1], results[1][1], 1e-12)
    words = results[1][1][WORDS]
    assert words.shape == (model.config.vocab_size, 16)
    touched = set(words.any(1).nonzero().flatten().tolist())
    assert len(touched) > 10
    assert touched < used_ids  # a padding's row has no gradient, nor has a text that no loss reads
