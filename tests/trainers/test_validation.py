"""Validation during training: the best weights are kept, and a training that resumes finds them again."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from iglue_plugins.data.episodes import Steps
from iglue_plugins.data.processors.regions import RegionProcessor
from iglue_plugins.tasks.base import Task
from iglue_plugins.trainers import engine
from iglue_plugins.trainers.finetune import Finetune
from iglue_plugins.trainers.settings.base import TrainerSettings
from iglue_plugins.trainers.settings.finetune import FinetuneSettings
from iglue_plugins.utils.errors import UserError

Weights = dict[str, Tensor]


class Counting(nn.Module):
    """A module whose weight counts the steps: AdamW raises it by 1 in each at learning rate 1."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))

    def forward(self, labels: Tensor) -> dict[str, Tensor]:
        return {"loss": -self.weight.sum()}


@pytest.fixture
def counting() -> tuple[TrainerSettings, Steps]:
    settings = TrainerSettings(
        steps=7, learning_rate=1.0, warmup=0, weight_decay=0, clip_norm=0, save_every=2, validate_every=2
    )
    return settings, Steps(lambda step: {"labels": torch.ones(1)}, 7, epoch=3)


def test_the_weights_that_score_best_are_kept(counting: tuple[TrainerSettings, Steps], tmp_path: Path) -> None:
    (settings, steps), objective, seen = counting, Counting(), []

    def validate() -> float:
        seen.append(objective.weight.item())
        return [1.0, 3.0, 3.0, 2.0][len(seen) - 1]

    training = engine.train(objective, steps, settings, seed=0, folder=tmp_path, validate=validate)
    assert len(seen) == 4  # after 2, 4 and 6 steps, and at the end
    assert training == engine.Training(7, {"step": 4, "score": 3.0}, {})
    assert objective.weight.item() == seen[1]


@pytest.mark.parametrize("killed_after", [1, 2, 3, 4])
def test_an_interrupted_training_resumes_with_its_best_validation(
    counting: tuple[TrainerSettings, Steps], tmp_path: Path, killed_after: int
) -> None:
    """The score rises and falls with the weights, so that the best is neither the first nor the last."""
    settings, steps = counting
    objective, calls = Counting(), itertools.count(1)

    def validate() -> float:
        if next(calls) == killed_after:
            raise KeyboardInterrupt
        return -abs(objective.weight.item() - 3.5)

    whole = Counting()
    expected = engine.train(
        whole, steps, settings, seed=0, folder=tmp_path / "whole", validate=lambda: -abs(whole.weight.item() - 3.5)
    )
    with pytest.raises(KeyboardInterrupt):
        engine.train(objective, steps, settings, seed=0, folder=tmp_path / "run", validate=validate)
    objective = Counting()
    assert engine.train(objective, steps, settings, seed=0, folder=tmp_path / "run", validate=validate) == expected
    assert torch.equal(objective.weight, whole.weight)
    assert 2 < expected.best["step"] < 7


def test_validation_once_an_epoch(counting: tuple[TrainerSettings, Steps], tmp_path: Path) -> None:
    settings, steps = counting
    seen: list[float] = []
    engine.train(
        Counting(),
        steps,
        settings.model_copy(update={"validate_every": "epoch"}),
        seed=0,
        folder=tmp_path,
        validate=lambda: seen.append(0.0) or 0.0,
    )
    assert len(seen) == 3  # after 3 and 6 steps, and at the end
    without = Steps(lambda step: {"labels": torch.ones(1)}, 7)
    with pytest.raises(UserError, match="^trainer.validate_every: .* number of steps"):
        engine.train(
            Counting(),
            without,
            settings.model_copy(update={"validate_every": "epoch"}),
            seed=0,
            folder=tmp_path / "other",
            validate=lambda: 0.0,
        )


@pytest.mark.parametrize("batch_size", [2, 4])
def test_validation_has_batches_of_the_evaluations_size(
    make_model: Callable[..., PreTrainedModel],
    processor: RegionProcessor,
    task: Task,
    tmp_path: Path,
    batch_size: int,
) -> None:
    model, rows = make_model(), []

    def note(module: nn.Module, args: object, inputs: dict[str, Tensor]) -> None:
        if not module.training:
            rows.append(len(inputs["input_ids"]))

    model.register_forward_pre_hook(note, with_kwargs=True)
    trainer = Finetune(FinetuneSettings(steps=2, batch_size=8, validate_every=1))
    trainer.fit(model, processor, task, folder=tmp_path, evaluation_batch_size=batch_size)
    assert (max(rows), sum(rows)) == (batch_size, 2 * 6)
