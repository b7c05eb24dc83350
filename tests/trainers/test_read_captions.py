"""Captions are tokenized for the losses that read them, and for no others."""

from __future__ import annotations

from typing import Any

import pytest

from iglue_plugins.data.processors.regions import RegionProcessor
from iglue_plugins.trainers.base import Trainer
from iglue_plugins.trainers.finetune import AuxiliaryFinetune, Finetune
from iglue_plugins.trainers.training_data import TrainingData
from iglue_plugins.trainers.xvl_maml import XVLMAML


@pytest.mark.parametrize(
    ("kind", "settings", "read"),
    [
        (Finetune, {}, False),
        (Finetune, {"pairs": "caption"}, False),
        (Finetune, {"loss": "both", "pairs": "caption"}, True),
        (Finetune, {"loss": "both", "pairs": "all"}, False),
        (AuxiliaryFinetune, {"loss": "contrastive", "pairs": "caption"}, True),
        (XVLMAML, {"pairs": "caption"}, True),
        (XVLMAML, {"pairs": "aligned"}, False),
        (XVLMAML, {"pairs": "caption", "inner_loss": "task"}, True),
        (XVLMAML, {"pairs": "caption", "outer_loss": "task"}, True),
        (XVLMAML, {"pairs": "caption", "inner_loss": "task", "outer_loss": "task"}, False),
    ],
)
def test_batches_have_captions_if_a_loss_reads_them(
    task: Any, processor: RegionProcessor, kind: type[Trainer], settings: dict[str, Any], read: bool
) -> None:
    assert captions_in_batches(task, processor, kind, settings) == {read}


@pytest.mark.parametrize(("loss", "read"), [("task", True), ("both", True), ("contrastive", False)])
def test_a_task_says_that_its_loss_reads_them(task: Any, processor: RegionProcessor, loss: str, read: bool) -> None:
    class ReadingXVNLI(type(task)):
        loss_reads_captions = True

    assert captions_in_batches(ReadingXVNLI(), processor, Finetune, {"loss": loss, "pairs": "all"}) == {read}


def captions_in_batches(
    task: Any, processor: RegionProcessor, kind: type[Trainer], settings: dict[str, Any]
) -> set[bool]:
    """Whether the batches of a training's first step have captions."""
    sizes = {"support_size": 4, "query_size": 4} if kind is XVLMAML else {"batch_size": 4}
    trainer = kind(kind.Settings(**sizes, **settings))
    data = TrainingData(task, processor, ("en",), ("tr", "de"), 0)
    item = trainer.steps(data)[0]
    episodes = item.get("episodes", [])
    batches = [episode[part] for episode in episodes for part in ("support", "query")] or [item["batch"]]
    return {batch.caption is not None for batch in batches}
