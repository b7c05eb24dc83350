"""Scores over seeds and languages, and the differences of rows of runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from iglue_plugins.evaluation.significance import Interval, paired_bootstrap
from iglue_plugins.reporting.results import RunResult


@dataclass(frozen=True)
class Score:
    """The main metric over seeds, from 0 to 100.

    Attributes:
        mean: The mean over seeds.
        std: The sample standard deviation (ddof 1); None for one seed.
        per_seed: The value of each seed.
    """

    mean: float
    std: float | None
    per_seed: tuple[float, ...]


def mean_over_languages(results: Sequence[RunResult], languages: Sequence[str]) -> Score:
    """Average the main metric over languages.

    Args:
        results: The results of a row's runs, one for each seed.
        languages: The languages.

    Returns:
        The score over seeds of each run's mean over the languages.
    """
    return score_over_seeds([float(np.mean([result.metric[language] for language in languages])) for result in results])


def score_over_seeds(per_seed: Sequence[float]) -> Score:
    """Summarize the values of several seeds.

    Args:
        per_seed: The value of each seed, from 0 to 100.

    Returns:
        The score.
    """
    std = float(np.std(per_seed, ddof=1)) if len(per_seed) > 1 else None
    return Score(float(np.mean(per_seed)), std, tuple(map(float, per_seed)))


def target_difference(row: Sequence[RunResult], first_row: Sequence[RunResult], targets: Sequence[str]) -> Interval:
    """Compute the difference of two rows' means over languages, paired by seed and by example.

    Args:
        row: The results of a row's runs, one for each seed.
        first_row: Those of the row to subtract, with the same seeds.
        targets: The languages to average over.

    Returns:
        The difference in points, with its interval.
    """
    scores, first_scores = (
        [np.stack([result.scores[language] for result in results]) for language in targets]
        for results in (row, first_row)
    )
    return paired_bootstrap(scores, first_scores, example_ids=[row[0].example_ids[language] for language in targets])
