"""The numbers of examples by which a table is cut into slices, as far as predictions tell them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from iglue_plugins.reporting.results import RunResult
from iglue_plugins.runs.folder import Run
from iglue_plugins.runs.prediction_rows import read_first_row
from iglue_plugins.utils.errors import UserError
from iglue_plugins.utils.text import shown

KEYS = {  # of predictions, by the name of the quantity
    "objects": "objects",
    "regions": "regions",
    "length": "text",
    "unseen": "unseen",
}
QUANTITIES = tuple(KEYS)
OF_ALL_TASKS = ("objects", "regions", "length")  # what is worth looking at where nothing else is asked for

# Thai, Lao, Tibetan, Burmese, Khmer, kana and Chinese characters, whose texts do not put spaces between words.
UNSPACED = re.compile(
    "[\u0e00-\u0fff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U000323af]"
)
LETTERS = ("L", "M", "N")  # letters, their marks, and digits, by the first letter of Unicode's category


@dataclass(frozen=True)
class Quantity:
    """A number of each example.

    Attributes:
        numbers: For each language (examples,) int64, in the order of the example ids; without languages whose
            predictions do not tell it.
        units: What is counted in each of these languages: 'objects', 'regions', 'words',
            'characters' or 'unseen'.
    """

    numbers: dict[str, NDArray[np.int64]] = field(default_factory=dict)
    units: dict[str, str] = field(default_factory=dict)


def read_quantities(
    results: Sequence[RunResult], languages: Sequence[str], names: Sequence[str]
) -> dict[str, Quantity]:
    """Read the numbers of the examples of a table from the predictions.

    Those of the first run that tells a quantity in a language count, so that they are the baseline's if it tells them.

    Args:
        results: The results of all runs, which have the same examples, those of the baseline first.
        languages: The target languages.
        names: Some of `QUANTITIES`.

    Returns:
        The quantities by name.

    Raises:
        UserError: A line of predictions has no or a wrong number or text, where the first line of its file has one.
    """
    found = {name: Quantity() for name in names}
    for language in languages:
        lacking = list(names)
        for result in results:
            path = Run(result.folder).predictions_path(result.scored, language)
            told = [name for name in lacking if KEYS[name] in read_first_row(path)] if lacking else []
            for name, values in _read_values(result, language, told).items():
                found[name].units[language], found[name].numbers[language] = (
                    text_lengths(values) if name == "length" else (name, np.array(values, dtype=np.int64))
                )
                lacking.remove(name)
    return found


def _read_values(result: RunResult, language: str, names: Sequence[str]) -> dict[str, list[Any]]:
    """Read what a run's predictions tell of each example, in the order of the ids."""
    if not names:
        return {}
    run, rows = Run(result.folder), {}
    path = run.predictions_path(result.scored, language)
    for number, row in enumerate(run.read_predictions(result.scored, language), start=1):
        _check_row(path, number, row, names)
        rows[row["id"]] = row
    return {name: [rows[id_][KEYS[name]] for id_ in result.example_ids[language]] for name in names}


def _check_row(path: Path, number: int, row: Mapping[str, Any], names: Sequence[str]) -> None:
    for key in (KEYS[name] for name in names):
        value = row.get(key)
        if isinstance(value, str) if key == "text" else type(value) is int and 0 <= value < 2**31:
            continue
        kind = "a text" if key == "text" else "a whole number from 0"
        raise UserError(
            f"{path}: line {number} has {key} {shown(value)}, but it has to be {kind}, as in the first line; correct "
            "it, or evaluate the run again"
        )


def text_lengths(texts: Sequence[str]) -> tuple[str, NDArray[np.int64]]:
    """Measure texts in words; in characters where most letters are of scripts that put no spaces between words.

    Args:
        texts: The texts of a language.

    Returns:
        'words' or 'characters', and (texts,) int64. Punctuation counts as neither.
    """
    together = "".join(texts)
    unspaced = len(UNSPACED.findall(together))
    letters = sum(character.isalpha() for character in UNSPACED.sub("", together))
    if unspaced > letters:
        return "characters", np.array([sum(map(_is_letter, text)) for text in texts], dtype=np.int64)
    words = [sum(any(map(_is_letter, word)) for word in text.split()) for text in texts]
    return "words", np.array(words, dtype=np.int64)


def _is_letter(character: str) -> bool:
    return unicodedata.category(character).startswith(LETTERS)
