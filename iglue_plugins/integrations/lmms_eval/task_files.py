"""The files of lmms-eval tasks: YAML files and documents that are generated from IGLUE's test sets."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from datasets import Dataset

from iglue_plugins.data.annotations.caching import cache_folder
from iglue_plugins.evaluation.clusters import group_clusters
from iglue_plugins.integrations.lmms_eval import documents
from iglue_plugins.integrations.lmms_eval.questions import QUESTIONS
from iglue_plugins.tasks.base import Task
from iglue_plugins.tasks.settings import IGLUE_HOME
from iglue_plugins.utils.errors import UserError, did_you_mean
from iglue_plugins.utils.files import content_hash, write_jsonl_atomic
from iglue_plugins.utils.lines import say

SPLIT = "test"
VERSION = 1  # of prompts and the reading of answers; a change of either raises it
PINNED = "pinned"
COLUMNS = ("id", "image_ids", "text", "language", "label")
MINI = tuple(name for name in QUESTIONS if name.startswith("mini/"))
FULL_SCALE = tuple(name for name in QUESTIONS if name not in MINI)


class Function(str):
    """The import path of a function, which YAML marks for lmms-eval to import."""


class Dumper(yaml.SafeDumper):
    """A YAML dumper that writes functions as lmms-eval reads them."""


Dumper.add_representer(Function, lambda dumper, path: dumper.represent_scalar("!function", str(path)))


@dataclass(frozen=True)
class DataSource:
    """The place of the documents and pictures of the tasks at full scale.

    Attributes:
        data_root: The folder with IGLUE's data; default: the environment variable IGLUE_HOME.
        hub: The copy on the model hub: 'pinned', another revision, or a local folder with the same layout; None takes
            documents from files below `data_root`.
        images: A folder with pictures, named <image id>.jpg, .jpeg or .png.

    Raises:
        UserError: A folder does not exist.
    """

    data_root: Path | None = None
    hub: str | None = None
    images: Path | None = None

    def __post_init__(self) -> None:
        for name, folder in (("data-root", self.data_root), ("images", self.images)):
            if folder is not None and not folder.is_dir():
                raise UserError(f"--{name}: there is no folder '{folder}'; name one that exists")

    @property
    def is_given(self) -> bool:
        """Whether documents of the tasks at full scale can be looked for."""
        return bool(self.data_root or self.hub or os.environ.get(IGLUE_HOME))

    def settings(self) -> dict[str, Any]:
        """Return the settings of a task at full scale.

        Returns:
            `data_root` and `hub`, with absolute paths.
        """
        root = self.data_root or os.environ.get(IGLUE_HOME)
        hub = str(Path(self.hub).resolve()) if self.hub and Path(self.hub).is_dir() else self.hub
        return {"data_root": root and str(Path(root).resolve()), "hub": (hub == PINNED or hub) if hub else False}


def write_tasks(names: Sequence[str], source: DataSource) -> Path:
    """Write task files for lmms-eval into a folder below the cache that is named after its content.

    A language without data is left out, and then its group too, since the group's mean would be over other languages.
    What is left out is reported on stderr.

    Args:
        names: The names of tasks; default: those of the mini benchmark, and all others if `source` says where their
            data are.
        source: The place of the data of the tasks at full scale.

    Returns:
        The folder.

    Raises:
        UserError: A task is unknown, or one that was named has no data in any language; or the data of every task at
            full scale are missing, although `source` says where they are.
    """
    for name in names:
        if name not in QUESTIONS:
            raise UserError(f"there is no task '{name}' for lmms-eval{did_you_mean(name, QUESTIONS)}")
        if name in FULL_SCALE and not source.is_given:
            raise UserError(f"task {name}: its data are not known; set --data-root, --hub or the variable {IGLUE_HOME}")
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
        for name, reason in failed.items():
            _report_left_out(f"{name}: {reason}")
        return _move_to_cache(folder, cache)


def _report_left_out(left_out: str) -> None:
    say(f"left out: {left_out}")


def _move_to_cache(unfinished: Path, cache: Path) -> Path:
    """Give a folder the name of its content in the cache; if that exists, it has the same content and is returned."""
    finished = cache / content_hash(unfinished)[:12]
    try:
        unfinished.rename(finished)
    except OSError:
        if not finished.is_dir():
            raise
    return finished


def _write_task(name: str, source: DataSource, folder: Path) -> None:
    """Write a YAML file and documents for each language, and the group of the target languages."""
    settings = source.settings() if name in FULL_SCALE else {}
    task = documents.make_task(name, settings)
    loaded, missing = _load_languages(task)
    if not loaded:
        raise next(iter(missing.values()))
    if missing:
        _report_left_out(f"{name} in {', '.join(missing)}: {next(iter(missing.values()))}")
    options: dict[str, Any] = {"settings": settings}
    if name in FULL_SCALE and source.images:
        options["images"] = str(source.images.resolve())
    if name == "mini/xgqa":  # its answers are few enough to list
        options["labels"] = list(task.labels)
    for language, examples in loaded.items():
        file_name = task_name(name, language)
        rows = (
            {"task": name, **row, documents.CLUSTER: cluster}
            for row, cluster in zip(examples.select_columns(list(COLUMNS)), clusters(examples), strict=True)
        )
        write_jsonl_atomic(folder / f"{file_name}.jsonl", rows)
        _write_yaml(folder / f"{file_name}.yaml", task_config(name, language, options))
    targets = [language for language in task.languages if language != task.source_language]
    if missing_targets := [language for language in targets if language not in loaded]:
        _report_left_out(f"group {task_name(name)}, whose mean needs {', '.join(missing_targets)} too")
    else:
        _write_yaml(folder / f"{task_name(name)}.yaml", group_config(name, targets))


def clusters(examples: Dataset) -> list[str]:
    """Name the cluster of images of each example, by which lmms-eval clusters its intervals.

    Args:
        examples: The examples of a language.

    Returns:
        The image of each example. Where examples have several images, which link them, it is the first image of the
        first example that is linked.
    """
    image_ids = examples["image_ids"][:]
    (group,) = group_clusters({"": examples["id"][:]}, {"": image_ids})
    numbers = group.clusters[""].tolist()
    names = {number: images[0] for number, images in zip(reversed(numbers), reversed(image_ids), strict=True)}
    return [names[number] for number in numbers]


def _load_languages(task: Task) -> tuple[dict[str, Dataset], dict[str, UserError]]:
    """Load the test set in each language, and return those that exist, and the errors of the others."""
    loaded: dict[str, Dataset] = {}
    missing: dict[str, UserError] = {}
    for language in task.languages:
        try:
            loaded[language] = task.load(SPLIT, language)
        except UserError as error:
            missing[language] = error
    return loaded, missing


def task_name(name: str, language: str | None = None) -> str:
    """Return the name of a task in lmms-eval.

    Args:
        name: The task's name in this package.
        language: The code of the language; None for the group of the target languages.

    Returns:
        A name such as 'xvnli_ar', or 'mini_xvnli' for a group.
    """
    return "_".join([*name.split("/"), *([language] if language else [])])


def task_config(name: str, language: str, options: dict[str, Any]) -> dict[str, Any]:
    """Return lmms-eval's configuration of a task in a language, whose documents are in the same folder.

    Args:
        name: The task's name in this package.
        language: The code of the language.
        options: The options that lmms-eval passes to the functions of `documents`.

    Returns:
        The content of the YAML file.
    """
    name_in_lmms_eval = task_name(name, language)
    return {
        "task": name_in_lmms_eval,
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {SPLIT: f"{name_in_lmms_eval}.jsonl"}},
        "test_split": SPLIT,
        "output_type": "generate_until",
        "generation_kwargs": {"max_new_tokens": 16, "temperature": 0, "do_sample": False},
        "doc_to_text": _function(documents.prompt),
        "doc_to_visual": _function(documents.pictures),
        "doc_to_target": "label",
        "process_results": _function(documents.judged),
        "cluster_key": documents.CLUSTER,
        "metric_list": [
            {
                "metric": documents.METRIC,
                "aggregation": _function(documents.mean_score),
                "higher_is_better": True,
            }
        ],
        "lmms_eval_specific_kwargs": {"default": options},
        "metadata": {"version": VERSION, "iglue_task": name, "language": language},
    }


def group_config(name: str, targets: Sequence[str]) -> dict[str, Any]:
    """Return lmms-eval's configuration of the mean over the target languages, which have equal weights.

    Args:
        name: The task's name in this package.
        targets: The codes of the target languages.

    Returns:
        The content of the YAML file.
    """
    return {
        "group": task_name(name),
        "task": [task_name(name, language) for language in targets],
        "aggregate_metric_list": [{"metric": documents.METRIC, "aggregation": "mean", "weight_by_size": False}],
        "metadata": {"version": VERSION, "iglue_task": name},
    }


def _function(function: Callable[..., object]) -> Function:
    return Function(f"{function.__module__}.{function.__qualname__}")


def _write_yaml(path: Path, config: dict[str, Any]) -> None:
    path.write_text(yaml.dump(config, Dumper=Dumper, sort_keys=False, allow_unicode=True), encoding="utf-8")
