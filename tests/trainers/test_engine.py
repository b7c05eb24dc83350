"""The training loop: accumulation, divergence, the optimizer, the schedule and logs."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import Tensor, nn
from transformers import PreTrainedModel, TrainingArguments

from iglue_plugins.data.batching import Batch, Batcher
from iglue_plugins.data.episodes import Steps, batch_steps
from iglue_plugins.data.processors.regions import RegionProcessor
from iglue_plugins.models.heads import MaskedWordHead
from iglue_plugins.tasks.base import Task
from iglue_plugins.trainers import engine
from iglue_plugins.trainers.arguments import training_arguments
from iglue_plugins.trainers.base import Trainer
from iglue_plugins.trainers.finetune import Finetune
from iglue_plugins.trainers.objectives import BatchLoss, BatchObjective
from iglue_plugins.trainers.settings.base import TrainerSettings
from iglue_plugins.trainers.settings.finetune import FinetuneSettings
from iglue_plugins.trainers.settings.xvl_maml import XVLMAMLSettings
from iglue_plugins.trainers.xvl_maml import XVLMAML
from iglue_plugins.utils.errors import UserError

Weights = dict[str, Tensor]


# Accumulation and devices


def test_accumulating_two_half_batches_equals_one_batch(
    make_model: Callable[..., PreTrainedModel],
    task: Task,
    batchers: dict[str, Batcher],
    doubled: Callable[[Batch], Batch],
    tmp_path: Path,
) -> None:
    def train(batch_size: int, accumulation: int) -> Weights:
        settings = FinetuneSettings(
            steps=3, batch_size=batch_size, accumulation=accumulation, learning_rate=1e-2, warmup=0
        )
        objective = BatchObjective(BatchLoss(make_model().double(), task, settings), "task")
        steps = batch_steps([batchers["tr"]], batch_size, 3 * accumulation, seed=0)
        engine.train(
            objective,
            Steps(lambda step: {"batch": doubled(steps[step]["batch"])}, len(steps)),
            settings,
            seed=0,
            folder=tmp_path / str(batch_size),
        )
        return objective.state_dict()

    whole, halves = train(8, 1), train(4, 2)
    for name, value in whole.items():
        torch.testing.assert_close(halves[name], value, rtol=1e-6, atol=1e-9)


class OneWeight(nn.Module):
    """A plugin's objective that takes anything, as transformers' models do."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))

    def forward(self, labels: Tensor, **ignored: object) -> dict[str, Tensor]:
        return {"loss": (self.weight * labels).mean()}


def test_accumulation_averages_the_gradients_of_any_objective(tmp_path: Path) -> None:
    logged = {}
    for accumulation in (1, 4):
        settings = TrainerSettings(steps=1, accumulation=accumulation, warmup=0, clip_norm=0, log_every=1)
        steps = Steps(lambda step: {"labels": torch.ones(3)}, accumulation)
        engine.train(OneWeight(), steps, settings, seed=0, folder=tmp_path / str(accumulation))
        logged[accumulation] = scalars(tmp_path / str(accumulation))["train/grad_norm"]
    assert logged[1] == logged[4] == {1: 1.0}


def test_several_gpus_in_one_process_do_not_split_an_item(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TrainingArguments, "n_gpu", 4)
    assert training_arguments(FinetuneSettings(), 1, 1, 1, 0, tmp_path)._n_gpu == 1


# Divergence


class Diverging(nn.Module):
    """An objective whose loss, or only its gradient, is finite until some step."""

    def __init__(self, what: str, at: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))
        self._what, self._calls, self._at = what, itertools.count(1), at

    def forward(self, zero: Tensor) -> dict[str, Tensor]:
        if next(self._calls) < self._at:
            return {"loss": self.weight.sum()}
        return {"loss": self.weight.sum() / zero if self._what == "loss" else (self.weight * zero).abs().sqrt().sum()}


@pytest.mark.parametrize(
    ("what", "at", "message"),
    [
        ("loss", 2, "training diverged at step 2 with a loss of inf; lower "),
        ("gradient", 2, "training diverged at step 3 with a loss of nan; lower "),
        ("gradient", 3, "training diverged at step 3 with weights that are not finite; "),
    ],
)
@pytest.mark.parametrize(
    ("settings", "remedy"),
    [
        (FinetuneSettings(learning_rate=0.5), "lower trainer.learning_rate (0.5)"),
        (XVLMAMLSettings(learning_rate=0.5, inner_lr=2), "lower trainer.inner_lr (2.0) or trainer.learning_rate (0.5)"),
        (XVLMAMLSettings(learning_rate=0.5, inner_lr=0), "lower trainer.learning_rate (0.5)"),
    ],
    ids=["finetune", "xvl_maml", "inner_lr 0"],
)  # fmt: skip
def test_the_error_of_divergence_names_the_settings_to_lower(
    what: str, at: int, message: str, settings: TrainerSettings, remedy: str, tmp_path: Path
) -> None:
    steps = Steps(lambda step: {"zero": torch.zeros(())}, 3)
    settings = settings.model_copy(update={"steps": 3, "warmup": 0})
    with pytest.raises(UserError) as raised:
        engine.train(Diverging(what, at), steps, settings, seed=0, folder=tmp_path)
    assert str(raised.value).startswith(message)
    assert str(raised.value).endswith(remedy)


# The optimizer


class ZeroGradients(nn.Module):
    """Every weight is 1 and every gradient 0, so that only weight decay changes anything."""

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__()
        self.batch_loss = nn.Module()
        self.batch_loss.model = model
        self.masked_words = MaskedWordHead(model.config)
        for parameter in self.parameters():
            nn.init.ones_(parameter)

    def forward(self, **ignored: object) -> dict[str, Tensor]:
        return {"loss": 0 * sum(parameter.sum() for parameter in self.parameters())}


def test_biases_and_layer_norms_do_not_decay(make_model: Callable[..., PreTrainedModel], tmp_path: Path) -> None:
    objective = ZeroGradients(make_model())
    not_decayed = {
        f"{module}.{name}"
        for module, norm in objective.named_modules()
        if isinstance(norm, nn.LayerNorm)
        for name, _ in norm.named_parameters()
    }
    not_decayed |= {name for name, _ in objective.named_parameters() if name.endswith("bias")}
    assert "batch_loss.model.head.2.weight" in not_decayed  # the LayerNorm in the middle of a head
    assert "batch_loss.model.encoder.layers.1.output_norm.weight" in not_decayed

    settings = TrainerSettings(steps=2, learning_rate=0.1, weight_decay=0.5, warmup=0)
    engine.train(objective, Steps(lambda step: {"step": step}, 2), settings, seed=0, folder=tmp_path)
    decayed = (1 - 0.1 * 0.5) * (1 - 0.05 * 0.5)  # the learning rate falls to 0 over the two steps
    found = {name: parameter.unique().tolist() for name, parameter in objective.named_parameters()}
    assert found == {name: [1.0] if name in not_decayed else [pytest.approx(decayed)] for name in found}


@pytest.mark.parametrize(("warmup", "rates"), [(0.5, [0, 0.05, 0.1, 0.05]), (0, [0.1, 0.075, 0.05, 0.025])])
def test_the_learning_rate_rises_and_falls(warmup: float, rates: list[float], tmp_path: Path) -> None:
    settings = TrainerSettings(steps=4, learning_rate=0.1, warmup=warmup, log_every=1)
    engine.train(OneWeight(), Steps(lambda step: {"labels": torch.ones(1)}, 4), settings, seed=0, folder=tmp_path)
    assert list(scalars(tmp_path)["train/learning_rate"].values()) == pytest.approx(rates)


def test_clip_norm_limits_the_gradient(tmp_path: Path) -> None:
    """AdamW moves alike for gradients of equal norm, as clipping makes them here, but not for the unclipped ones."""
    moved = {}
    for clip_norm in (0.0, 1.0):
        objective = OneWeight()
        settings = TrainerSettings(steps=2, learning_rate=0.1, warmup=0, clip_norm=clip_norm)
        steps = Steps(lambda step: {"labels": torch.tensor([100.0, 1.0][step])}, 2)
        engine.train(objective, steps, settings, seed=0, folder=tmp_path / str(clip_norm))
        moved[clip_norm] = objective.weight.item()
    assert moved[1.0] == pytest.approx(-0.15, rel=1e-4)  # both gradients count as 1
    assert moved[0.0] != pytest.approx(-0.15, rel=1e-2)


# Logs


def scalars(folder: Path) -> dict[str, dict[int, float]]:
    """Read the logged values by name and step."""
    events = EventAccumulator(str(folder / "tensorboard"))
    events.Reload()
    return {tag: {event.step: event.value for event in events.Scalars(tag)} for tag in events.Tags()["scalars"]}


def test_scalars_are_logged_by_name(fit: Callable[..., Weights], tmp_path: Path) -> None:
    fit(XVLMAML(XVLMAMLSettings(steps=6, support_size=4, query_size=4, learning_rate=1e-2, inner_lr=0.01, log_every=2)))
    logged = scalars(tmp_path / "run")
    for name in (
        "loss",
        "task_loss",
        "contrastive_loss",
        "inner_loss_before",
        "inner_loss_after",
        "learning_rate",
        "grad_norm",
    ):
        assert list(logged[f"train/{name}"]) == [2, 4, 6], name
    for step in (2, 4, 6):  # loss is the sum over two languages, its parts are means over them; both of two steps
        parts = logged["train/task_loss"][step] + 0.1 * logged["train/contrastive_loss"][step]
        assert logged["train/loss"][step] == pytest.approx(2 * parts, rel=1e-5)


def test_logged_means_are_over_the_steps_since_the_last_log(tmp_path: Path) -> None:
    class Counting(OneWeight):
        def forward(self, number: Tensor) -> dict[str, Tensor]:
            return {"loss": self.weight.sum() * 0 + number, "number": number}

    settings = TrainerSettings(steps=4, log_every=2)
    engine.train(
        Counting(), Steps(lambda step: {"number": torch.tensor(float(step))}, 4), settings, seed=0, folder=tmp_path
    )
    assert scalars(tmp_path)["train/number"] == scalars(tmp_path)["train/loss"] == {2: 0.5, 4: 2.5}


# Training


@pytest.mark.parametrize(
    "trainer", [Finetune(FinetuneSettings(steps=2, batch_size=4)),
                XVLMAML(XVLMAMLSettings(steps=2, support_size=4, query_size=4))])  # fmt: skip
def test_fit_sets_the_head_of_the_task_and_trains_the_parameters_of_the_loss(
    trainer: Trainer,
    make_model: Callable[..., PreTrainedModel],
    task: Task,
    processor: RegionProcessor,
    tmp_path: Path,
) -> None:
    model = make_model()
    before = copy.deepcopy(model.state_dict())
    trainer.fit(model, processor, task, auxiliary_languages=("tr",), folder=tmp_path)
    assert (model.config.head, model.config.num_labels) == ("classifier", 3)
    after = model.state_dict()
    assert not torch.equal(after["encoder.text_pooler.weight"], before["encoder.text_pooler.weight"])
    contrastive = not torch.equal(after["contrastive.text.weight"], before["contrastive.text.weight"])
    assert contrastive is isinstance(trainer, XVLMAML)


# Schedules


def learning_rates(folder: Path) -> list[float]:
    return list(scalars(folder)["train/learning_rate"].values())


def test_the_schedule_may_be_longer_than_the_training(tmp_path: Path) -> None:
    settings = TrainerSettings(steps=4, learning_rate=1.0, warmup=0.25, log_every=1)
    steps = Steps(lambda step: {"labels": torch.ones(1)}, 4, schedule=8)
    assert engine.train(OneWeight(), steps, settings, seed=0, folder=tmp_path).steps == 4
    assert learning_rates(tmp_path)[:4] == pytest.approx([0, 1 / 2, 1, 5 / 6])  # up over 2 of 8 steps, down over 6
