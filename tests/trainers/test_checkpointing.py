"""Gradient checkpointing inside a meta-step: its backward passes recompute layers and give the same gradients."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from batches import token_ids
from torch import Tensor
from transformers import PreTrainedModel

from iglue_plugins.data.batching import Batch, Batcher
from iglue_plugins.tasks.base import Task
from iglue_plugins.trainers.meta_objective import MetaObjective
from iglue_plugins.trainers.objectives import BatchLoss
from iglue_plugins.trainers.settings.xvl_maml import XVLMAMLSettings

WORDS = "encoder.text_embeddings.word_embeddings.weight"
ATTENTION = "encoder.layers.0.query_key_value.weight"


@pytest.fixture
def episodes(batchers: dict[str, Batcher], doubled: Callable[[Batch], Batch]) -> list[dict]:
    rows = np.arange(7)
    return [
        {"language": language, "support": doubled(batcher.batch(rows[:4])), "query": doubled(batcher.batch(rows[4:]))}
        for language, batcher in batchers.items()
    ]


def meta_gradient(
    model: PreTrainedModel, task: Task, episodes: list[dict], settings: XVLMAMLSettings
) -> tuple[dict[str, Tensor | None], int]:
    """Return the meta-gradient by parameter name, and how often the first layer was computed."""
    objective, calls = MetaObjective(BatchLoss(model, task, settings), settings), []
    hook = model.encoder.layers[0].intermediate.register_forward_hook(lambda *_: calls.append(1))
    torch.manual_seed(0)
    loss = objective(episodes)["loss"]
    gradients = torch.autograd.grad(loss, list(model.parameters()), allow_unused=True)
    hook.remove()
    return dict(zip((name for name, _ in model.named_parameters()), gradients, strict=True)), len(calls)


@pytest.mark.parametrize("storage", ["graphs", "start"])
@pytest.mark.parametrize("first_order", [True, False])
def test_gradient_checkpointing_does_not_change_the_meta_gradient(
    make_model: Callable[..., PreTrainedModel], task: Task, episodes: list[dict], first_order: bool, storage: str
) -> None:
    """The model has dropout, takes two inner steps, and uses an embedding subset."""
    settings = XVLMAMLSettings(
        inner_lr=0.05, temperature=0.5, inner_steps=2, first_order=first_order, inner_storage=storage
    )
    model = make_model(dropout=0.1).double().train()
    expected, calls_without = meta_gradient(model, task, episodes, settings)
    model.activation_checkpointing_enable()
    checkpointed, calls_with = meta_gradient(model, task, episodes, settings)
    assert calls_with > calls_without, "layers are recomputed"
    for name, gradient in expected.items():
        assert (gradient is None) == (checkpointed[name] is None), name
        if gradient is not None:
            torch.testing.assert_close(checkpointed[name], gradient, rtol=1e-9, atol=1e-11, msg=name)
    used_ids = token_ids(*(episode[part] for episode in episodes for part in ("support", "query")))
    assert set(checkpointed[WORDS].abs().sum(1).nonzero().flatten().tolist()) <= used_ids
    assert min(expected[name].abs().max() for name in (WORDS, ATTENTION)) > 1e-3


def test_first_and_second_order_differ_under_gradient_checkpointing(
    make_model: Callable[..., PreTrainedModel], task: Task, episodes: list[dict]
) -> None:
    model = make_model().double().train()
    model.activation_checkpointing_enable()
    first, second = (
        meta_gradient(model, task, episodes, settings)[0]
        for settings in (
            XVLMAMLSettings(inner_lr=0.05, temperature=0.5, first_order=True),
            XVLMAMLSettings(inner_lr=0.05, temperature=0.5, first_order=False),
        )
    )
    assert min((first[name] - second[name]).abs().max() for name in (WORDS, ATTENTION)) > 1e-4
