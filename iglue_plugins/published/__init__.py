"""Published test figures of the IGLUE tasks, to stand beside one's own: a CSV file for each task."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from iglue_plugins.utils.errors import UserError, did_you_mean

FOLDER = Path(__file__).parent
TASKS = tuple(sorted(path.stem for path in FOLDER.glob("*.csv")))
SPLIT = "test"
SOURCE = "Bugliarello et al. 2022"
SOURCE_IN_FULL = "Bugliarello et al. 2022, IGLUE, ICML; repository e-bug/iglue, folder results"
ALL_AND_LABELLED = {"xvnli": (1164, 1150)}  # examples; published accuracies count those without a label as wrong
DIRECTIONS = ("image_recall@1", "text_recall@1")  # retrieval is published by direction


@dataclass(frozen=True)
class PublishedFigures:
    """One model in one setting: a metric (0-100) by language.

    `shots` is written as published: '0', '48', '10x2'.
    """

    model: str
    setting: str
    shots: str
    metric: str
    languages: dict[str, float]

    @property
    def label(self) -> str:
        return " ".join([self.model, self.setting.replace("_", "-"), *([] if self.shots == "0" else [self.shots])])


@dataclass(frozen=True)
class PublishedFilter:
    """Which of a task's figures to show; no models stands for all of them."""

    models: tuple[str, ...] = ()
    settings: tuple[str, ...] = ("zero_shot",)

    @classmethod
    def parse(cls, wanted: bool, models: str | None, settings: str | None) -> PublishedFilter | None:
        """From options whose lists are separated by commas; None for no published figures.

        Raises:
            UserError: models or settings are chosen, but no published figures wanted.
        """
        lists = {"models": models, "settings": settings}
        given = {
            name: tuple(part.strip() for part in text.split(",")) for name, text in lists.items() if text is not None
        }
        if given and not wanted:
            raise UserError(f"--published-{next(iter(given))}: found no --published, expected it beside this option")
        return cls(**given) if wanted else None


def read(task: str) -> list[PublishedFigures]:
    """All published figures of a task, in the order of its file.

    Raises:
        UserError: nothing is published for the task.
    """
    if task not in TASKS:
        raise UserError(f"--published: found task '{task}', expected one with published figures: {', '.join(TASKS)}")
    with (FOLDER / f"{task}.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(line for line in file if not line.startswith("#")))
    found: dict[tuple[str, ...], dict[str, float]] = {}
    for row in rows:
        key = (row["model"], row["setting"], row["shots"], row["metric"])
        found.setdefault(key, {})[row["language"]] = float(row["value"])
    return [PublishedFigures(*key, languages) for key, languages in found.items()]


def select(task: str, split: str, choice: PublishedFilter) -> list[PublishedFigures]:
    """The chosen figures in the task's main metric: for retrieval, each language's mean of both directions' recall@1.

    Raises:
        UserError: nothing is published for the task or the split, or for a model or setting of the choice.
    """
    available = main_metric(read(task))
    if split != SPLIT:
        raise UserError(f"--published: found split '{split}', expected {SPLIT}, the split of the published figures")
    _check("--published-settings", choice.settings, [figures.setting for figures in available], task)
    of_settings = [figures for figures in available if figures.setting in choice.settings]
    _check(
        "--published-models",
        choice.models,
        [figures.model for figures in of_settings],
        f"{task} in the setting {' or '.join(choice.settings)}",
    )
    return [figures for figures in of_settings if not choice.models or figures.model in choice.models]


def main_metric(figures: Sequence[PublishedFigures]) -> list[PublishedFigures]:
    """Accuracies as they are, and recall@1 as the mean of its two directions in the languages that have both."""
    by_key = {(row.model, row.setting, row.shots, row.metric): row for row in figures}
    found = []
    for (*key, metric), row in by_key.items():
        if metric not in DIRECTIONS:
            found.append(row)
        elif metric == DIRECTIONS[0] and (text := by_key.get((*key, DIRECTIONS[1]))):
            both = {
                language: (row.languages[language] + text.languages[language]) / 2
                for language in row.languages
                if language in text.languages
            }
            found.append(PublishedFigures(*key, "recall@1", both))
    return found


def rescale_to_labelled(task: str, figure: float, examples: int) -> float:
    """A published figure as a share of the examples compared, where they are the labelled ones of ALL_AND_LABELLED."""
    every, labelled = ALL_AND_LABELLED.get(task, (examples, examples))
    return figure * every / labelled if examples == labelled else figure


def _check(option: str, chosen: Iterable[str], available: Iterable[str], of_what: str) -> None:
    available = sorted(set(available))
    for name in chosen:
        if name not in available:
            raise UserError(
                f"{option}: found '{name}', expected one published for {of_what}{did_you_mean(name, available)}"
            )
