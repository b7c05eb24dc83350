"""Published test figures of the IGLUE tasks, to show beside the scores of runs: a CSV file for each task."""

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
    """The published figures of one model in one setting.

    Attributes:
        model: The model's name in the publication.
        setting: The setting, such as "zero_shot" or "few_shot".
        shots: The number of shots as published: '0', '48', '10x2'.
        metric: The name of the metric.
        languages: The figures, from 0 to 100, by language.
    """

    model: str
    setting: str
    shots: str
    metric: str
    languages: dict[str, float]

    @property
    def label(self) -> str:
        """The label of the row in tables."""
        return " ".join([self.model, self.setting.replace("_", "-"), *([] if self.shots == "0" else [self.shots])])


@dataclass(frozen=True)
class PublishedFilter:
    """The published figures of a task to show.

    Attributes:
        models: The names of models; an empty tuple selects all of them.
        settings: The names of settings.
    """

    models: tuple[str, ...] = ()
    settings: tuple[str, ...] = ("zero_shot",)

    @classmethod
    def parse(cls, wanted: bool, models: str | None, settings: str | None) -> PublishedFilter | None:
        """Make a filter from the options of the command line.

        Args:
            wanted: Whether published figures are to be shown at all.
            models: Names of models, separated by commas; None selects all.
            settings: Names of settings, separated by commas; None selects the default.

        Returns:
            The filter, or None if no published figures are wanted.

        Raises:
            UserError: Models or settings are chosen, but no published figures are wanted.
        """
        lists = {"models": models, "settings": settings}
        given = {
            name: tuple(part.strip() for part in text.split(",")) for name, text in lists.items() if text is not None
        }
        if given and not wanted:
            raise UserError(f"--published-{next(iter(given))} needs the option --published beside it")
        return cls(**given) if wanted else None


def read(task: str) -> list[PublishedFigures]:
    """Read all published figures of a task.

    Args:
        task: The task's name.

    Returns:
        The figures, in the order of the task's file.

    Raises:
        UserError: Nothing is published for the task.
    """
    if task not in TASKS:
        raise UserError(
            f"--published: there are no published figures for task '{task}'; they exist for {', '.join(TASKS)}"
        )
    with (FOLDER / f"{task}.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(line for line in file if not line.startswith("#")))
    by_key: dict[tuple[str, str, str, str], dict[str, float]] = {}
    for row in rows:
        key = (row["model"], row["setting"], row["shots"], row["metric"])
        by_key.setdefault(key, {})[row["language"]] = float(row["value"])
    return [
        PublishedFigures(model, setting, shots, metric, languages)
        for (model, setting, shots, metric), languages in by_key.items()
    ]


def select(task: str, split: str, choice: PublishedFilter) -> list[PublishedFigures]:
    """Select published figures in the task's main metric.

    Args:
        task: The task's name.
        split: The split of the runs that the figures are shown beside.
        choice: The models and settings to select.

    Returns:
        The figures; for retrieval each is the mean of recall@1 in both directions.

    Raises:
        UserError: Nothing is published for the task or the split, or for a model or setting of the choice.
    """
    available = main_metric(read(task))
    if split != SPLIT:
        raise UserError(f"--published: the published figures are of split '{SPLIT}', but the runs' is '{split}'")
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
    """Convert figures to the main metric of their task.

    Args:
        figures: Figures in any published metric.

    Returns:
        Accuracies as they are, and recall@1 as the mean of its two directions in the languages that have both.
    """
    by_key = {(row.model, row.setting, row.shots, row.metric): row for row in figures}
    converted = []
    for (model, setting, shots, metric), row in by_key.items():
        if metric not in DIRECTIONS:
            converted.append(row)
        elif metric == DIRECTIONS[0] and (text := by_key.get((model, setting, shots, DIRECTIONS[1]))):
            means = {
                language: (row.languages[language] + text.languages[language]) / 2
                for language in row.languages
                if language in text.languages
            }
            converted.append(PublishedFigures(model, setting, shots, "recall@1", means))
    return converted


def rescale_to_labelled(task: str, figure: float, examples: int) -> float:
    """Convert a published accuracy over all examples to one over the labelled examples.

    Args:
        task: The task's name.
        figure: The published figure, from 0 to 100.
        examples: The number of examples that the runs are scored on.

    Returns:
        The accuracy over the labelled examples, if the runs are scored on those of `ALL_AND_LABELLED`; otherwise
        `figure`.
    """
    every, labelled = ALL_AND_LABELLED.get(task, (examples, examples))
    return figure * every / labelled if examples == labelled else figure


def _check(option: str, chosen: Iterable[str], available: Iterable[str], published_for: str) -> None:
    """Check that every chosen name is available, and name the option otherwise."""
    available = sorted(set(available))
    for name in chosen:
        if name not in available:
            raise UserError(f"{option}: '{name}' is not published for {published_for}{did_you_mean(name, available)}")
