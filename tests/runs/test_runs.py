from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from iglue_plugins.recipes.recipe import load_recipe
from iglue_plugins.runs import fingerprint as fingerprint_module
from iglue_plugins.runs.fingerprint import fingerprint
from iglue_plugins.runs.folder import Run
from iglue_plugins.utils.errors import UserError
from iglue_plugins.utils.files import content_hash, write_json_atomic, write_jsonl_atomic


@pytest.fixture
def path(tmp_path: Path, plugins: None) -> Path:
    recipe = tmp_path / "r.yaml"
    recipe.write_text("task: nli\nmodel: tiny\ntrainer: finetune\n")
    return recipe


def print_of(path: Path, *overrides: str, previous: str | None = None, data: str = "d") -> str:
    return fingerprint(load_recipe(path, overrides), previous, data)


# Fingerprints


def test_fingerprint_is_12_hexadecimal_digits_and_stable(path: Path) -> None:
    assert len(print_of(path)) == 12
    assert int(print_of(path), 16) >= 0
    assert print_of(path) == print_of(path)


@pytest.mark.parametrize(
    "override",
    ["name=other", "runs=other", "evaluation.batch_size=1", "evaluation.languages=[fr]", "auxiliary_languages=[fr]",
     "task.data_root=/elsewhere", "trainer.epochs=10", "start_from=/"],
)  # fmt: skip
def test_what_leaves_the_weights_as_they_are(path: Path, override: str) -> None:
    assert print_of(path, override) == print_of(path)


@pytest.mark.parametrize(
    "override",
    ["seed=1", "model.layers=3", "task.pairs=all", "trainer.lr=1", "source_language=fr", "trainer=meta"],
)  # fmt: skip
def test_what_changes_the_weights(path: Path, override: str) -> None:
    assert print_of(path, override) != print_of(path)


def test_auxiliary_languages_count_where_they_are_trained_on(path: Path) -> None:
    assert print_of(path, "trainer=meta") != print_of(path, "trainer=meta", "auxiliary_languages=[fr]")


def test_earlier_stage_data_and_format_count(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    different = {print_of(path), print_of(path, previous="abc"), print_of(path, data="e")}
    monkeypatch.setattr(fingerprint_module, "WEIGHTS_FORMAT", "0.0")
    assert len(different | {print_of(path)}) == 4


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


def test_open_prefers_its_own_name(tmp_path: Path) -> None:
    for name in ("a", "z"):
        run = Run(tmp_path / f"{name}-0123456789ab")
        run.write_record({"name": name})
    assert Run.open(tmp_path, "z", "0123456789ab").folder.name == "z-0123456789ab"


def test_nothing_is_locked_where_nothing_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("a file in the way")
    with pytest.raises(UserError, match="runs/x-ab: cannot be written .File exists."):
        with Run.open(tmp_path / "runs", "x", "ab").lock():
            pass


# Records and predictions


def test_record_comes_back_with_its_format(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.write_record({"name": "тест", "scores": {"test": {"en": {"accuracy": 81.2}}}})
    assert run.record() == {"name": "тест", "scores": {"test": {"en": {"accuracy": 81.2}}}, "format": 1}


def test_a_draft_is_no_finished_run_and_goes_when_the_record_is_written(tmp_path: Path) -> None:
    run = Run(tmp_path)
    assert run.latest_record() is None
    run.write_partial_record({"name": "x", "scores": {}})
    assert run.latest_record() == {"name": "x", "scores": {}, "format": 1}
    assert not run.is_finished
    run.write_record({"name": "x"})
    assert run.latest_record() == run.record() == {"name": "x", "format": 1}
    assert list(tmp_path.iterdir()) == [run.record_path]


def test_a_draft_of_a_finished_run_is_newer_than_its_record(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.write_record({"scores": {"en": 1}})
    run.write_partial_record({"scores": {"en": 1, "tr": 2}})
    run.remove_stale_files()
    assert run.latest_record()["scores"] == {"en": 1, "tr": 2}


def test_sweep_removes_what_a_killed_process_left(tmp_path: Path) -> None:
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
def test_damaged_or_foreign_record(tmp_path: Path, text: str) -> None:
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
def test_damaged_predictions(tmp_path: Path, text: str, message: str) -> None:
    run = Run(tmp_path)
    run.write_predictions("test", "ru", [])
    run.predictions_path("test", "ru").write_text(text)
    with pytest.raises(UserError, match=f"ru.jsonl: {message}"):
        run.read_predictions("test", "ru")
    with pytest.raises(UserError, match="ar.jsonl: .*No such file"):
        run.read_predictions("test", "ar")


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    write_jsonl_atomic(path, [{"a": 1}])

    def rows():
        yield {"a": 2}
        raise KeyError("interrupted")

    with pytest.raises(KeyError):
        write_jsonl_atomic(path, rows())
    assert path.read_text() == '{"a": 1}\n'
    assert list(tmp_path.iterdir()) == [path]


def test_written_files_have_the_usual_permissions(tmp_path: Path) -> None:
    write_json_atomic(tmp_path / "a.json", {})
    (tmp_path / "b.json").write_text("{}")
    assert (tmp_path / "a.json").stat().st_mode == (tmp_path / "b.json").stat().st_mode


# Locks

HOLD = """
import sys, time
from iglue_plugins.runs.folder import Run
with Run(sys.argv[1]).lock():
    print("held", flush=True)
    time.sleep(60)
"""


def test_lock_waits_and_is_let_go_when_the_holder_dies(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout.readline() == "held\n"
        timer = threading.Timer(0.3, os.kill, (holder.pid, signal.SIGKILL))
        timer.start()
        with Run(tmp_path).lock():
            assert holder.wait(5) == -signal.SIGKILL
        timer.join()
    assert capfd.readouterr().err == f"{tmp_path}: waiting for another process on this run\n"


def test_a_free_lock_says_nothing_and_can_be_taken_again(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for _ in range(2):
        with Run(tmp_path / "run").lock():
            pass
    assert capfd.readouterr().err == ""


# Content


def test_content_hash_of_a_folder(tmp_path: Path) -> None:
    def made(name: str, **files: str) -> str:
        for file, text in files.items():
            place = tmp_path / name / file.replace("__", "/").replace("DOT", ".")
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(text)
        return content_hash(tmp_path / name)

    first = made("one", a="1", sub__b="2")
    assert first == made("two", sub__b="2", a="1", DOTcache__x="hidden")
    assert len({first, made("three", a="2", sub__b="1"), made("four", a="1", b="2"), made("five", a="12")}) == 4


def test_content_hash_of_a_file_and_of_nothing(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    assert content_hash(tmp_path / "empty") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    with pytest.raises(UserError, match="none: does not exist; name a checkpoint"):
        content_hash(tmp_path / "none")
