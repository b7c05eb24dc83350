"""How sure an advantage of an auxiliary language is: a bootstrap over targets, seeds and what models miss."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from iglue_plugins.advice.ranking import centre_columns, fit, fit_without, known_mean, predict_left_out
from iglue_plugins.utils.progress import progress_bar

RESAMPLES = 1000

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class LearnedScores:
    """Predictors and the scores of sweeps, ready to learn from.

    Attributes:
        predictors: (P, L, L) auxiliary by target language.
        matrices: (seeds, L, L) the scores of each matrix in points, NaN where there is none.
    """

    predictors: Floats
    matrices: tuple[Floats, ...]

    def without(self, target: int) -> LearnedScores:
        """Return the same without the scores of a target language."""
        matrices = tuple(scores.copy() for scores in self.matrices)
        for scores in matrices:
            scores[:, :, target] = np.nan
        return LearnedScores(self.predictors, matrices)

    def centred(self, rng: np.random.Generator | None = None) -> Floats:
        """Average over seeds, and subtract the mean of each target language.

        Args:
            rng: Draws the seeds with replacement; None takes each once.

        Returns:
            (M, L, L).
        """
        drawn = [
            scores if rng is None else scores[rng.integers(len(scores), size=len(scores))] for scores in self.matrices
        ]
        return centre_columns(np.stack([known_mean(scores) for scores in drawn]))


def missed_advantages(scores: Floats, predicted: Floats) -> list[Floats]:
    """Compute by how much predictions missed the advantage of each row over its target's median row.

    Args:
        scores: (M, L, L) centred scores.
        predicted: (M, L, L) predictions of targets that were left out.

    Returns:
        For each row of each matrix that has any, its errors in points, one for each target.
    """
    errors: list[Floats] = []
    for of_matrix in scores - predicted:
        targets = of_matrix[:, (~np.isnan(of_matrix)).any(0)]
        errors += [row[~np.isnan(row)] for row in targets - np.nanmedian(targets, 0)]
    return [row for row in errors if len(row)]


def first_choice_advantages(learned: LearnedScores) -> Floats:
    """Compute what the first choice for each target that is left out was measured to be above the median row.

    Args:
        learned: What is learned from.

    Returns:
        (targets,) points, for each matrix and target language.
    """
    scores = learned.centred()
    predicted = predict_left_out(learned.predictors, scores)
    found = []
    for of_matrix, of_predicted in zip(scores, predicted, strict=True):
        for target in np.flatnonzero((~np.isnan(of_matrix)).any(0)):
            first = np.nanargmax(of_predicted[:, target])
            found.append(of_matrix[first, target] - np.nanmedian(of_matrix[:, target]))
    return np.array(found)


def advantages(predictions: Sequence[Floats]) -> Floats:
    """Average over targets the advantage of each candidate over the median candidate.

    Args:
        predictions: For each target (L,) predictions, NaN for languages that are no candidates for it.

    Returns:
        (L,) points; NaN for languages that are candidates for no target.
    """
    return known_mean(np.stack([row - np.nanmedian(row) for row in predictions]))


def resampled_advantages(learned: LearnedScores, candidates: Mapping[int, Sequence[int]], seed: int = 0) -> Floats:
    """Draw what the advantages of candidates might be, as seen from before the targets' own scores.

    Each resample draws target languages and seeds to fit the model to, none of them the target, and adds an error that
    models made on targets that were left out: so the interval is of an advantage, and not only of its prediction. The
    scores of a single target change nothing; of several, each is left out of what is fitted for it.

    Args:
        learned: What is learned from.
        candidates: The auxiliary languages for each target language; advantages are averaged over the targets.
        seed: The seed of the draws.

    Returns:
        (resamples, L) points; NaN for languages that are no candidates.
    """
    rng = np.random.default_rng(seed)
    if len(candidates) == 1:
        learned = learned.without(next(iter(candidates)))
    scores = learned.centred()
    errors = missed_advantages(scores, predict_left_out(learned.predictors, scores))
    penalties = {target: fit_without(learned.predictors, scores, target).penalty for target in candidates}
    scored, languages = np.flatnonzero((~np.isnan(scores)).any((0, 1))), scores.shape[-1]
    resamples = np.empty((RESAMPLES, languages))
    for number in progress_bar(iterable=range(RESAMPLES), unit="resample"):
        drawn, of_seeds = rng.choice(scored, size=len(scored)), learned.centred(rng)
        predictions = []
        for target, of_target in candidates.items():
            counts = np.bincount(drawn, minlength=languages).astype(np.float64)
            counts[target] = 0
            predicted = np.full(languages, np.nan)
            fitted = fit(learned.predictors, of_seeds, counts, penalties[target])
            predicted[list(of_target)] = fitted.predict(target, of_target)
            predictions.append(predicted)
        resamples[number] = advantages(predictions)
        for language in np.flatnonzero(~np.isnan(resamples[number])):
            row = errors[rng.integers(len(errors))]
            resamples[number, language] += rng.choice(row, size=len(candidates)).mean()
    return resamples
