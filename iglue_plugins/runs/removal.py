"""Removing runs, so that no half of one is left that counts as a run."""

from __future__ import annotations

import contextlib
import shutil
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from iglue_plugins.runs.folder import Run
from iglue_plugins.runs.starts import runs_that_start_from
from iglue_plugins.runs.status import RUN_NAME, is_run_folder
from iglue_plugins.utils.errors import UserError, explain_write_errors

REMOVED = ".removed"  # what the name of a folder that is being removed ends in; it is hidden too


def check_removable(runs: Sequence[Run]) -> None:
    """Check that runs can be removed.

    Args:
        runs: The runs.

    Raises:
        UserError: One is no run, is running, or is what a run that stays starts from; all that cannot be removed are
            named.
    """
    leaving = {run.folder.resolve() for run in runs}
    sentences = []
    for run in runs:
        if run.folder.is_symlink() or not _is_run(run):
            raise UserError(f"{run.folder}: is not the folder of a run; name one that `iglue runs` lists")
        if (holder := run.lock_file().held_by()) is not None:
            sentences.append(f"{run.folder}: is running, by {holder}; stop it first")
        elif staying := [str(path) for path in runs_that_start_from(run) if path.resolve() not in leaving]:
            sentences.append(f"{run.folder}: {', '.join(staying)} start from it; remove them first, or with it")
    if len(sentences) == 1:
        raise UserError(sentences[0])
    if sentences:
        raise UserError("\n  - ".join(["nothing was removed:", *sentences]))


def _is_run(run: Run) -> bool:
    """Tell whether a folder is a run's by its name or by its record, so that nothing else is ever removed."""
    if RUN_NAME.fullmatch(run.folder.absolute().name):
        return is_run_folder(run.folder)
    try:
        return run.record() is not None
    except UserError:
        return False


def remove(runs: Iterable[Run]) -> None:
    """Remove runs, after `check_removable`, and what an earlier removal that was killed has left.

    A folder gets a name first under which it is no run, so that a kill leaves a run as it was or none.

    Args:
        runs: The runs.

    Raises:
        UserError: A run is running, or its folder cannot be written.
    """
    parents = set()
    for run in runs:
        folder = run.folder.absolute()
        hidden = folder.with_name(f".{folder.name}.{uuid.uuid4().hex}{REMOVED}")
        with explain_write_errors(run.folder):
            with taken(run):
                folder.rename(hidden)
            shutil.rmtree(hidden)
        parents.add(folder.parent)
    for parent in parents:
        for left in parent.glob(f".*{REMOVED}"):
            shutil.rmtree(left, ignore_errors=True)


@contextmanager
def taken(run: Run) -> Iterator[None]:
    """Hold a run's lock while the block runs; unlike `Run.lock` it waits for no other process and needs no PyTorch.

    Args:
        run: The run.

    Yields:
        Nothing.

    Raises:
        UserError: Another process holds the lock.
        OSError: The lock file cannot be written.
    """
    lock = run.lock_file()
    with contextlib.closing(lock):
        if not lock.acquire():
            raise UserError(f"{run.folder}: is running, by {lock.holder()}; wait for it, or stop it")
        yield
