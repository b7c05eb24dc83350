"""lmms-eval's result files, to show beside the scores of runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from iglue_plugins.utils.errors import UserError
from iglue_plugins.utils.strict_json import parse_json

METRIC = "accuracy"
SPLIT = "test"
RESULTS = "_results.json"  # the end of the name of a result file
KEYS = ("results", "configs", "n-samples", "config")


@dataclass(frozen=True)
class LMMSEvalResult:
    """The results of one model on one task.

    Attributes:
        file: The result file.
        model: lmms-eval's name of the model.
        checkpoint: The model's checkpoint.
        languages: The accuracies, from 0 to 100, by language.
        examples: The numbers of documents, by language.
    """

    file: Path
    model: str
    checkpoint: str
    languages: dict[str, float]
    examples: dict[str, int]

    @property
    def label(self) -> str:
        """The label of the row: the name of the model, and the last part of the name of its checkpoint."""
        return " ".join([self.model, *filter(None, [PurePosixPath(self.checkpoint).name])])


def read_results_of_tasks(paths: Sequence[Path], tasks: Iterable[str]) -> dict[str, list[LMMSEvalResult]]:
    """Read the results of several tasks.

    Args:
        paths: The files, each with results of one or several of the tasks.
        tasks: The names of the tasks.

    Returns:
        The results of each task, in the order of the files.

    Raises:
        UserError: As `read_results`; a file has no results of any of the tasks.
    """
    found: dict[str, list[LMMSEvalResult]] = {task: [] for task in tasks}
    for path in paths:
        evaluated = [config["metadata"].get("iglue_task") for config in _configs(path)]
        for task in [task for task in found if task in evaluated] or list(found)[:1]:
            found[task].append(read_results(path, task))
    return found


def _configs(path: Path) -> list[Mapping[str, Any]]:
    """List the configurations of a file's tasks, as far as they are whole; `read_results` says what is wrong."""
    configs = _content(path)["configs"]
    every = configs.values() if isinstance(configs, dict) else ()
    return [config for config in every if isinstance(config, dict) and isinstance(config.get("metadata"), dict)]


def read_results(path: Path, task: str) -> LMMSEvalResult:
    """Read the results of a task from a result file of lmms-eval.

    Args:
        path: The file, <date>_results.json.
        task: The task's name.

    Returns:
        The results in each language that was evaluated.

    Raises:
        UserError: The file cannot be read, is damaged, is not such a file, or has no results of the task.
    """
    content = _content(path)
    try:
        metadata = {
            name: config["metadata"]
            for name, config in content["configs"].items()
            if "iglue_task" in (config.get("metadata") or {})
        }
        names = {facts["language"]: name for name, facts in metadata.items() if facts["iglue_task"] == task}
        if not names:
            others = (
                ", ".join(sorted({facts["iglue_task"] for facts in metadata.values()})) or "no task of iglue_plugins"
            )
            raise UserError(f"{path}: has results of {others}, but the rows are of task {task}")
        return LMMSEvalResult(
            path,
            _text(content["config"]["model"]),
            _text(content.get("model_name") or ""),
            {_text(language): _percent(content["results"][name]) for language, name in names.items()},
            {language: content["n-samples"][name]["effective"] for language, name in names.items()},
        )
    except KeyError as error:
        raise UserError(f"{path}: has no {error}; name a <date>_results.json of lmms-eval") from error
    except (TypeError, AttributeError) as error:
        raise UserError(f"{path}: is damaged ({error}); name a <date>_results.json of lmms-eval") from error


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not a name")
    return value


def _percent(result: Mapping[str, Any]) -> float:
    """Return the accuracy of a result in percent."""
    share = result[f"{METRIC},none"]
    if not isinstance(share, int | float) or not 0 <= share <= 1:
        raise TypeError(f"{METRIC} {share!r}")
    return 100 * share


def _content(path: Path) -> Mapping[str, Any]:
    """Read a result file, and check that it has the keys of one."""
    try:
        content = parse_json(path.read_bytes())
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read ({error}); name a <date>_results.json of lmms-eval") from error
    missing = [key for key in KEYS if not isinstance(content, dict) or key not in content]
    if missing:
        raise UserError(f"{path}: has no {', '.join(missing)}; name a <date>_results.json of lmms-eval")
    return content
