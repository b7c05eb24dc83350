"""Files of predictions: those of a run, and those that VOLTA writes and the IGLUE repository holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from iglue_plugins.utils.errors import UserError
from iglue_plugins.utils.strict_json import DamagedJSONError, parse_json
from iglue_plugins.utils.text import printable, shown

ID_KEYS = ("id", "questionId", "question_id", "pairID", "identifier")
PREDICTION_KEYS = ("prediction", "answer")


@dataclass(frozen=True)
class Prediction:
    """One entry of a file of predictions.

    Attributes:
        place: The entry's position in the file, such as 'entry 3' or 'line 3'.
        id: The example's id; None in a file of rankings, whose entries are in the order of the examples.
        value: A label, a list of image ids, or a list of image indices. It is not yet checked against a task.
        label: The right answer according to the file.
        score: The score in [0, 1] that the run which wrote the file gave the prediction.
    """

    place: str
    id: str | None
    value: Any
    label: str | None = None
    score: float | None = None


def read_predictions(path: Path) -> list[Prediction]:
    """Read a file of predictions.

    Args:
        path: A JSON list of objects or of lists of image indices, or JSON lines of objects.

    Returns:
        The predictions in the file's order.

    Raises:
        UserError: The file cannot be read, is not JSON, is empty, mixes the forms, or has an entry of neither form.
    """
    text = _read_text(path)
    entries = _parse_list(text, path) if text.lstrip().startswith("[") else _parse_lines(text, path)
    if not entries:
        raise UserError(
            f"{path}: holds no predictions; expected one for each example (VOLTA writes an empty list for XVNLI "
            "and MaRVL)"
        )
    predictions = [_make_prediction(path, place, entry) for place, entry in entries.items()]
    for prediction in predictions:
        if (prediction.id is None) != (predictions[0].id is None):
            raise UserError(
                f"{path}: {prediction.place}: the file mixes lists and objects; it must hold only one of them"
            )
    return predictions


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); give a file of predictions") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: byte {error.start}: is not UTF-8; expected JSON") from error


def _parse_list(text: str, path: Path) -> dict[str, Any]:
    return {f"entry {number}": entry for number, entry in enumerate(_parse_json(text, path, 1), start=1)}


def _parse_lines(text: str, path: Path) -> dict[str, Any]:
    """Parse each line; lines end at line feeds alone, since JSON strings may hold other line separators."""
    return {
        f"line {number}": _parse_json(line, path, number)
        for number, line in enumerate(text.split("\n"), start=1)
        if line.strip()
    }


def _parse_json(text: str, path: Path, first_line: int) -> Any:
    try:
        return parse_json(text)
    except DamagedJSONError as error:
        if error.line is None:
            raise UserError(f"{path}: the JSON cannot be read ({error}); give a file of predictions") from error
        place = f"line {first_line + error.line - 1}, column {error.column}"
        raise UserError(
            f"{path}: {place}: is not JSON ({error.reason}); expected a JSON list, or a JSON object in each line"
        ) from error


def _make_prediction(path: Path, place: str, entry: Any) -> Prediction:
    where = f"{path}: {place}"
    if isinstance(entry, list):
        return Prediction(place, None, entry)
    if not isinstance(entry, dict):
        raise UserError(
            f"{where}: is {shown(entry)}; expected an object with an id and a prediction, or a list of image indices"
        )
    id_ = _first_value(where, entry, ID_KEYS)
    if not isinstance(id_, str | int) or isinstance(id_, bool):
        raise UserError(f"{where}: the id is {shown(id_)}; expected a text or a whole number")
    score = entry.get("score")
    if score is not None and not (isinstance(score, int | float) and 0 <= score <= 1):
        raise UserError(f"{where}: the score is {shown(score)}; expected a number from 0 to 1")
    return Prediction(place, str(id_), _first_value(where, entry, PREDICTION_KEYS), entry.get("label"), score)


def _first_value(where: str, entry: Mapping[str, Any], keys: tuple[str, ...]) -> Any:
    """Return the value of the first key that an entry has."""
    for key in keys:
        if key in entry:
            return entry[key]
    present = f"has the keys {printable(', '.join(entry))}" if entry else "has no key"
    raise UserError(f"{where}: {present}; expected one of {', '.join(keys)}")
