"""What an item goes through on its way to the objective."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn
from transformers import TrainingArguments

from iglue_plugins.data.batching import Batcher
from iglue_plugins.trainers.objective_trainer import ObjectiveTrainer
from iglue_plugins.trainers.settings.base import TrainerSettings


def test_batches_are_moved_to_the_device_wherever_they_stand_in_an_item(
    batchers: dict[str, Batcher], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The device has no memory, so that a tensor that is left behind would show."""
    arguments = TrainingArguments(str(tmp_path), use_cpu=True, report_to=[])
    trainer = ObjectiveTrainer(TrainerSettings(), 1, 0, model=nn.Linear(1, 1), args=arguments)
    monkeypatch.setattr(TrainingArguments, "device", torch.device("meta"))
    batch = batchers["tr"].batch(range(4))
    prepared = trainer._prepare_inputs(
        {"batch": batch, "episodes": [{"language": "tr", "support": batch}], "special_tokens": torch.ones(2)}
    )
    for moved in (prepared["batch"], prepared["episodes"][0]["support"]):
        sides = (moved.inputs, moved.text, moved.image, moved.caption)
        tensors = [value for side in sides for value in side.values()]
        tensors += [moved.labels, moved.image_identity, moved.text_identity, moved.caption_identity]
        assert {value.device.type for value in tensors} == {"meta"}
        assert all(moved.inputs[key] is value for side in (moved.text, moved.image) for key, value in side.items())
    assert prepared["special_tokens"].is_meta and prepared["episodes"][0]["language"] == "tr"
    assert batch.labels.device.type == "cpu"
