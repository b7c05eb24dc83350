"""The inner loop and the meta-gradient: against closed forms, finite differences and a loop written out by hand."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from iglue_plugins.data.batching import Batch, Batcher
from iglue_plugins.tasks.base import Task
from iglue_plugins.trainers.maml import adapt
from iglue_plugins.trainers.objectives import BatchLoss
from iglue_plugins.trainers.xvl_maml import MetaObjective, XVLMAMLSettings

LOSSES = ("task", "contrastive", "both")
ALPHA = 0.3
Grads = dict[str, Tensor | None]


# Closed forms


@pytest.fixture
def quadratics() -> dict[str, Tensor]:
    """Inner loss x'Ax / 2 - b'x, outer loss x'Cx / 2 - d'x, both in 4 dimensions; A and C are symmetric."""
    draw = torch.Generator().manual_seed(0)
    a, c = (torch.randn(4, 4, generator=draw, dtype=torch.float64) for _ in range(2))
    b, d, x = (torch.randn(4, generator=draw, dtype=torch.float64) for _ in range(3))
    return {"a": a @ a.T / 4, "b": b, "c": c @ c.T / 4, "d": d, "x": x}


@pytest.mark.parametrize("steps", [1, 2, 3])
@pytest.mark.parametrize("second_order", [True, False])
def test_meta_gradient_of_quadratics(quadratics: dict[str, Tensor], steps: int, second_order: bool) -> None:
    a, b, c, d, x = (quadratics[key] for key in "abcdx")
    start = x.clone().requires_grad_()
    adapted, first_loss = adapt(
        lambda at: at["x"] @ a @ at["x"] / 2 - b @ at["x"], {"x": start}, steps=steps, learning_rate=ALPHA,
        second_order=second_order)
    (adapted["x"] @ c @ adapted["x"] / 2 - d @ adapted["x"]).backward()

    expected = x
    for _ in range(steps):
        expected = expected - ALPHA * (a @ expected - b)
    jacobian = torch.linalg.matrix_power(torch.eye(4, dtype=torch.float64) - ALPHA * a, steps)
    gradient = c @ expected - d
    torch.testing.assert_close(adapted["x"].detach(), expected, rtol=0, atol=1e-10)
    torch.testing.assert_close(start.grad, jacobian @ gradient if second_order else gradient, rtol=0, atol=1e-10)
    torch.testing.assert_close(first_loss, x @ a @ x / 2 - b @ x, rtol=0, atol=1e-10)
    assert not first_loss.requires_grad
    assert torch.equal(start.detach(), x)


def test_parameters_that_the_loss_does_not_depend_on_come_back_as_they_are() -> None:
    used, unused = (torch.ones(2, requires_grad=True) for _ in range(2))
    adapted, _ = adapt(lambda at: at["used"].sum(), {"used": used, "unused": unused}, steps=2, learning_rate=0.5,
                       second_order=True)
    assert adapted["unused"] is unused
    assert adapted["used"].tolist() == [0, 0]


# The meta-objective on a model


@pytest.fixture
def model(make_model: Callable[..., PreTrainedModel]) -> PreTrainedModel:
    return make_model().double()


@pytest.fixture
def episodes(batchers: dict[str, Batcher], doubled: Callable[[Batch], Batch]) -> list[dict]:
    """Turkish and German, with 5 examples of support and 4 of query."""
    rows = np.arange(9)
    return [{"language": language, "support": doubled(batcher.batch(rows[:5] + shift)),
             "query": doubled(batcher.batch(rows[5:] + shift))}
            for shift, (language, batcher) in enumerate(batchers.items())]


@pytest.fixture
def meta(task: Task, model: PreTrainedModel) -> Callable[..., MetaObjective]:
    """The objective over `model` with these settings; the inner steps are long, so that curvature counts."""

    def make(**settings: object) -> MetaObjective:
        made = XVLMAMLSettings(**{"inner_lr": 0.05, "temperature": 0.5} | settings)
        return MetaObjective(BatchLoss(model, task, made), made)

    return make


def gradients(objective: nn.Module, loss: Tensor) -> Grads:
    names, parameters = zip(*objective.named_parameters())
    return dict(zip(names, torch.autograd.grad(loss, parameters, allow_unused=True)))


def assert_equal_gradients(found: Grads, expected: Grads, tolerance: float) -> None:
    assert found.keys() == expected.keys()
    for name, gradient in found.items():
        assert (gradient is None) == (expected[name] is None), name
        if gradient is not None:
            torch.testing.assert_close(
                gradient, expected[name], rtol=tolerance, atol=tolerance, msg=lambda text: f"{name}: {text}")


@pytest.mark.parametrize(("inner", "outer"), list(itertools.product(LOSSES, LOSSES)))
@pytest.mark.parametrize("inner_steps", [1, 2])
def test_meta_gradient_equals_finite_differences(
    meta: Callable[..., MetaObjective], episodes: list[dict], inner: str, outer: str, inner_steps: int
) -> None:
    objective = meta(inner_loss=inner, outer_loss=outer, inner_steps=inner_steps)
    objective.is_logging = False
    parameters = list(objective.parameters())
    draw = torch.Generator().manual_seed(1)
    direction = [torch.randn(p.shape, generator=draw, dtype=p.dtype) for p in parameters]
    found = gradients(objective, objective(episodes)["loss"])
    slope = sum((gradient * towards).sum() for gradient, towards in zip(found.values(), direction)
                if gradient is not None)

    def loss_at(distance: float) -> float:
        with torch.no_grad():
            for parameter, towards in zip(parameters, direction):
                parameter.add_(towards, alpha=distance)
        value = objective(episodes)["loss"].item()
        with torch.no_grad():
            for parameter, towards in zip(parameters, direction):
                parameter.sub_(towards, alpha=distance)
        return value

    step = 1e-7  # short enough to meet no kink of a ReLU
    assert slope.item() == pytest.approx((loss_at(step) - loss_at(-step)) / (2 * step), rel=1e-6)


def written_out(objective: MetaObjective, episode: dict) -> tuple[Tensor, Grads]:
    """Inner steps of plain SGD on a copy of the model; the outer loss there, and its gradient by theta'."""
    settings, copied = objective._settings, copy.deepcopy(objective.batch_loss)
    for _ in range(settings.inner_steps):
        trained = [parameter for parameter in copied.parameters() if parameter.requires_grad]
        steps = torch.autograd.grad(copied(episode["support"], settings.inner_loss)["loss"], trained, allow_unused=True)
        with torch.no_grad():
            for parameter, step in zip(trained, steps):
                if step is not None:
                    parameter -= settings.inner_lr * step
    loss = copied(episode["query"], settings.outer_loss)["loss"]
    loss.backward()
    return loss.detach(), {f"batch_loss.{name}": parameter.grad for name, parameter in copied.named_parameters()}


@pytest.mark.parametrize("inner_steps", [1, 2])
@pytest.mark.parametrize("inner", ["contrastive", "both"])
def test_first_order_is_the_gradient_at_the_adapted_parameters(
    meta: Callable[..., MetaObjective], episodes: list[dict], inner: str, inner_steps: int
) -> None:
    objective = meta(inner_loss=inner, inner_steps=inner_steps, first_order=True)
    loss = objective(episodes[:1])["loss"]
    expected_loss, expected = written_out(objective, episodes[0])
    torch.testing.assert_close(loss.detach(), expected_loss, rtol=1e-10, atol=1e-10)
    found = gradients(objective, loss)
    assert_equal_gradients(found, expected, 1e-10)

    second = meta(inner_loss=inner, inner_steps=inner_steps)
    exact = gradients(second, second(episodes[:1])["loss"])
    name = "batch_loss.model.encoder.layers.0.query_key_value.weight"
    assert (exact[name] - found[name]).norm() > 0.01 * found[name].norm()  # curvature is there to be dropped


def test_languages_add_up(meta: Callable[..., MetaObjective], episodes: list[dict]) -> None:
    objective = meta()
    together = objective(episodes)
    apart = [objective([episode]) for episode in episodes]
    torch.testing.assert_close(together["loss"], apart[0]["loss"] + apart[1]["loss"], rtol=1e-12, atol=0)
    found = gradients(objective, together["loss"])
    tr, de = (gradients(objective, outcome["loss"]) for outcome in apart)
    assert_equal_gradients(found, {name: tr[name] + de[name] for name in found}, 1e-10)
    for name in ("task_loss", "contrastive_loss", "inner_loss_before", "inner_loss_after"):
        torch.testing.assert_close(together[name], (apart[0][name] + apart[1][name]) / 2, rtol=1e-12, atol=0)


def test_inner_rate_0_is_the_plain_loss_on_the_query(meta: Callable[..., MetaObjective], episodes: list[dict]) -> None:
    objective = meta(inner_lr=0)
    outcome = objective(episodes[:1])
    plain = objective.batch_loss(episodes[0]["query"], "both")
    assert torch.equal(outcome["loss"], plain["loss"])
    assert outcome.keys() == {"loss", "task_loss", "contrastive_loss", "contrastive_pairs"}
    assert_equal_gradients(gradients(objective, outcome["loss"]), gradients(objective, plain["loss"]), 0)


def test_the_inner_loss_falls_and_is_logged_where_it_is_read(
    meta: Callable[..., MetaObjective], episodes: list[dict]
) -> None:
    objective = meta(inner_lr=1e-3)
    outcome = objective(episodes[:1])
    at_start = objective.batch_loss(episodes[0]["support"], "contrastive")["loss"]
    torch.testing.assert_close(outcome["inner_loss_before"], at_start.detach(), rtol=1e-10, atol=0)
    assert outcome["inner_loss_after"] < at_start
    assert not outcome["inner_loss_after"].requires_grad
    objective.is_logging = False
    assert objective(episodes[:1]).keys() == outcome.keys() - {"inner_loss_after"}


def test_a_forward_leaves_the_model_alone(meta: Callable[..., MetaObjective], episodes: list[dict]) -> None:
    objective = meta(inner_steps=2)
    before = copy.deepcopy(objective.state_dict())
    outcome = objective(episodes)
    assert all(parameter.grad is None for parameter in objective.parameters())
    outcome["loss"].backward()
    assert all(torch.equal(value, before[name]) for name, value in objective.state_dict().items())
    assert all(parameter.grad is not None for parameter in objective.parameters())


def test_frozen_parameters_are_not_adapted(meta: Callable[..., MetaObjective], episodes: list[dict]) -> None:
    objective = meta(first_order=True)
    adapted_loss, _ = written_out(objective, episodes[0])
    for name, parameter in objective.named_parameters():
        parameter.requires_grad_("embeddings" not in name)
    outcome = objective(episodes[:1])
    expected_loss, expected = written_out(objective, episodes[0])
    torch.testing.assert_close(outcome["loss"].detach(), expected_loss, rtol=1e-10, atol=1e-10)
    assert abs(expected_loss - adapted_loss) > 1e-4  # the embeddings would have made a difference
    outcome["loss"].backward()
    assert_equal_gradients({name: p.grad for name, p in objective.named_parameters()}, expected, 1e-10)


def test_a_contrastive_inner_loop_leaves_the_head_to_the_outer_one(
    meta: Callable[..., MetaObjective], episodes: list[dict]
) -> None:
    """The head's meta-gradient has no second-order part: it is the plain gradient at theta'."""
    objective = meta(outer_loss="task", inner_steps=2)
    _, expected = written_out(objective, episodes[0])
    found = gradients(objective, objective(episodes[:1])["loss"])
    heads = [name for name in found if ".head." in name]
    assert len(heads) == 6
    assert_equal_gradients({name: found[name] for name in heads}, {name: expected[name] for name in heads}, 1e-10)


@pytest.mark.parametrize("first_order", [True, False])
def test_float32_works_with_attention_dropout(
    make_model: Callable[..., PreTrainedModel], task: Task, batchers: dict[str, Batcher], first_order: bool
) -> None:
    settings = XVLMAMLSettings(first_order=first_order)
    objective = MetaObjective(BatchLoss(make_model(dropout=0.1).train(), task, settings), settings)
    batch = batchers["tr"].batch
    outcome = objective([{"language": "tr", "support": batch(range(4)), "query": batch(range(4, 8))}])
    outcome["loss"].backward()
    assert all(parameter.grad.isfinite().all() for parameter in objective.parameters())
