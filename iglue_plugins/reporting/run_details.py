"""All that is known of one run: its settings, stages, scores, files and processes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from rich.filesize import decimal

from iglue_plugins.reporting.results import join_names
from iglue_plugins.runs.changed_settings import changed_settings
from iglue_plugins.runs.folder import Run
from iglue_plugins.runs.record_checks import check_record, check_scores
from iglue_plugins.runs.starts import previous_run, start_of
from iglue_plugins.runs.status import Status, as_mapping, file_sizes, is_run_folder, status_of
from iglue_plugins.utils.errors import UserError
from iglue_plugins.utils.strict_json import parse_json

SHOWN = ("name", "task", "trainer", "seed", "limit", "steps", "training_languages")  # keys of a record


@dataclass(frozen=True)
class RunDetails:
    """What is known of one run.

    Attributes:
        run: The run.
        status: What has become of it.
        settings: Key path to value and default, of the settings that differ from it; the default is None where the
            plugin is not installed.
        stages: The runs before it, the nearest first; a path of weights where no run is there.
        scores: The main metric by split and language.
        files: The files and their bytes.
        processes: The processes that have worked on it, the first one first.
    """

    run: Run
    status: Status
    settings: dict[str, tuple[Any, Any]]
    stages: list[str]
    scores: dict[str, dict[str, float]]
    files: list[tuple[str, int]]
    processes: list[dict[str, Any]]

    def to_json(self) -> dict[str, Any]:
        """Return what is known as JSON values."""
        record = self.status.record
        return {
            "folder": str(self.run.folder),
            "state": self.status.state,
            "detail": self.status.detail,
            **{key: record.get(key) for key in SHOWN},
            "settings": {key: {"value": value, "default": default} for key, (value, default) in self.settings.items()},
            "stages": self.stages,
            "main_metric": record.get("main_metric"),
            "scores": self.scores,
            "files": dict(self.files),
            "processes": self.processes,
        }


def read_details(run: Run) -> RunDetails:
    """Read all that is known of a run.

    Args:
        run: The run, finished or not.

    Returns:
        What is known.

    Raises:
        UserError: The folder is not that of a run, or its record is damaged.
    """
    if not is_run_folder(run.folder):
        raise UserError(f"{run.folder}: is not the folder of a run; name one that `iglue runs` lists")
    status = status_of(run)
    record, scores = status.record, {}
    if status.state == "damaged":
        raise UserError(status.detail)
    if run.is_finished:
        check_record(run, record)
        for split in record["scores"]:
            check_scores(run, record, split)
        metric = record["main_metric"]
        scores = {split: {name: of[metric] for name, of in found.items()} for split, found in record["scores"].items()}
    return RunDetails(
        run,
        status,
        changed_settings(record),
        _stages(run, record),
        scores,
        file_sizes(run.folder),
        _processes(run, record),
    )


def _stages(run: Run, record: Mapping[str, Any]) -> list[str]:
    """Describe the stages before a run, the nearest first."""
    stages: list[str] = []
    while (start := start_of(record)) is not None:
        before = previous_run(run, record)
        if before is None or str(before.folder) in stages:
            return [*stages, f"{start[0]}, which is not there as a run"]
        stages.append(str(before.folder))
        run, record = before, status_of(before).record
    return stages


def _processes(run: Run, record: Mapping[str, Any]) -> list[dict[str, Any]]:
    found = record.get("processes")
    if not run.is_finished:
        try:
            found = parse_json(run.processes_path.read_bytes())
        except (OSError, ValueError):
            found = None
    return [process for process in found if isinstance(process, dict)] if isinstance(found, list) else []


def describe(details: RunDetails) -> Iterator[str]:
    """Describe a run in lines.

    Args:
        details: What is known of it.

    Yields:
        The lines.
    """
    record, status = details.status.record, details.status
    yield f"{details.run.folder}: {' '.join(filter(None, [status.state, status.detail]))}"
    if record:
        model = as_mapping(as_mapping(record.get("recipe")).get("model")).get("name")
        what = f"{record.get('trainer')} on {record.get('task')} with {model}, seed {record.get('seed')}"
        yield f"{what}, {record['steps']} steps" if record.get("steps") else what
        if record.get("limit"):
            yield f"a smoke test, limited to {record['limit']} steps and examples"
        for stage in details.stages or ["the model's own weights"]:
            yield f"started from {stage}"
        yield "settings that differ from the defaults:" if details.settings else "all settings are the defaults"
    for key, (value, default) in details.settings.items():
        yield f"  {key}: {_text(value)} (default: {_text(default)})"
    for split, scores in details.scores.items():
        shown = [f"{name} {score:.1f}" for name, score in scores.items()]
        yield f"{split}, {record['main_metric']} (%): {join_names(shown)}"
    if isinstance(timings := record.get("timings"), dict) and timings:
        yield f"timings: {join_names(f'{name} {value}' for name, value in timings.items())}"
    yield f"files, {decimal(sum(size for _, size in details.files))}:"
    for name, size in details.files:
        yield f"  {name}: {decimal(size)}"
    yield "processes:" if details.processes else "nothing is known of its processes"
    for process in details.processes:
        yield f"  {process.get('date')} on {process.get('host')}, {process.get('device')}: {process.get('command')}"
        commit = as_mapping(process.get("commits")).get("iglue_plugins")
        known = [f"{name} {version}" for name, version in as_mapping(process.get("versions")).items()]
        yield f"    {join_names([*known, *[f'commit {commit}'] * bool(commit)])}"


def _text(value: Any) -> str:
    """Return a setting as a recipe has it."""
    return json.dumps(value, ensure_ascii=False)
