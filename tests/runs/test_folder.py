"""The folder of a run: its name, its record, its predictions and its lock."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from iglue_plugins.runs.folder import Run
from iglue_plugins.utils.errors import UserError

# Folders


def test_open_names_the_folder(tmp_path: Path) -> None:
    run = Run.open(tmp_path / "runs", "english", "0123456789ab")
    assert (run.folder, run.fingerprint) == (tmp_path / "runs" / "english-0123456789ab", "0123456789ab")
    assert not (tmp_path / "runs").exists()
    assert not run.is_finished
    assert run.record() is None


def test_open_reuses_a_finished_run_of_another_name(tmp_path: Path) -> None:
    first = Run.open(tmp_path, "english", "0123456789ab")
    assert Run.open(tmp_path, "baseline", "0123456789ab").folder.name == "baseline-0123456789ab"  # not finished yet
    first.write_record({"name": "english"})
    assert Run.open(tmp_path, "third", "0123456789ab").folder == first.folder
    assert Run.open(tmp_path, "english", "ba9876543210").folder.name == "english-ba9876543210"
    assert not (tmp_path / "third-0123456789ab").exists()


def test_open_prefers_a_run_of_the_given_name(tmp_path: Path) -> None:
    for name in ("a", "z"):
        run = Run(tmp_path / f"{name}-0123456789ab")
        run.write_record({"name": name})
    assert Run.open(tmp_path, "z", "0123456789ab").folder.name == "z-0123456789ab"


def test_a_lock_in_a_folder_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("a file in the way")
    with pytest.raises(UserError, match="runs/x-ab: cannot be written .File exists."):
        with Run.open(tmp_path / "runs", "x", "ab").lock():
            pass


# Records and predictions


def test_record_comes_back_with_its_format(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.write_record({"name": "тест", "scores": {"test": {"en": {"accuracy": 81.2}}}})
    assert run.record() == {"name": "тест", "scores": {"test": {"en": {"accuracy": 81.2}}}, "format": 1}


def test_a_partial_record_does_not_finish_a_run_and_the_record_replaces_it(tmp_path: Path) -> None:
    run = Run(tmp_path)
    assert run.latest_record() is None
    run.write_partial_record({"name": "x", "scores": {}})
    assert run.latest_record() == {"name": "x", "scores": {}, "format": 1}
    assert not run.is_finished
    run.write_record({"name": "x"})
    assert run.latest_record() == run.record() == {"name": "x", "format": 1}
    assert list(tmp_path.iterdir()) == [run.record_path]


def test_a_partial_record_beside_a_record_is_the_latest(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.write_record({"scores": {"en": 1}})
    run.write_partial_record({"scores": {"en": 1, "tr": 2}})
    run.remove_stale_files()
    assert run.latest_record()["scores"] == {"en": 1, "tr": 2}


def test_remove_stale_files_removes_what_a_killed_process_left(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.write_record({"scores": {}})
    run.write_partial_record({"scores": {}})
    run.model_dir.mkdir()
    for left in (run.checkpoints_dir / "checkpoint-2", run.predictions_path("test", "en").parent):
        left.mkdir(parents=True)
        (left / ".en.jsonl.0123.tmp").touch()
    run.remove_stale_files()
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["model", "predictions", "record.json", "test"]


@pytest.mark.parametrize("text", ["", '{"format": 1, "na', "[1]", "{}", '{"format": 2}', "\udcff"])
def test_a_damaged_record_or_one_of_another_format_is_an_error(tmp_path: Path, text: str) -> None:
    run = Run(tmp_path)
    run.record_path.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(UserError, match="record.json: .*; delete it and run again"):
        run.record()


def test_predictions_come_back_in_order(tmp_path: Path) -> None:
    run = Run(tmp_path)
    rows = [{"id": str(i), "prediction": "да\u2028", "label": "x", "score": 0.5} for i in range(3)]
    run.write_predictions("test", "ru", iter(rows))
    assert run.read_predictions("test", "ru") == rows
    assert (tmp_path / "predictions" / "test" / "ru.jsonl").read_text(encoding="utf-8").count("\n") == 3
    run.write_predictions("test", "ar", [])
    assert run.read_predictions("test", "ar") == []


@pytest.mark.parametrize(
    ("text", "message"), [('{"id": 1}\n{"id"', "line 2 is cut off"), ("{}\n{\n", "line 2 is damaged")]
)
def test_damaged_or_missing_predictions_are_an_error(tmp_path: Path, text: str, message: str) -> None:
    run = Run(tmp_path)
    run.write_predictions("test", "ru", [])
    run.predictions_path("test", "ru").write_text(text)
    with pytest.raises(UserError, match=f"ru.jsonl: {message}"):
        run.read_predictions("test", "ru")
    with pytest.raises(UserError, match="ar.jsonl: .*No such file"):
        run.read_predictions("test", "ar")


# Locks

HOLD = """
import sys, time
from iglue_plugins.runs.folder import Run
with Run(sys.argv[1]).lock():
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_lock_waits_and_is_released_when_its_process_dies(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout.readline() == "held\n"
        timer = threading.Timer(0.3, os.kill, (holder.pid, signal.SIGKILL))
        timer.start()
        with Run(tmp_path).lock():
            assert holder.wait(5) == -signal.SIGKILL
        timer.join()
    (line,) = capfd.readouterr().err.splitlines()
    assert (
        line.startswith(f"{tmp_path}: waiting for the lock {tmp_path.parent}/.") and f"process {holder.pid} on " in line
    )


def test_a_free_lock_prints_nothing_and_can_be_taken_again(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for _ in range(2):
        with Run(tmp_path / "run").lock():
            pass
    assert capfd.readouterr().err == ""


def test_a_byte_order_mark_in_files_edited_by_hand_is_skipped(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.write_record({"name": "row"})
    run.write_predictions("test", "ru", [{"id": "a"}])
    for path in (run.record_path, run.predictions_path("test", "ru")):
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert run.require_record()["name"] == "row"
    assert run.read_predictions("test", "ru") == [{"id": "a"}]
