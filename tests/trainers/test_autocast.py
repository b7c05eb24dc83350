"""The meta-step in bfloat16: its gradients beside those of float32, and the copies of parameters that it keeps."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from meta_gradients import Grads, meta_gradient
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.weak import TensorWeakRef
from transformers import PreTrainedModel

from iglue_plugins.data.batching import Batcher
from iglue_plugins.trainers.meta_objective import MetaObjective

MakeMeta = Callable[..., MetaObjective]


@pytest.fixture
def float32_episodes(batchers: dict[str, Batcher]) -> list[dict]:
    return [
        {"language": language, "support": batcher.batch(range(5)), "query": batcher.batch(range(5, 9))}
        for language, batcher in batchers.items()
    ]


# Gradients


def relative_difference(found: Grads, expected: Grads) -> float:
    """The norm of the difference of two gradients, beside the norm of the expected one."""
    assert found.keys() == expected.keys()
    assert [name for name in found if (found[name] is None) != (expected[name] is None)] == []
    pairs = [(value, expected[name]) for name, value in found.items() if value is not None]
    off = sum((value - other).norm() ** 2 for value, other in pairs)
    return float((off / sum(other.norm() ** 2 for _, other in pairs)).sqrt())


@pytest.mark.parametrize(
    ("first_order", "storage", "checkpointing"),
    [(True, "graphs", False), (False, "graphs", False), (False, "start", False), (False, "start", True)],
)
def test_gradients_in_bfloat16_are_those_of_float32_but_for_rounding(
    make_model: Callable[..., PreTrainedModel],
    meta: MakeMeta,
    float32_episodes: list[dict],
    first_order: bool,
    storage: str,
    checkpointing: bool,
) -> None:
    """The model has dropout, and takes two inner steps long enough for the order to matter."""
    model = make_model(dropout=0.1).train()
    if checkpointing:
        model.activation_checkpointing_enable()
    settings = {"inner_lr": 0.1, "inner_steps": 2, "inner_storage": storage}
    objective = meta(model, first_order=first_order, **settings)
    torch.manual_seed(1)
    loss, expected = meta_gradient(objective, float32_episodes)
    torch.manual_seed(1)
    with torch.autocast("cpu", torch.bfloat16):
        rounded_loss, found = meta_gradient(objective, float32_episodes)
    assert {value.dtype for value in found.values() if value is not None} == {torch.float32}
    assert rounded_loss.item() == pytest.approx(loss.item(), rel=0.01)
    assert 0 < relative_difference(found, expected) < 0.05
    torch.manual_seed(1)
    other_order = meta_gradient(meta(model, first_order=not first_order, **settings), float32_episodes)[1]
    assert relative_difference(other_order, expected) > 0.1


# Memory


class ParameterCopies(TorchDispatchMode):
    """Notes how many bfloat16 copies of a model's parameters are in memory at once.

    Args:
        shapes: The shapes of the parameters, which no other tensor has.
    """

    def __init__(self, shapes: set[torch.Size]) -> None:
        super().__init__()
        self.most = 0
        self._shapes, self._copies = shapes, []

    def __torch_dispatch__(self, operation: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        made = operation(*args, **(kwargs or {}))
        if operation is torch.ops.aten._to_copy.default and made.dtype == torch.bfloat16 and made.shape in self._shapes:
            self._copies = [copy for copy in self._copies if copy() is not None] + [TensorWeakRef(made)]
            self.most = max(self.most, len(self._copies))
        return made


@contextmanager
def counting_copies(model: PreTrainedModel) -> Iterator[ParameterCopies]:
    """Count copies of one layer's weights."""
    layer = model.encoder.layers[0].intermediate
    with ParameterCopies({layer.weight.shape}) as copies, torch.autocast("cpu", torch.bfloat16):
        yield copies


@pytest.mark.parametrize(
    "settings",
    [
        {"inner_storage": "start"},
        {"inner_storage": "parameters"},
        {"first_order": True},
        {"learned_rates": "layer", "first_order": True},
        {"inner_storage": "start", "checkpointing": True},
    ],
    ids=["start", "parameters", "first order", "learned rates", "checkpointing"],
)
def test_copies_of_parameters_do_not_add_up_over_inner_steps(
    make_model: Callable[..., PreTrainedModel], meta: MakeMeta, float32_episodes: list[dict], settings: dict[str, Any]
) -> None:
    model = make_model().train()
    if settings.pop("checkpointing", False):
        model.activation_checkpointing_enable()
    most = {}
    for steps in (1, 6):
        with counting_copies(model) as copies:
            objective = meta(model, inner_steps=steps, **settings)
            objective(float32_episodes)["loss"].backward()
        most[steps] = copies.most
    assert 0 < most[1] == most[6], most


def test_copies_of_parameters_are_gone_when_the_meta_step_is(
    make_model: Callable[..., PreTrainedModel], meta: MakeMeta, float32_episodes: list[dict]
) -> None:
    """The surrounding autocast of a training step is still entered."""
    model = make_model().train()
    with counting_copies(model) as copies:
        outcome = meta(model, inner_steps=2)(float32_episodes)
        assert [copy() for copy in copies._copies] == [None] * len(copies._copies)
    assert isinstance(outcome["loss"], Tensor)
