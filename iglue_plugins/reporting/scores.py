"""Scores over seeds and languages, and the differences of rows of runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from iglue_plugins.evaluation.clusters import ClusterGroup
from iglue_plugins.evaluation.significance import Difference, paired_bootstrap
from iglue_plugins.reporting.results import RunResult

DIGITS = 12  # significant ones in files; a float has 15, of which sums and means spoil the last ones


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


def without_noise(value: Any) -> Any:
    """Round a number to 12 significant digits, which leaves of 62.74999999999999 what was computed, 62.75.

    Args:
        value: A number; anything else is returned as it is.
    """
    return float(f"{value:.{DIGITS}g}") if isinstance(value, float) else value


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


def row_differences(
    first: Sequence[RunResult],
    others: Sequence[tuple[Sequence[RunResult], Sequence[str]]],
    groups: Sequence[ClusterGroup],
) -> list[Difference]:
    """Compute the differences of rows' means over languages to that of the first row, paired by seed and by example.

    Args:
        first: The results of the first row's runs, one for each seed.
        others: For each other row the results of its runs, with the same seeds, and the languages to average over.
        groups: The clusters of the examples in these languages.

    Returns:
        The difference of each other row in points, with its intervals.
    """
    languages = {language for _, averaged in others for language in averaged}
    scores = [stack_seeds(results, averaged) for results, averaged in others]
    return paired_bootstrap(stack_seeds(first, sorted(languages)), scores, groups)


def stack_seeds(results: Sequence[RunResult], languages: Sequence[str]) -> dict[str, NDArray[np.float64]]:
    """Return a row's scores of each example.

    Args:
        results: The results of the row's runs, one for each seed.
        languages: The languages.

    Returns:
        For each language (seeds, examples) float64 in [0, 1], in the order of the example ids.
    """
    return {language: np.stack([result.scores[language] for result in results]) for language in languages}
