"""IGLUE's test sets as lmms-eval tasks: a folder of YAML files and documents, made from the tasks themselves."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from datasets import Dataset

from iglue_plugins.data.annotations.caching import cache_folder
from iglue_plugins.integrations.lmms_eval import documents
from iglue_plugins.integrations.lmms_eval.questions import QUESTIONS
from iglue_plugins.tasks.base import Task
from iglue_plugins.tasks.settings import IGLUE_HOME
from iglue_plugins.utils.errors import UserError, did_you_mean
from iglue_plugins.utils.files import content_hash, write_jsonl_atomic

SPLIT = "test"
VERSION = 1  # raise it when prompts or the reading of answers change
PINNED = "pinned"
COLUMNS = ("id", "image_ids", "text", "language", "label")
MINI = tuple(name for name in QUESTIONS if name.startswith("mini/"))
FULL_SCALE = tuple(name for name in QUESTIONS if name not in MINI)


class Function(str):
    """The path of a function, which lmms-eval imports."""


class Dumper(yaml.SafeDumper):
    """Writes functions as lmms-eval reads them."""


Dumper.add_representer(Function, lambda dumper, path: dumper.represent_scalar("!function", str(path)))


@dataclass(frozen=True)
class Source:
    """Where the documents and pictures of the tasks at full scale come from.

    hub: 'pinned', another revision, or a local folder laid out like the hub's copy; None: the files below data_root.
    images: a folder with the pictures as <image id>.jpg or .png.
    """

    data_root: Path | None = None
    hub: str | None = None
    images: Path | None = None

    def __post_init__(self) -> None:
        for name, folder in (("data-root", self.data_root), ("images", self.images)):
            if folder is not None and not folder.is_dir():
                raise UserError(f"--{name}: found no folder '{folder}', expected one")

    @property
    def is_given(self) -> bool:
        return bool(self.data_root or self.hub or os.environ.get(IGLUE_HOME))

    def settings(self) -> dict[str, Any]:
        """Of a task at full scale, with absolute paths."""
        root = self.data_root or os.environ.get(IGLUE_HOME)
        hub = str(Path(self.hub).resolve()) if self.hub and Path(self.hub).is_dir() else self.hub
        return {"data_root": root and str(Path(root).resolve()), "hub": (hub == PINNED or hub) if hub else False}


def write_tasks(names: Sequence[str], source: Source) -> Path:
    """Write the tasks into a folder named after its content, below the cache, and return it.

    names: of tasks; default: the mini benchmark's, and all others if `source` says where their data are. What is left
    out is told on stderr: a language without data, then the group too, since its mean would be another one.

    Raises:
        UserError: an unknown task, one that was named and has no data in any language, or data given for none at all.
    """
    for name in names:
        if name not in QUESTIONS:
            raise UserError(f"found task '{name}', expected one that fits lmms-eval{did_you_mean(name, QUESTIONS)}")
        if name in FULL_SCALE and not source.is_given:
            raise UserError(f"task {name}: found no data, expected --data-root, --hub or the variable {IGLUE_HOME}")
    cache = cache_folder() / "lmms_eval"
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache, prefix=".") as unfinished:
        folder = Path(unfinished, "tasks")
        failed: dict[str, UserError] = {}
        for name in names or (QUESTIONS if source.is_given else MINI):
            try:
                _write_task(name, source, folder)
            except UserError as error:
                failed[name] = error
        if failed and (names or len(failed) == len(FULL_SCALE)):
            raise next(iter(failed.values()))
        for name, error in failed.items():
            _tell(f"{name}: {error}")
        return _kept(folder, cache)


def _tell(left_out: str) -> None:
    print(f"left out: {left_out}", file=sys.stderr)


def _kept(unfinished: Path, cache: Path) -> Path:
    """The folder under the name of its content; one that is there already is as good."""
    kept = cache / content_hash(unfinished)[:12]
    try:
        unfinished.rename(kept)
    except OSError:
        if not kept.is_dir():
            raise
    return kept


def _write_task(name: str, source: Source, folder: Path) -> None:
    """A YAML file and documents for each language, and the group of the target languages."""
    settings = source.settings() if name in FULL_SCALE else {}
    task = documents.make_task(name, settings)
    loaded, missing = _load(task)
    if not loaded:
        raise next(iter(missing.values()))
    if missing:
        _tell(f"{name} in {', '.join(missing)}: {next(iter(missing.values()))}")
    options = {"settings": settings}
    if name in FULL_SCALE and source.images:
        options["images"] = str(source.images.resolve())
    if name == "mini/xgqa":  # its answers are few enough to list
        options["labels"] = list(task.labels)
    for language, examples in loaded.items():
        own = task_name(name, language)
        rows = ({"task": name, **row} for row in examples.select_columns(list(COLUMNS)))
        write_jsonl_atomic(folder / f"{own}.jsonl", rows)
        _write_yaml(folder / f"{own}.yaml", task_config(name, language, options))
    targets = [language for language in task.languages if language != task.source_language]
    if lacking := [language for language in targets if language not in loaded]:
        _tell(f"group {task_name(name)}, whose mean needs {', '.join(lacking)} too")
    else:
        _write_yaml(folder / f"{task_name(name)}.yaml", group_config(name, targets))


def _load(task: Task) -> tuple[dict[str, Dataset], dict[str, UserError]]:
    """The test set in each language that has one, and why the others have none."""
    loaded: dict[str, Dataset] = {}
    missing: dict[str, UserError] = {}
    for language in task.languages:
        try:
            loaded[language] = task.load(SPLIT, language)
        except UserError as error:
            missing[language] = error
    return loaded, missing


def task_name(name: str, language: str | None = None) -> str:
    """Of the group or, with a language, of a task in lmms-eval: 'mini_xvnli', 'xvnli_ar'."""
    return "_".join([*name.split("/"), *([language] if language else [])])


def task_config(name: str, language: str, options: dict[str, Any]) -> dict[str, Any]:
    """lmms-eval's configuration of a task in a language; the documents lie beside it."""
    own = task_name(name, language)
    return {
        "task": own,
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {SPLIT: f"{own}.jsonl"}},
        "test_split": SPLIT,
        "output_type": "generate_until",
        "generation_kwargs": {"max_new_tokens": 16, "temperature": 0, "do_sample": False},
        "doc_to_text": _function(documents.prompt),
        "doc_to_visual": _function(documents.pictures),
        "doc_to_target": "label",
        "process_results": _function(documents.scored),
        "metric_list": [{"metric": documents.METRIC, "aggregation": "mean", "higher_is_better": True}],
        "lmms_eval_specific_kwargs": {"default": options},
        "metadata": {"version": VERSION, "iglue_task": name, "language": language},
    }


def group_config(name: str, targets: Sequence[str]) -> dict[str, Any]:
    """lmms-eval's configuration of the mean over the target languages, each of which counts the same."""
    return {
        "group": task_name(name),
        "task": [task_name(name, language) for language in targets],
        "aggregate_metric_list": [{"metric": documents.METRIC, "aggregation": "mean", "weight_by_size": False}],
        "metadata": {"version": VERSION, "iglue_task": name},
    }


def _function(function: object) -> Function:
    return Function(f"{function.__module__}.{function.__qualname__}")


def _write_yaml(path: Path, config: dict[str, Any]) -> None:
    path.write_text(yaml.dump(config, Dumper=Dumper, sort_keys=False, allow_unicode=True), encoding="utf-8")
