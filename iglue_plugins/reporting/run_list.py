"""The runs of folders as a table: what each is, what has become of it, and what it scored."""

from __future__ import annotations

import datetime
import fnmatch
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import Any, get_args

from rich import box
from rich.filesize import decimal
from rich.table import Table
from rich.text import Text

from iglue_plugins.recipes.sections import scored_split
from iglue_plugins.runs.folder import Run
from iglue_plugins.runs.record_checks import check_record, check_scores
from iglue_plugins.runs.status import State, folder_size, run_folders, status_of
from iglue_plugins.utils.errors import UserError, did_you_mean
from iglue_plugins.utils.languages import language_tuple
from iglue_plugins.utils.text import printable

SAID_BELOW = {"running": " by ", "failed": ": ", "damaged": ": "}  # states whose details stand below the table
STATE_STYLES = {"finished": "", "running": "cyan", "stopped": "yellow", "failed": "red", "damaged": "red"}


@dataclass(frozen=True)
class RunRow:
    """What the list of runs says of one.

    Attributes:
        folder: The run's folder.
        name: The recipe's name.
        task: The task's name; None where it is not known, as of a run that an earlier version began.
        trainer: The trainer's name, or None.
        seed: The seed, or None.
        limit: The number of steps and examples that a smoke test is limited to; None for a real run.
        state: What has become of the run.
        detail: What there is to say of the state, or "".
        split: The split of the mean; None if there is none.
        mean: The mean of the main metric over the target languages, from 0 to 100; None without scores in one.
        date: When the last process that worked on it began, in UTC; None if it is not known.
        bytes: The size of all files.
    """

    folder: str
    name: str
    task: str | None
    trainer: str | None
    seed: int | None
    limit: int | None
    state: State
    detail: str
    split: str | None
    mean: float | None
    date: str | None
    bytes: int


@dataclass(frozen=True)
class RunFilter:
    """Which runs a list has; None takes any.

    Attributes:
        task: The task's name.
        trainer: The trainer's name.
        state: What has become of the run.
        name: A pattern for the name or the folder's name, such as `xvl_*`.
        seeds: The seeds.
    """

    task: str | None = None
    trainer: str | None = None
    state: str | None = None
    name: str | None = None
    seeds: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        if self.state is not None and self.state not in (states := get_args(State)):
            raise UserError(f"--state: a run is never '{self.state}'{did_you_mean(self.state, states)}")

    def takes(self, row: RunRow) -> bool:
        """Tell whether a run is in the list."""
        names = row.name, Path(row.folder).name
        return (
            self.task in (None, row.task)
            and self.trainer in (None, row.trainer)
            and self.state in (None, row.state)
            and (self.name is None or any(fnmatch.fnmatchcase(name, self.name) for name in names))
            and (self.seeds is None or row.seed in self.seeds)
        )


def list_runs(folders: Sequence[Path], chosen: RunFilter, split: str | None = None) -> list[RunRow]:
    """List the runs of folders.

    Args:
        folders: Folders of runs, or the folders of runs themselves.
        chosen: Which runs to list.
        split: The split of the means; None: "test", or of a run without scores on it the first that it has.

    Returns:
        A row for each run, in the order of the folders and of the names in them.

    Raises:
        UserError: A folder cannot be read.
    """
    found = dict.fromkeys(path for folder in folders for path in run_folders(folder))
    return [row for path in found if chosen.takes(row := _row(Run(path), split))]


def _row(run: Run, split: str | None) -> RunRow:
    status = status_of(run)
    state, detail, record, mean = status.state, status.detail, status.record, None
    if run.is_finished and state in ("finished", "running"):
        try:
            check_record(run, record)
            split = _split_of(record, split)
            mean = target_mean(run, record, split) if split else None
        except UserError as error:
            state, detail = "damaged", str(error)
    return RunRow(
        folder=str(run.folder),
        name=_typed(record.get("name"), str) or run.folder.name.rpartition("-")[0] or run.folder.name,
        task=_typed(record.get("task"), str),
        trainer=_typed(record.get("trainer"), str),
        seed=_typed(record.get("seed"), int),
        limit=_typed(record.get("limit"), int),
        state=state,
        detail=detail,
        split=split if mean is not None else None,
        mean=mean,
        date=_date(run, record),
        bytes=folder_size(run.folder),
    )


def _typed(value: Any, kind: type) -> Any:
    """Return a value of a record that may be damaged, if it is of the kind."""
    return value if isinstance(value, kind) else None


def _split_of(record: dict[str, Any], split: str | None) -> str | None:
    """Return the name under which the record has scores of a split, or of the first that it has."""
    evaluation = (record.get("recipe") or {}).get("evaluation") or {}
    names = [split or "test", *([] if split else record["scores"])]
    for name in names:
        scored = scored_split(name, evaluation.get("precision", "float32"), bool(evaluation.get("compile")))
        for found in (scored, name):
            if record["scores"].get(found):
                return found
    return None


def target_mean(run: Run, record: dict[str, Any], split: str) -> float | None:
    """Average the main metric over a run's target languages, as the table of a comparison with this run alone does.

    Args:
        run: The run.
        record: Its record, as `read_record` checks it.
        split: A split that has scores.

    Returns:
        The mean, from 0 to 100, over the languages that are neither the source language nor trained on; None if there
        are none.

    Raises:
        UserError: A score is missing, or no number in its range.
    """
    check_scores(run, record, split)
    others = {*language_tuple(record["source_language"]), *map(str, record["training_languages"])}
    scores = [found[record["main_metric"]] for name, found in record["scores"][split].items() if name not in others]
    return fmean(scores) if scores else None


def _date(run: Run, record: dict[str, Any]) -> str | None:
    """Return when the last process began its work on the run; of an unfinished one when its folder last changed."""
    processes = record.get("processes")
    last = processes[-1] if isinstance(processes, list) and processes else None
    if run.is_finished and isinstance(last, dict) and isinstance(last.get("date"), str):
        return last["date"]
    try:
        changed = max(path.stat().st_mtime for path in (run.folder, *run.folder.glob("*.json")))
    except OSError:  # a process at work on the run has just replaced a file
        return None
    return datetime.datetime.fromtimestamp(changed, datetime.UTC).isoformat(timespec="seconds")


def to_json(rows: Sequence[RunRow]) -> list[dict[str, Any]]:
    """Return the rows as JSON values, scores unrounded."""
    return [asdict(row) for row in rows]


def render_list(rows: Sequence[RunRow]) -> Iterator[Table | Text]:
    """Render runs as a table, and below it what there is to say of those that are not finished.

    Args:
        rows: The runs.

    Yields:
        Rich renderables.
    """
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 2, 0, 0))
    for name in ("run", "task", "trainer", "seed", "state", "mean", "date (UTC)", "size"):
        table.add_column(name, justify="right" if name in ("seed", "mean", "size") else "left", no_wrap=True)
    for row in rows:
        table.add_row(
            Text(printable(row.folder)),
            *(Text("" if value is None else printable(str(value))) for value in (row.task, row.trainer, row.seed)),
            Text(_short_state(row), style=STATE_STYLES[row.state]),
            _mean_text(row),
            (row.date or "").partition("+")[0].replace("T", " ")[:16],
            decimal(row.bytes),
        )
    yield table
    for row in rows:
        if row.state in SAID_BELOW:
            yield Text(printable(f"{row.folder}: {row.state}{SAID_BELOW[row.state]}{row.detail}"), style="dim")
    yield Text(f"{len(rows)} run{'s' * (len(rows) != 1)}, {decimal(sum(row.bytes for row in rows))}", style="dim")


def _short_state(row: RunRow) -> str:
    state = f"stopped {row.detail}" if row.state == "stopped" else row.state
    return state if row.limit is None else f"{state}, limited to {row.limit}"


def _mean_text(row: RunRow) -> Text:
    if row.mean is None:
        return Text("")
    return Text(f"{row.mean:.1f}" if row.split == "test" else f"{row.split} {row.mean:.1f}")
