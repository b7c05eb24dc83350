"""lmms-eval's result files, to stand beside one's own runs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from iglue_plugins.utils.errors import UserError

METRIC = "accuracy"
SPLIT = "test"
RESULTS = "_results.json"  # how lmms-eval's result files end
KEYS = ("results", "configs", "n-samples", "config")


@dataclass(frozen=True)
class LMMSEvalResult:
    """One model on one task: accuracies (0-100) and numbers of documents by language."""

    file: Path
    model: str
    checkpoint: str
    languages: dict[str, float]
    examples: dict[str, int]

    @property
    def label(self) -> str:
        """The kind of model, and the last part of its checkpoint's name."""
        return " ".join([self.model, *filter(None, [PurePosixPath(self.checkpoint).name])])


def read_results(path: Path, task: str) -> LMMSEvalResult:
    """What a <date>_results.json says of a task, in each language that was evaluated.

    Raises:
        UserError: the file cannot be read or is no such file, or has no result of the task.
    """
    content = _content(path)
    try:
        own = {
            name: config["metadata"]
            for name, config in content["configs"].items()
            if "iglue_task" in (config.get("metadata") or {})
        }
        found = {facts["language"]: name for name, facts in own.items() if facts["iglue_task"] == task}
        if not found:
            others = ", ".join(sorted({facts["iglue_task"] for facts in own.values()})) or "no task of iglue's"
            raise UserError(f"{path}: found {others}, expected results of task {task}, as the rows compared are of")
        return LMMSEvalResult(
            path,
            _text(content["config"]["model"]),
            _text(content.get("model_name") or ""),
            {_text(language): _percent(content["results"][name]) for language, name in found.items()},
            {language: content["n-samples"][name]["effective"] for language, name in found.items()},
        )
    except KeyError as error:
        raise UserError(f"{path}: found no {error}, expected a <date>_results.json of lmms-eval") from error
    except (TypeError, AttributeError) as error:
        raise UserError(f"{path}: is damaged ({error}), expected a <date>_results.json of lmms-eval") from error


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} where a name belongs")
    return value


def _percent(result: Mapping[str, Any]) -> float:
    share = result[f"{METRIC},none"]
    if not isinstance(share, int | float) or not 0 <= share <= 1:
        raise TypeError(f"{METRIC} {share!r}")
    return 100 * share


def _content(path: Path) -> Mapping[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read ({error}), expected a <date>_results.json of lmms-eval") from error
    lacking = [key for key in KEYS if not isinstance(content, dict) or key not in content]
    if lacking:
        raise UserError(f"{path}: found no {', '.join(lacking)}, expected a <date>_results.json of lmms-eval")
    return content
