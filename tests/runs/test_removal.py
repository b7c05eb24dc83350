"""Removing runs: what is refused, and removals that are killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from made_runs import files, make_run, record, start_from

from iglue_plugins.runs.folder import Run
from iglue_plugins.runs.removal import check_removable, remove
from iglue_plugins.runs.status import run_folders
from iglue_plugins.utils.errors import UserError


def test_a_run_that_others_start_from_goes_with_them_only(tmp_path: Path) -> None:
    first = make_run(tmp_path, "first", "1" * 12)
    second = make_run(tmp_path, "second", "2" * 12, start_from=start_from(first))
    unfinished = Run(tmp_path / f"third-{'3' * 12}")
    unfinished.begin(record(start_from=start_from(second)))
    with pytest.raises(UserError, match=f"first-1+: {second.folder} start from it"):
        check_removable([first])
    with pytest.raises(UserError, match=f"second-2+: {unfinished.folder} start from it"):
        check_removable([first, make_run(tmp_path, "alone", "4" * 12), second])
    check_removable([first, second, unfinished])
    remove([first, second, unfinished])
    assert [path.name for path in tmp_path.iterdir()] == [f"alone-{'4' * 12}"]


def test_a_run_that_was_set_aside_is_the_start_of_none(tmp_path: Path) -> None:
    first = make_run(tmp_path, "first", "1" * 12)
    aside = Run(first.set_aside())
    again = make_run(tmp_path, "first", "1" * 12)
    make_run(tmp_path, "second", "2" * 12, start_from=start_from(again))
    check_removable([aside])
    with pytest.raises(UserError, match="start from it"):
        check_removable([again])


def test_a_run_that_is_running_stays(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    lock = run.lock_file()
    assert lock.acquire()
    with pytest.raises(UserError, match=f"is running, by process {os.getpid()} on "):
        check_removable([run])
    with pytest.raises(UserError, match="is running"):
        remove([run])
    lock.close()
    assert run.is_finished


def test_what_is_no_run_is_never_removed(tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    for name in ("recipe.yaml", "record.json", "processes.json"):
        (project / name).write_text("{}")
    link = tmp_path / f"link-{'1' * 12}"
    link.symlink_to(make_run(tmp_path).folder)
    for folder in (project, link, tmp_path, tmp_path / "nowhere"):
        with pytest.raises(UserError, match="is not the folder of a run"):
            check_removable([Run(folder)])


KILLED = """
import os, shutil, signal, sys
from pathlib import Path
from iglue_plugins.runs import removal
from iglue_plugins.runs.folder import Run
left, unlink, rmtree = int(sys.argv[2]), os.unlink, shutil.rmtree
def counted(*args, **kwargs):
    global left
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    left -= 1
    return unlink(*args, **kwargs)
def removed(*args, **kwargs):
    os.unlink = counted
    return rmtree(*args, **kwargs)
if left < 0:
    Path.rename = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
shutil.rmtree = removed
removal.remove([Run(sys.argv[1])])
"""


@pytest.mark.parametrize("moment", [-1, 0, 3, 7])
def test_a_removal_that_is_killed_leaves_a_whole_run_or_none(moment: int, tmp_path: Path) -> None:
    """It is killed before the folder has its new name, or after so many of its files have gone."""
    run, other = make_run(tmp_path), make_run(tmp_path, "other", "1" * 12)
    before = files(run.folder)
    ended = subprocess.run([sys.executable, "-c", KILLED, str(run.folder), str(moment)])
    assert ended.returncode == -signal.SIGKILL
    assert run_folders(tmp_path) == [*[run.folder] * (moment < 0), other.folder]
    if moment < 0:
        assert files(run.folder) == before
    else:
        assert Run.open(tmp_path, "english", run.fingerprint).is_finished is False
        (left,) = tmp_path.glob(".*.removed")
        assert len(files(left)) == len(before) - moment
    remove([other])
    assert run_folders(tmp_path) == [run.folder] * (moment < 0)
    assert not list(tmp_path.glob(".*.removed"))
