"""When checkpoints are saved, and what is said of them."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from transformers import TrainerControl, TrainerState, TrainingArguments

from iglue_plugins.data.episodes import Steps
from iglue_plugins.trainers import engine
from iglue_plugins.trainers.checkpoint_names import CHECKPOINTS, checkpoint_step
from iglue_plugins.trainers.checkpoints import SHARE_OF_TIME, Checkpoints, last_checkpoint
from iglue_plugins.trainers.settings.base import TrainerSettings


@pytest.fixture
def saves(tmp_path: Path) -> Callable[..., list[int]]:
    """Gives a function that says at which seconds checkpoints are saved, on a clock that only the training moves."""

    def run(minutes: float | None, step_seconds: float, save_seconds: list[float], steps: int) -> list[int]:
        now, saved, durations = [0.0], [], iter(save_seconds)
        checkpoints = Checkpoints(minutes, clock=lambda: now[0])
        args, state, control = TrainingArguments(tmp_path), TrainerState(max_steps=steps), TrainerControl()
        checkpoints.on_train_begin(args, state, control)
        for step in range(1, steps + 1):
            now[0] += step_seconds
            state.global_step, control.should_save = step, False
            checkpoints.on_step_end(args, state, control)
            if control.should_save:
                saved.append(int(now[0]))
                (tmp_path / f"checkpoint-{step}").mkdir()
                now[0] += next(durations)
                checkpoints.on_save(args, state, control)
        return saved

    return run


def test_checkpoints_come_every_few_minutes(saves: Callable[..., list[int]]) -> None:
    assert saves(5, 40, [1] * 99, 30) == [320, 641, 962]  # at the end of the first step after five minutes
    assert saves(None, 1000, [], 5) == []


def test_checkpoints_that_take_long_take_a_twentieth_of_the_time(saves: Callable[..., list[int]]) -> None:
    duration = 60
    found = saves(5, 10, [duration] * 99, 1000)
    between = {later - earlier - duration for earlier, later in zip(found, found[1:], strict=False)}
    assert found[0] == 300 and between == {duration / SHARE_OF_TIME}
    written = duration * (len(found) - 1)
    assert written / (found[-1] - found[0]) <= SHARE_OF_TIME


def test_a_checkpoint_that_took_long_once_delays_only_the_next_one(saves: Callable[..., list[int]]) -> None:
    first, second, third, fourth = saves(5, 10, [100, 1, 1, 1], 300)
    assert (first, second) == (300, 300 + 100 + 20 * 100)
    assert third - second - 1 == fourth - third - 1 == 300


class Toy(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(2))

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return {"loss": (self.weight - x).pow(2).sum()}


def train(folder: Path, **settings: object) -> list[str]:
    """Train for six steps; return the names of the checkpoints."""
    steps = Steps(lambda step: {"x": torch.tensor([1.0, step])}, 6)
    engine.train(Toy(), steps, TrainerSettings(steps=6, **settings), seed=0, folder=folder)
    return sorted(path.name for path in (folder / "checkpoints").iterdir())


def test_settings_say_when_to_save(tmp_path: Path) -> None:
    assert train(tmp_path / "default") == ["checkpoint-6"], "the last step is saved in any case"
    by_time = train(tmp_path / "minutes", save_minutes=1e-9)  # due after each step that takes 20 times a checkpoint
    assert len(by_time) == 2 and by_time[-1] == "checkpoint-6"
    assert train(tmp_path / "steps", save_every=4, save_minutes=1e-9) == ["checkpoint-4", "checkpoint-6"]


def test_the_step_to_resume_at_is_that_of_the_newest_whole_checkpoint(tmp_path: Path) -> None:
    assert last_checkpoint(tmp_path / CHECKPOINTS) is None
    train(tmp_path, save_every=4)
    assert checkpoint_step(last_checkpoint(tmp_path / CHECKPOINTS)) == 6
    (tmp_path / "checkpoints" / "checkpoint-6" / "model.safetensors").write_bytes(b"")
    assert checkpoint_step(last_checkpoint(tmp_path / CHECKPOINTS)) == 4
    assert not (tmp_path / "checkpoints" / "checkpoint-6").exists()


def test_another_handler_of_sigterm_keeps_its_say(tmp_path: Path) -> None:
    """Such as that of a cluster's job, which asks for the signal itself."""
    received: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: received.append(number))
    try:
        steps = Steps(lambda step: {"x": signal.raise_signal(signal.SIGTERM) or torch.ones(2)}, 3)
        engine.train(Toy(), steps, TrainerSettings(steps=3), seed=0, folder=tmp_path)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert received == [signal.SIGTERM] * 3
