"""Interrupted training ends in the same weights; so does training with other settings outside the fingerprint."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor
from transformers import TrainerControl, TrainerState, TrainingArguments

from iglue_plugins.data.thread_loading import ThreadedItems
from iglue_plugins.trainers import progress
from iglue_plugins.trainers.base import Trainer
from iglue_plugins.trainers.checkpoint_names import FINISHED_CHECKPOINT
from iglue_plugins.trainers.checkpoints import last_checkpoint, mark_finished
from iglue_plugins.trainers.finetune import Finetune
from iglue_plugins.trainers.settings.finetune import FinetuneSettings
from iglue_plugins.trainers.settings.xvl_maml import XVLMAMLSettings
from iglue_plugins.trainers.validation import BestWeights
from iglue_plugins.trainers.xvl_maml import XVLMAML
from iglue_plugins.utils.errors import UserError

Weights = dict[str, Tensor]


def assert_same_weights(found: Weights, expected: Weights) -> None:
    assert found.keys() == expected.keys()
    assert [name for name, value in found.items() if not torch.equal(value, expected[name])] == []


def finetune(**settings: object) -> Finetune:
    return Finetune(
        FinetuneSettings(**{"steps": 6, "batch_size": 4, "learning_rate": 1e-2, "save_every": 2} | settings)
    )


def xvl_maml(**settings: object) -> XVLMAML:
    return XVLMAML(
        XVLMAMLSettings(
            **{"steps": 6, "support_size": 4, "query_size": 4, "learning_rate": 1e-2, "save_every": 2} | settings
        )
    )


# Resuming


@pytest.mark.parametrize(
    "trainer", [lambda: finetune(accumulation=2, loss="both"), lambda: finetune(length_window=3),
                lambda: xvl_maml(inner_steps=2)],
    ids=["finetune", "length_window", "xvl_maml"])  # fmt: skip
def test_an_interrupted_training_resumes_to_the_same_weights(
    trainer: Callable[[], Trainer], fit: Callable[..., Weights], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = fit(trainer(), "uninterrupted")
    for half_written, steps_left in ([], 2), ([4], 4), ([2, 4], 6):
        folder = f"half written {half_written}"
        checkpoints = tmp_path / folder / "checkpoints"
        with monkeypatch.context() as patch:
            begun = count_steps(patch, fail_at=5)
            with pytest.raises(RuntimeError, match="the power fails"):
                fit(trainer(), folder)
            assert begun == [0, 1, 2, 3, 4]
        assert sorted(path.name for path in checkpoints.iterdir()) == ["checkpoint-2", "checkpoint-4"]
        for step in half_written:
            (checkpoints / f"checkpoint-{step}" / FINISHED_CHECKPOINT).unlink()
            weights = checkpoints / f"checkpoint-{step}" / "model.safetensors"
            weights.write_bytes(weights.read_bytes()[:1000])
        with monkeypatch.context() as patch:
            begun = count_steps(patch)
            assert_same_weights(fit(trainer(), folder), expected)
            assert len(begun) == steps_left


def count_steps(monkeypatch: pytest.MonkeyPatch, fail_at: int = 0) -> list[int]:
    """Note the number of each optimizer step that begins; step `fail_at`, counted from 1, fails."""
    begun: list[int] = []
    on_step_begin = progress.Progress.on_step_begin

    def counted(self, args, state, control, **kwargs):
        begun.append(state.global_step)
        if len(begun) == fail_at:
            raise RuntimeError("the power fails")
        return on_step_begin(self, args, state, control, **kwargs)

    monkeypatch.setattr(progress.Progress, "on_step_begin", counted)
    return begun


def test_a_finished_training_whose_model_was_not_saved_takes_no_more_steps(
    fit: Callable[..., Weights], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    expected = fit(xvl_maml(steps=3, save_every=None))
    assert "resumed" not in capfd.readouterr().err
    begun = count_steps(monkeypatch)
    assert_same_weights(fit(xvl_maml(steps=3, save_every=None)), expected)
    assert begun == []
    assert "resumed at step 3 of 3\n" in capfd.readouterr().err


def test_the_newest_finished_checkpoint_is_found_by_number(tmp_path: Path) -> None:
    assert last_checkpoint(tmp_path) is None
    for step in (900, 1000, 1100):
        (tmp_path / f"checkpoint-{step}").mkdir()
        (tmp_path / f"checkpoint-{step}" / "model.safetensors").write_text("weights")
        if step < 1100:
            mark_finished(tmp_path / f"checkpoint-{step}")
    assert last_checkpoint(tmp_path) == tmp_path / "checkpoint-1000"


def test_an_error_names_the_folder_of_damaged_best_weights(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoints" / "best"
    best = BestWeights(torch.nn.Linear(2, 2), lambda: 1.0, 1, folder)
    best.on_step_end(TrainingArguments(tmp_path), TrainerState(global_step=1, max_steps=1), TrainerControl())
    for file, act in (
        ("step-1.safetensors", best.restore),
        ("validation.json", lambda: BestWeights(torch.nn.Linear(2, 2), lambda: 1.0, 1, folder)),
    ):
        act()
        whole = (folder / file).read_bytes()
        (folder / file).write_bytes(whole[: len(whole) // 2])
        with pytest.raises(UserError) as raised:
            act()
        assert str(folder) in str(raised.value)
        assert f"delete {folder.parent} and run again" in str(raised.value)
        (folder / file).write_bytes(whole)


def test_a_thread_that_makes_batches_ahead_changes_no_weight_of_a_resumed_training_either(
    fit: Callable[..., Weights], monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = fit(finetune(), "without")
    asked: list[int] = []
    take = ThreadedItems.__getitem__
    monkeypatch.setattr("iglue_plugins.trainers.base.uses_thread", lambda *_: True)
    monkeypatch.setattr(ThreadedItems, "__getitem__", lambda self, place: asked.append(place) or take(self, place))
    assert_same_weights(fit(finetune(), "with"), expected)
    assert asked == list(range(6))
    with monkeypatch.context() as patch:
        count_steps(patch, fail_at=4)
        with pytest.raises(RuntimeError, match="the power fails"):
            fit(finetune(), "interrupted")
    asked.clear()
    assert_same_weights(fit(finetune(), "interrupted"), expected)
    assert asked == list(range(2, 6))
    asked.clear()
    fit(finetune(workers=1), "in a worker process")
    assert asked == []


# Settings that do not change the weights


def test_settings_outside_the_fingerprint_do_not_change_the_weights(fit: Callable[..., Weights]) -> None:
    """Not even by the dropout of losses that are only logged."""
    expected = fit(xvl_maml(log_every=4, save_every=2), "one")
    excluded = {"log_every", "save_every", "save_minutes", "report_to", "workers", "inner_storage"}
    assert excluded == XVLMAMLSettings.fingerprint_exclude
    assert_same_weights(fit(xvl_maml(log_every=1, save_every=5), "other"), expected)
    by_time = xvl_maml(log_every=2, save_every=None, save_minutes=1e-9, report_to=(), inner_storage="start")
    assert_same_weights(fit(by_time, "by time"), expected)
    different = fit(xvl_maml(log_every=4, save_every=2, inner_lr=2e-3), "third")
    assert any(not torch.equal(value, expected[name]) for name, value in different.items())


def test_training_in_bfloat16_does_not_change_the_next_training(fit: Callable[..., Weights]) -> None:
    expected = fit(finetune(), "before")
    rounded = fit(finetune(precision="bfloat16"), "bfloat16")
    assert any(not torch.equal(value, expected[name]) for name, value in rounded.items())
    assert_same_weights(fit(finetune(), "after"), expected)
