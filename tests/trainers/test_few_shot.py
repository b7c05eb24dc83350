"""Few-shot fine-tuning: the language's few examples, every learning rate, and the one that validates best."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from pydantic import ValidationError
from transformers import PreTrainedModel

from iglue_plugins.data.processors.regions import RegionProcessor
from iglue_plugins.mini.tasks import MiniXVNLI
from iglue_plugins.tasks.base import Task
from iglue_plugins.tasks.spec import ExampleSet
from iglue_plugins.trainers import base as trainer_base
from iglue_plugins.trainers.base import Adapted
from iglue_plugins.trainers.few_shot import FewShot
from iglue_plugins.trainers.finetune import Finetune
from iglue_plugins.trainers.settings.finetune import FewShotSettings, FinetuneSettings
from iglue_plugins.trainers.training_data import TrainingData
from iglue_plugins.utils.errors import UserError


@pytest.fixture
def adapt(
    make_model: Callable[..., PreTrainedModel], task: Task, processor: RegionProcessor, tmp_path: Path
) -> Callable[..., Adapted]:
    def run(folder: str, **settings: object) -> Adapted:
        trainer = FewShot(FewShotSettings(**{"shots": 5, "epochs": 2, "batch_size": 2, **settings}))
        return trainer.adapt(
            lambda: (make_model(), processor), task, "tr", source_languages=("en",), seed=0, folder=tmp_path / folder
        )

    return run


def weights_of(adapted: Adapted) -> torch.Tensor:
    return torch.cat([value.flatten() for value in adapted.model.state_dict().values()])


def test_the_learning_rate_that_validates_best_is_kept(
    adapt: Callable[..., Adapted], monkeypatch: pytest.MonkeyPatch
) -> None:
    scores = iter([1, 2, 7, 3, 6, 5])  # of two epochs at each of three rates
    monkeypatch.setattr(trainer_base, "make_validator", lambda *_: lambda: float(next(scores)))
    chosen = adapt("grid", learning_rates=(1e-2, 1e-3, 1e-4))
    assert chosen.notes == {"learning_rate": 1e-3, "steps": 6, "validation": {"step": 3, "score": 7.0}}
    monkeypatch.setattr(trainer_base, "make_validator", lambda *_: lambda scores=iter([7, 3]): float(next(scores)))
    assert torch.equal(weights_of(chosen), weights_of(adapt("alone", learning_rates=(1e-3,))))


def test_it_trains_as_finetune_does_on_the_few_examples(
    adapt: Callable[..., Adapted],
    make_model: Callable[..., PreTrainedModel],
    task: Task,
    processor: RegionProcessor,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        trainer_base, "make_validator", lambda *_, rising=iter(range(9)): lambda: float(next(rising))
    )  # last is best

    class OnTurkish(Finetune):
        def reads(self, *_: object) -> list[ExampleSet]:
            return [ExampleSet(task.training_splits["few_shot"], "tr", 5)]

        def _batchers(self, data: TrainingData) -> dict:
            return data.batchers("few_shot", 5)

    model = make_model()
    OnTurkish(FinetuneSettings(epochs=2, batch_size=2, learning_rate=1e-3)).fit(
        model, processor, task, auxiliary_languages=("tr",), seed=0, folder=tmp_path / "finetune"
    )
    expected = torch.cat([value.flatten() for value in model.state_dict().values()])
    assert torch.equal(weights_of(adapt("few", learning_rates=(1e-3,))), expected)


def test_validation_is_in_the_source_language_unless_the_task_says_otherwise(
    adapt: Callable[..., Adapted], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    monkeypatch.setattr(
        trainer_base,
        "make_validator",
        lambda task, model, processor, *where: asked.append(where[:2]) or (lambda: 0.0),
    )
    adapt("source", learning_rates=(1e-3,), epochs=1)
    monkeypatch.setattr(MiniXVNLI, "few_shot_validation", lambda self, language, source: ("test", language))
    adapt("target", learning_rates=(1e-3,), epochs=1)
    assert asked == [("dev", "en"), ("test", "tr")]


def test_shots_that_do_not_exist(task: Task) -> None:
    trainer = FewShot(FewShotSettings(shots=25))
    with pytest.raises(UserError) as raised:
        trainer.check(task, "tr")
    assert all(fact in str(raised.value) for fact in ("tiny/xvnli", "shots", "25", "24"))
    FewShot(FewShotSettings(shots=24)).check(task, "tr")


def test_one_learning_rate_is_not_a_grid() -> None:
    with pytest.raises(ValidationError, match="learning_rate\n"):
        FewShotSettings(shots=1, learning_rate=1e-3)


def test_without_validation_the_last_weights_of_the_only_rate_are_kept(
    adapt: Callable[..., Adapted], task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trainer_base, "make_validator", lambda *_: pytest.fail("it validates"))
    adapted = adapt("alone", learning_rates=(1e-2,), validate_every=None)
    assert adapted.notes == {"learning_rate": 1e-2, "steps": 6}
    settings = FewShotSettings(shots=5, learning_rates=(1e-2,), validate_every=None)
    assert FewShot(settings).reads(task, ("en",), ("tr",)) == [ExampleSet("auxiliary", "tr", 5)]
    with pytest.raises(ValidationError, match="validation chooses one of the 3 learning_rates"):
        FewShotSettings(shots=5, validate_every=None)
