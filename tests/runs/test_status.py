"""What has become of runs: running, stopped, failed, damaged or finished."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_runs import make_checkpoint, make_run, record
from mutations import json_text, mutated_bytes, mutated_value, scratch_folder

from iglue_plugins.recipes.recipe import Recipe
from iglue_plugins.reporting.run_details import describe, read_details
from iglue_plugins.reporting.run_list import RunFilter, list_runs
from iglue_plugins.runs import runner
from iglue_plugins.runs.folder import Run
from iglue_plugins.runs.status import run_folders, status_of
from iglue_plugins.utils.errors import UserError
from iglue_plugins.utils.locks import LockFile

HOLD = """
import sys
from iglue_plugins.runs.folder import Run
with Run(sys.argv[1]).lock():
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_folder_of_a_project_with_a_recipe_is_no_run(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    for name in ("project", ".hidden-000000000000", "empty-000000000000"):
        (tmp_path / name).mkdir()
    for name in ("project", ".hidden-000000000000"):
        (tmp_path / name / "recipe.yaml").touch()
    assert run_folders(tmp_path) == [run.folder] == run_folders(run.folder)
    with pytest.raises(UserError, match="nowhere: cannot be read"):
        run_folders(tmp_path / "nowhere")


def test_a_run_that_is_stopped_says_where(tmp_path: Path) -> None:
    run = Run(tmp_path / "english-000000000000")
    run.begin(record(scores={}))
    assert (status_of(run).state, status_of(run).detail) == ("stopped", "before its first checkpoint")
    make_checkpoint(run, 2, 6)
    make_checkpoint(run, 10, 60)
    make_checkpoint(run, 20, 60, is_whole=False)
    status = status_of(run)
    assert (status.state, status.detail, status.record["name"]) == ("stopped", "at step 10 of 60", "english")
    run.model_dir.mkdir()
    run.write_partial_record(record(scores={"test": {"en": {}, "tr": {}}}))
    assert status_of(run).detail == "in evaluation, 2 of 4 languages done"


def test_a_run_of_an_earlier_version_is_known_by_its_recipe(tmp_path: Path) -> None:
    run = Run(tmp_path / "english-000000000000")
    make_checkpoint(run, 2, 6)
    run.recipe_path.write_text("name: english\ntask: {name: mini/xvnli}\ntrainer: {name: finetune}\nseed: 3\n")
    (row,) = list_runs([tmp_path], RunFilter())
    assert (row.task, row.trainer, row.seed, row.state) == ("mini/xvnli", "finetune", 3, "stopped")


def test_a_lock_that_is_held_says_by_whom_and_one_that_was_left_does_not(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(run.folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout.readline() == "held\n"
        status = status_of(run)
        assert status.state == "running" and f"process {holder.pid} on " in status.detail
        before = sorted(path.name for path in tmp_path.iterdir())
        holder.kill()
        holder.wait()
        assert status_of(run).state == "finished"
        assert sorted(path.name for path in tmp_path.iterdir()) == before  # the lock file that was left too


def test_where_locks_are_files_one_of_a_dead_process_of_this_machine_does_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import fcntl
    import socket

    def flock(*_: object) -> None:
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", flock)
    path = tmp_path / ".lock"
    with subprocess.Popen([sys.executable, "-c", ""]) as dead:
        dead.wait()
    for process, host, is_held in (
        (dead.pid, socket.gethostname(), False),
        (os.getpid(), socket.gethostname(), True),
        (dead.pid, "elsewhere", True),
    ):
        path.write_text(f"{process}\n{host}\n")
        assert (LockFile(path, path).held_by() is not None) == is_held


def test_a_run_that_fails_keeps_its_last_sentence_until_it_is_begun_again(
    recipe: Callable[..., Recipe], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = recipe({"trainer": {"name": "xvl_maml", "learning_rate": 1e9, "steps": 40}, "start_from": "model"})
    with pytest.raises(UserError, match="diverged") as error:
        runner.run(made)
    (folder,) = run_folders(made.runs)
    status = status_of(Run(folder))
    assert status.state == "failed" and status.detail.startswith(f"{error.value} (")
    assert (status.record["trainer"], status.record["seed"]) == ("xvl_maml", 0)

    monkeypatch.setattr(runner, "trained_model", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        runner.run(made)
    assert status_of(Run(folder)).detail.startswith("ZeroDivisionError: division by zero (")
    monkeypatch.setattr(runner, "trained_model", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        runner.run(made)
    assert status_of(Run(folder)).state == "stopped"


def test_a_finished_run_keeps_no_plan(recipe: Callable[..., Recipe]) -> None:
    run = runner.run(recipe())
    assert not run.plan_path.exists() and status_of(run).state == "finished"


@pytest.mark.parametrize("name", ["record.json", "draft.json", "plan.json", "processes.json", "failure.json"])
@given(data=st.data())
def test_mutated_files_of_a_run_are_listed(name: str, data: st.DataObject, tmp_path: Path) -> None:
    whole = {**record(), "format": 1}
    content = data.draw(st.one_of(mutated_bytes(json.dumps(whole).encode()), mutated_value(whole).flatmap(json_text)))
    with scratch_folder(tmp_path) as folder:
        run = make_run(folder)
        if name != "record.json":
            run.record_path.unlink()
        (run.folder / name).write_bytes(content)
        (row,) = list_runs([folder], RunFilter())
        assert row.state in ("finished", "stopped", "failed", "damaged")
        try:
            assert list(describe(read_details(run)))
        except UserError:
            assert row.state == "damaged"
