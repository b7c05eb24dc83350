"""How far the runs in a folder have got, found out by reading alone."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from iglue_plugins.recipes.problems import Problems
from iglue_plugins.recipes.reading import read_file
from iglue_plugins.runs.folder import Run
from iglue_plugins.runs.record_file import read_record_file
from iglue_plugins.trainers.checkpoint_names import Reached, reached_step
from iglue_plugins.utils.errors import UserError
from iglue_plugins.utils.strict_json import parse_json

State = Literal["finished", "running", "stopped", "failed", "damaged"]

RUN_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*-[0-9a-f]{12}(\.before-[0-9]+)?")  # of the folder of a run
LEFT_BY_RUNS = ("record.json", "plan.json", "processes.json", "draft.json", "recipe.yaml", "model", "checkpoints")


@dataclass(frozen=True)
class Status:
    """What has become of a run.

    Attributes:
        state: One word for it.
        detail: What there is to say of it: who works on a run that is running, where one stopped, why one failed or
            which of its files is damaged; "" for a finished one.
        record: The record, or what is known of a run without one; empty where that is damaged or missing.
    """

    state: State
    detail: str
    record: dict[str, Any]


def run_folders(folder: Path) -> list[Path]:
    """List the folders of runs in a folder, finished or not.

    Args:
        folder: A folder for runs, or the folder of a run, which is then the only one.

    Returns:
        The folders, in the order of their names.

    Raises:
        UserError: The folder does not exist or cannot be read.
    """
    if is_run_folder(folder):
        return [folder]
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        return [
            Path(entry)
            for entry in entries
            if not entry.name.startswith(".") and entry.is_dir() and is_run_folder(Path(entry))
        ]
    except OSError as error:
        raise UserError(f"{folder}: cannot be read ({error.strerror}); name a folder of runs") from error


def is_run_folder(folder: Path) -> bool:
    """Tell whether a folder is that of a run: it has a run's name and files, or under another name a record."""
    if RUN_NAME.fullmatch(folder.absolute().name):
        return any((folder / name).exists() for name in LEFT_BY_RUNS)
    return (folder / "record.json").is_file()


def status_of(run: Run) -> Status:
    """Say what has become of a run.

    Args:
        run: The run.

    Returns:
        Its status; a damaged file is part of it and no error.
    """
    damage, record = "", {}
    try:
        record = run.latest_record() or read_record_file(run.plan_path) or _record_of_recipe(run.recipe_path)
    except UserError as error:
        damage = str(error)
    holder = run.lock_file().held_by()
    if holder is not None:
        return Status("running", holder, record)
    if damage:
        return Status("damaged", damage, record)
    if run.is_finished:
        return Status("finished", "", record)
    where = where_stopped(run, record)
    failure = _read_failure(run.failure_path)
    return Status("failed", f"{failure} ({where})", record) if failure else Status("stopped", where, record)


def _record_of_recipe(path: Path) -> dict[str, Any]:
    """Make what is known of a run of its recipe alone, as an earlier version has left it; empty without one."""
    try:
        (layer,) = read_file(path, problems := Problems())
        problems.raise_if_any()
    except (UserError, ValueError):
        return {}
    recipe = layer.data
    names = {key: as_mapping(recipe.get(key)).get("name") for key in ("task", "trainer")}
    return {"name": recipe.get("name"), "seed": recipe.get("seed"), "recipe": recipe, **names}


def where_stopped(run: Run, record: dict[str, Any]) -> str:
    """Say where a run that is not finished goes on.

    Args:
        run: The run.
        record: What is known of it.

    Returns:
        Such as "at step 200 of 800", "before its first checkpoint" or "in evaluation, 3 of 15 languages done".
    """
    scored, wanted = count_scores(record)
    adapted = sorted(path.name for path in run.adapted_dir.iterdir()) if run.adapted_dir.is_dir() else []
    if run.model_dir.is_dir() or scored:
        adapting = f", in adaptation to {', '.join(adapted)}" if adapted else ""
        return f"in evaluation, {scored}{f' of {wanted}' if wanted else ''} languages done{adapting}"
    if adapted:
        return f"in adaptation to {', '.join(adapted)}"
    reached = reached_step(run.checkpoints_dir)
    return f"at {reached}" if reached else "before its first checkpoint"


def reached(run: Run) -> Reached | None:
    """Say from which step the training of a run would resume; None if it has no checkpoint or is finished."""
    return None if run.model_dir.is_dir() else reached_step(run.checkpoints_dir)


def count_scores(record: dict[str, Any]) -> tuple[int, int]:
    """Count the languages of all splits that have scores, and those that the recipe asks for."""
    evaluation = as_mapping(as_mapping(record.get("recipe")).get("evaluation"))
    wanted = [len(value) if isinstance(value := evaluation.get(key), list) else 0 for key in ("splits", "languages")]
    return sum(len(as_mapping(found)) for found in as_mapping(record.get("scores")).values()), wanted[0] * wanted[1]


def as_mapping(value: Any) -> dict[str, Any]:
    """Return a value of a record that somebody may have edited, or nothing where it is no mapping."""
    return value if isinstance(value, dict) else {}


def folder_size(folder: Path) -> int:
    """Return the bytes of all files of a folder, as far as they can be read."""
    return sum(size for _, size in file_sizes(folder))


def file_sizes(folder: Path) -> list[tuple[str, int]]:
    """List the files of a folder, folders inside it included.

    Args:
        folder: The folder.

    Returns:
        The path of each file below the folder, and its bytes, in the order of the paths.
    """
    found = []
    for parent, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(parent, name)
            try:
                found.append((os.path.relpath(path, folder), os.lstat(path).st_size))
            except FileNotFoundError:  # a process at work on the run has removed it
                continue
    return sorted(found)


def _read_failure(path: Path) -> str | None:
    try:
        failure = parse_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError):
        return "for a reason that cannot be read"
    sentence = failure.get("sentence") if isinstance(failure, dict) else None
    return sentence if isinstance(sentence, str) else "for a reason that cannot be read"
