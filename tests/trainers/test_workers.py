"""Batches that worker processes make ahead: the same weights and predictions, resuming included."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor
from transformers import PreTrainedModel

from iglue_plugins.data.batching import Batcher
from iglue_plugins.data.processors.regions import RegionProcessor
from iglue_plugins.data.regions import InMemoryRegions
from iglue_plugins.evaluation.evaluator import evaluate
from iglue_plugins.mini.tasks import MiniXFlickrCO
from iglue_plugins.tasks.base import Task
from iglue_plugins.trainers import progress
from iglue_plugins.trainers.base import Trainer
from iglue_plugins.trainers.finetune import Finetune
from iglue_plugins.trainers.pretrain import Pretrain
from iglue_plugins.trainers.settings.finetune import FinetuneSettings
from iglue_plugins.trainers.settings.pretrain import PretrainSettings
from iglue_plugins.trainers.settings.xvl_maml import XVLMAMLSettings
from iglue_plugins.trainers.xvl_maml import XVLMAML
from iglue_plugins.utils.errors import UserError

Weights = dict[str, Tensor]
COMMON = {"steps": 4, "learning_rate": 1e-2, "save_every": 2}


def finetune(**settings: object) -> Finetune:
    return Finetune(FinetuneSettings(**COMMON, batch_size=6, accumulation=2, loss="both", **settings))


def xvl_maml(**settings: object) -> XVLMAML:
    return XVLMAML(XVLMAMLSettings(**COMMON, support_size=4, query_size=4, **settings))


def equal(one: Weights, other: Weights) -> bool:
    return one.keys() == other.keys() and all(torch.equal(value, other[name]) for name, value in one.items())


@pytest.fixture
def makers(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Lists for each batch that is made in this process that it was; workers fill lists of their own."""
    made, batch = [], Batcher.batch

    def noted(self: Batcher, *arguments: object) -> object:
        made.append(True)
        return batch(self, *arguments)

    monkeypatch.setattr(Batcher, "batch", noted)
    return made


@pytest.mark.parametrize("make", [finetune, xvl_maml])
def test_workers_do_not_change_the_weights(
    make: Callable[..., Trainer], fit: Callable[..., Weights], makers: list[bool]
) -> None:
    """The model has dropout, whose numbers come from the generator that starts the workers."""
    expected = fit(make(workers=0), "none")
    assert makers
    trained = len(makers)
    assert equal(fit(make(workers=2), "two"), expected)
    assert len(makers) == trained, "batches are made by workers"
    assert not equal(fit(make(workers=0, examples=12), "others"), expected)


def test_workers_do_not_change_pretraining(
    make_model: Callable[..., PreTrainedModel], captions: Task, processor: RegionProcessor, tmp_path: Path
) -> None:
    weights = []
    for workers in (0, 2):
        model = make_model(dropout=0.1)
        settings = PretrainSettings(**COMMON, batch_size=8, language_shares={"en": 1, "tr": 1}, workers=workers)
        Pretrain(settings).fit(model, processor, captions, folder=tmp_path / str(workers))
        weights.append(model.state_dict())
    assert equal(*weights)


@pytest.mark.parametrize(("before", "after"), [(2, 2), (2, 0), (0, 2)])
@pytest.mark.parametrize("make", [finetune, xvl_maml])
def test_an_interrupted_training_resumes_to_the_same_weights(
    make: Callable[..., Trainer],
    before: int,
    after: int,
    fit: Callable[..., Weights],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Workers may have made batches of steps that were never taken, and their number may be another one."""
    expected = fit(make(workers=0), "whole")
    begin = progress.Progress.on_step_begin

    def fail(self: progress.Progress, args: object, state: object, control: object, **kwargs: object) -> object:
        if state.global_step == 3:
            raise RuntimeError("the power fails")
        return begin(self, args, state, control, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(progress.Progress, "on_step_begin", fail)
        with pytest.raises(RuntimeError, match="the power fails"):
            fit(make(workers=before), "stopped")
    assert equal(fit(make(workers=after), "stopped"), expected)
    assert "resumed at step 2 of 4" in capfd.readouterr().err


@pytest.mark.parametrize("workers", [0, 2])
def test_an_error_of_a_worker_is_the_sentence_alone(
    fit: Callable[..., Weights], workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gather(self: InMemoryRegions, *arguments: object) -> dict[str, Tensor]:
        raise UserError("image 7 is damaged; copy it again")

    monkeypatch.setattr(InMemoryRegions, "gather", gather)
    with pytest.raises(UserError) as raised:
        fit(finetune(workers=workers))
    assert str(raised.value) == "image 7 is damaged; copy it again"


class Retrieval(MiniXFlickrCO):
    name = "tiny/xflickrco"
    sizes = {"train": 8, "auxiliary": 8, "dev": 9, "test": 9}


@pytest.mark.parametrize("of", ["classification", "retrieval"])
def test_workers_do_not_change_an_evaluation(
    of: str, make_model: Callable[..., PreTrainedModel], task: Task, processor: RegionProcessor
) -> None:
    evaluated, model = task if of == "classification" else Retrieval(), make_model()
    model.set_head(evaluated.head, evaluated.num_labels)
    alone, ahead = (evaluate(evaluated, model, processor, "dev", "tr", 4, workers) for workers in (0, 2))
    assert ahead == alone
    assert len(alone[0]) == evaluated.sizes["dev"]
