"""Files of predictions: those of a run here, and those that VOLTA writes and the IGLUE repository holds."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from iglue_plugins.utils.errors import UserError

ID_KEYS = ("id", "questionId", "question_id", "pairID", "identifier")
PREDICTION_KEYS = ("prediction", "answer")


@dataclass(frozen=True)
class Prediction:
    """One entry of a file.

    place: where it stands ('entry 3', 'line 3'). id: None in a file of rankings, whose entries go by their order.
    value: a label, a list of image ids, or a list of image indices; whether it fits a task is not checked yet.
    label: what the file takes for right. score: in [0, 1], as the run that wrote the file counted it.
    """

    place: str
    id: str | None
    value: Any
    label: str | None = None
    score: float | None = None


def read_predictions(path: Path) -> list[Prediction]:
    """A JSON list of objects or of lists of image indices, or JSON lines of objects; in the file's order.

    Raises:
        UserError: the file cannot be read, is not JSON, is empty, mixes the forms, or has an entry of neither form.
    """
    text = _read_text(path)
    entries = _listed(text, path) if text.lstrip().startswith("[") else _lines(text, path)
    if not entries:
        raise UserError(
            f"{path}: found no predictions, expected one for each example (VOLTA writes an empty list for "
            "XVNLI and MaRVL)"
        )
    predictions = [_prediction(path, place, entry) for place, entry in entries.items()]
    for prediction in predictions:
        if (prediction.id is None) != (predictions[0].id is None):
            raise UserError(f"{path}: {prediction.place}: found lists and objects in one file, expected either")
    return predictions


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}), expected a file of predictions") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: byte {error.start}: found no UTF-8 text, expected JSON") from error


def _listed(text: str, path: Path) -> dict[str, Any]:
    return {f"entry {number}": entry for number, entry in enumerate(_parsed(text, path, 1), start=1)}


def _lines(text: str, path: Path) -> dict[str, Any]:
    """Split at line feeds alone: JSON may hold other line separators inside a string."""
    return {
        f"line {number}": _parsed(line, path, number)
        for number, line in enumerate(text.split("\n"), start=1)
        if line.strip()
    }


def _parsed(text: str, path: Path, first_line: int) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        place = f"line {first_line + error.lineno - 1}, column {error.colno}"
        raise UserError(
            f"{path}: {place}: found no JSON ({error.msg}), expected a JSON list, or a JSON object in each line"
        ) from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: found JSON that cannot be read ({error}), expected a file of predictions") from error


def _prediction(path: Path, place: str, entry: Any) -> Prediction:
    where = f"{path}: {place}"
    if isinstance(entry, list):
        return Prediction(place, None, entry)
    if not isinstance(entry, dict):
        raise UserError(
            f"{where}: found {entry!r}, expected an object with an id and a prediction, or a list of image indices"
        )
    id_ = _first(where, entry, ID_KEYS)
    if not isinstance(id_, str | int) or isinstance(id_, bool):
        raise UserError(f"{where}: found id {id_!r}, expected a text or a whole number")
    score = entry.get("score")
    if score is not None and not (isinstance(score, int | float) and 0 <= score <= 1):
        raise UserError(f"{where}: found score {score!r}, expected a number from 0 to 1")
    return Prediction(place, str(id_), _first(where, entry, PREDICTION_KEYS), entry.get("label"), score)


def _first(where: str, entry: Mapping[str, Any], keys: tuple[str, ...]) -> Any:
    for key in keys:
        if key in entry:
            return entry[key]
    found = f"the keys {', '.join(entry)}" if entry else "no key"
    raise UserError(f"{where}: found {found}, expected one of {', '.join(keys)}")
