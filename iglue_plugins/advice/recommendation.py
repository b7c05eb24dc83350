"""Recommendations: auxiliary languages for a target language in their order, with reasons and intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from iglue_plugins.advice import agreement
from iglue_plugins.advice.features import Features
from iglue_plugins.advice.matrix import TransferMatrix
from iglue_plugins.advice.predictors import ELSEWHERE, Predictor
from iglue_plugins.advice.ranking import fit_without, known_mean
from iglue_plugins.advice.uncertainty import LearnedScores, advantages, resampled_advantages

REASONS = 2  # of a candidate
NEGLIGIBLE = 0.005  # what a reason has to say at least, in the unit of advantages

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Reason:
    """What a predictor says for or against a candidate.

    Attributes:
        predictor: The predictor's name.
        text: What the predictor says, with its value.
        part: What it adds to the prediction, compared with the mean of all candidates.
    """

    predictor: str
    text: str
    part: float


@dataclass(frozen=True)
class Candidate:
    """An auxiliary language.

    Attributes:
        language: Its code.
        advantage: How much better it is expected to be than the median candidate.
        low: The lower end of the advantage's 95 % interval.
        high: The upper end.
        measured: The advantage that the matrices have measured, which the others do not depend on; None where they have
            not.
        reasons: The predictors that say most.
    """

    language: str
    advantage: float
    low: float
    high: float
    measured: float | None
    reasons: tuple[Reason, ...]


@dataclass(frozen=True)
class Ranking:
    """The candidates for a target language, or for all targets on average.

    Attributes:
        target: The code of the target language; None for all.
        has_preference: Whether the best candidate's interval is above 0.
        candidates: The candidates, the best first.
    """

    target: str | None
    has_preference: bool
    candidates: tuple[Candidate, ...]


@dataclass(frozen=True)
class Advice:
    """Rankings of auxiliary languages for targets of a task.

    Attributes:
        task: The task's name.
        unit: The unit of advantages; standard deviations where nothing was fitted.
        matrices: The files that were learned from; none where nothing was fitted.
        first_choices: What the first choices for targets that were left out in turn were measured to be above the
            median candidate: the mean over targets and its 95 % interval, in points; None where nothing was fitted.
        predictors: The names of the predictors.
        left_out: Why a predictor was left out, by its name.
        notes: What else there is to know.
        rankings: A ranking for each target, or one for all.
    """

    task: str
    unit: Literal["points", "standard deviations"]
    matrices: tuple[str, ...]
    first_choices: tuple[float, float, float] | None
    predictors: tuple[str, ...]
    left_out: dict[str, str]
    notes: tuple[str, ...]
    rankings: tuple[Ranking, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the advice as JSON values."""
        return asdict(self)


def rank_by_scores(
    features: Features, matrices: Sequence[TransferMatrix], target: str | None, candidates: Mapping[int, Sequence[int]]
) -> Ranking:
    """Rank candidates by a model that is fitted to the scores of other targets.

    Args:
        features: The predictors.
        matrices: The scores, on the languages of the predictors.
        target: The target language; None for all of `candidates`.
        candidates: The candidates of each target language.

    Returns:
        The ranking, in points.
    """
    learned = LearnedScores(features.values, tuple(matrix.scores for matrix in matrices))
    scores, count = learned.centred(), len(features.languages)
    models = {index: fit_without(learned.predictors, scores, index) for index in candidates}
    parts = [_placed(models[index].contributions(index, of), of, count) for index, of in candidates.items()]
    values = [_placed(models[index].predictors[:, of, index], of, count) for index, of in candidates.items()]
    resamples = resampled_advantages(learned, candidates)
    named = (*features.predictors, ELSEWHERE)
    return _ranking(features, named, target, parts, values, resamples, _measured(scores, candidates))


def rank_by_agreement(features: Features, target: str | None, candidates: Mapping[int, Sequence[int]]) -> Ranking:
    """Rank candidates by what the predictors say with equal weights, where there are no scores to learn from.

    Args:
        features: The predictors, at least one.
        target: The target language; None for all of `candidates`.
        candidates: The candidates of each target language.

    Returns:
        The ranking, in standard deviations. There is no preference of few predictors.
    """
    count = len(features.languages)
    votes = [_placed(agreement.votes(features, index, of), of, count) for index, of in candidates.items()]
    values = [_placed(features.values[:, of, index], of, count) for index, of in candidates.items()]
    resamples = agreement.resampled_advantages(known_mean(np.stack(votes)))
    parts = [of_target / len(features.predictors) for of_target in votes]
    ranking = _ranking(features, features.predictors, target, parts, values, resamples, None)
    enough = len(features.predictors) >= agreement.MIN_PREDICTORS
    return replace(ranking, has_preference=ranking.has_preference and enough)


def _placed(of_candidates: Floats, candidates: Sequence[int], languages: int) -> Floats:
    """Put values of candidates (P, K) in the places of their languages (P, L)."""
    placed = np.full((len(of_candidates), languages), np.nan)
    placed[:, candidates] = of_candidates
    return placed


def _measured(scores: Floats, candidates: Mapping[int, Sequence[int]]) -> Floats | None:
    """Return the measured advantages (L,) over the median candidate; None where no target has any."""
    found = []
    for target, of_target in candidates.items():
        column = _placed(known_mean(scores[:, of_target, target])[None], of_target, scores.shape[-1])[0]
        if not np.isnan(column).all():
            found.append(column)
    return advantages(found) if found else None


def _ranking(
    features: Features,
    predictors: Sequence[Predictor],
    target: str | None,
    parts: Sequence[Floats],
    values: Sequence[Floats],
    resamples: Floats,
    measured: Floats | None,
) -> Ranking:
    """Put the candidates in their order.

    Args:
        features: The languages.
        predictors: P predictors.
        target: The target language; None for several.
        parts: For each target (P, L), what each predictor adds to the prediction; NaN for languages that are no
            candidates.
        values: For each target (P, L), the predictors.
        resamples: (resamples, L) advantages.
        measured: (L,) measured advantages.
    """
    expected = advantages([of_target.sum(0) for of_target in parts])
    part, value = known_mean(np.stack(parts)), known_mean(np.stack(values))
    found = []
    for index in np.flatnonzero(~np.isnan(expected)):
        low, high = np.percentile(resamples[:, index], (2.5, 97.5))
        order = [int(number) for number in np.argsort(-np.abs(part[:, index]), kind="stable")[:REASONS]]
        reasons = tuple(
            Reason(
                predictors[number].name,
                predictors[number].phrase.format(value[number, index]),
                float(part[number, index]),
            )
            for number in order
            if abs(part[number, index]) >= NEGLIGIBLE and not np.isnan(value[number, index])
        )
        known = None if measured is None or np.isnan(measured[index]) else float(measured[index])
        language = features.languages[index]
        found.append(Candidate(language, float(expected[index]), float(low), float(high), known, reasons))
    found.sort(key=lambda candidate: -candidate.advantage)
    return Ranking(target, found[0].low > 0, tuple(found))
