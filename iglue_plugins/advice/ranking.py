"""The ranking model: a ridge regression of scores on standardized predictors, within each target language."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

PENALTIES = tuple(10.0 ** np.arange(-2, 3.5, 0.5))  # of the standardized weights, relative to the number of pairs
SMALL = 1e-9  # a deviation below which a predictor is the same for all

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Fitted:
    """A fitted model.

    Attributes:
        predictors: (P + 1, L, L) the predictors, the last one from the scores of other targets than a pair's own.
        weights: (P + 1,) points for one unit of each predictor.
        penalty: The penalty of the weights.
    """

    predictors: Floats
    weights: Floats
    penalty: float

    def contributions(self, target: int, candidates: Sequence[int]) -> Floats:
        """Compute what each predictor says for each candidate, compared with the mean of all candidates.

        Args:
            target: The target language.
            candidates: K auxiliary languages.

        Returns:
            (P + 1, K) points.
        """
        return self.weights[:, None] * centre(self.predictors[:, candidates, target])

    def predict(self, target: int, candidates: Sequence[int]) -> Floats:
        """Predict the scores of candidates, compared with their mean: (K,) points."""
        return self.contributions(target, candidates).sum(0)


def centre(values: Floats) -> Floats:
    """Subtract from values the mean of those that are known, over the last axis; unknown ones become 0.

    Args:
        values: (..., K), NaN where unknown.
    """
    known = ~np.isnan(values)
    filled = np.where(known, values, 0)
    means = filled.sum(-1, keepdims=True) / np.maximum(known.sum(-1, keepdims=True), 1)
    return np.where(known, filled - means, 0)


def known_mean(values: Floats) -> Floats:
    """Average values that are known over the first axis; NaN where none is."""
    known = ~np.isnan(values)
    numbers = known.sum(0)
    return np.where(numbers > 0, np.where(known, values, 0).sum(0) / np.maximum(numbers, 1), np.nan)


def centre_columns(scores: Floats) -> Floats:
    """Subtract from the scores of each target language their mean over the auxiliary languages.

    Args:
        scores: (..., L, L) auxiliary by target language, NaN where there is none.

    Returns:
        The differences; NaN where there is no score.
    """
    centred = np.swapaxes(centre(np.swapaxes(scores, -1, -2)), -1, -2)
    return np.where(np.isnan(scores), np.nan, centred)


def elsewhere(scores: Floats, counts: Floats) -> Floats:
    """Average each auxiliary language's scores over the targets other than that of a pair.

    Args:
        scores: (M, L, L) centred scores of M matrices, auxiliary by target language.
        counts: (L,) how often each target language counts; 0 leaves it out.

    Returns:
        (L, L) for each pair; NaN where there are no other targets.
    """
    known = ~np.isnan(scores)
    sums = (np.where(known, scores, 0) * counts).sum(0)
    numbers = (known * counts).sum(0)
    others, of = numbers.sum(1, keepdims=True) - numbers, sums.sum(1, keepdims=True) - sums
    return np.where(others > 0, of / np.maximum(others, 1), np.nan)


def fit(predictors: Floats, scores: Floats, counts: Floats, penalty: float) -> Fitted:
    """Fit the model to the target languages that count.

    Args:
        predictors: (P, L, L), auxiliary by target language; NaN where unknown, which counts as the mean.
        scores: (M, L, L) centred scores, NaN where there is none. Those of targets that do not count change nothing.
        counts: (L,) how often each target language counts.
        penalty: The penalty of the weights.

    Returns:
        The model.

    Source:
        Ridge regression (Hoerl and Kennard 1970) on differences within a target, since only these rank; the predictors
        and the evaluation by targets that are left out are LangRank's (Lin et al. 2019), whose trees need more data.
    """
    extended = np.concatenate([predictors, elsewhere(scores, counts)[None]])
    return _solve(extended, *_moments(extended, scores, counts), penalty)


def _moments(predictors: Floats, scores: Floats, counts: Floats) -> tuple[Floats, Floats]:
    """Compute the mean products of predictors with each other and with the scores, within targets that count."""
    gram, products, pairs = np.zeros((len(predictors),) * 2), np.zeros(len(predictors)), 0.0
    for of_matrix in scores:
        known = ~np.isnan(of_matrix)
        inside = np.where(known, predictors, np.nan)
        centred = centre(np.swapaxes(inside, -1, -2))  # predictor, target, auxiliary
        weighted = centred * counts[:, None]
        gram += np.einsum("pta,qta->pq", weighted, centred, optimize=True)
        products += np.einsum("pta,ta->p", weighted, np.where(known, of_matrix, 0).T)
        pairs += (known * counts).sum()
    return gram / max(pairs, 1), products / max(pairs, 1)


def _solve(predictors: Floats, gram: Floats, products: Floats, penalty: float) -> Fitted:
    deviations = np.sqrt(np.diag(gram))
    scale = np.where(deviations > SMALL, 1 / np.maximum(deviations, SMALL), 0)
    correlations = gram * scale * scale[:, None] + penalty * np.eye(len(scale))
    return Fitted(predictors, scale * np.linalg.solve(correlations, scale * products), penalty)


def choose_penalty(predictors: Floats, scores: Floats, counts: Floats) -> float:
    """Choose the penalty by leaving out one target language that counts at a time.

    Args:
        predictors: (P, L, L).
        scores: (M, L, L) centred scores.
        counts: (L,) how often each target language counts.

    Returns:
        The penalty with the smallest squared error, the largest of equal ones.
    """
    errors = np.zeros(len(PENALTIES))
    for target in np.flatnonzero(counts):
        remaining = np.where(np.arange(len(counts)) == target, 0, counts)
        extended = np.concatenate([predictors, elsewhere(scores, remaining)[None]])
        moments = _moments(extended, scores, remaining)
        for number, penalty in enumerate(PENALTIES):
            predicted = predict_column(_solve(extended, *moments, penalty), scores, int(target))
            errors[number] += counts[target] * np.nansum((predicted - scores[:, :, target]) ** 2)
    return PENALTIES[len(errors) - 1 - int(np.argmin(errors[::-1]))]


def predict_column(fitted: Fitted, scores: Floats, target: int) -> Floats:
    """Predict the centred scores of a target language in each matrix: (M, L), NaN where there is no score."""
    predicted = np.full(scores.shape[:2], np.nan)
    for row, of_matrix in zip(predicted, scores, strict=True):
        candidates = np.flatnonzero(~np.isnan(of_matrix[:, target]))
        row[candidates] = fitted.predict(target, candidates.tolist())
    return predicted


def fit_without(predictors: Floats, scores: Floats, target: int) -> Fitted:
    """Fit the model, its penalty included, to all target languages but one.

    Args:
        predictors: (P, L, L).
        scores: (M, L, L) centred scores.
        target: The target language, whose scores change nothing; it need not have any.

    Returns:
        The model.
    """
    counts = target_counts(scores)
    counts[target] = 0
    return fit(predictors, scores, counts, choose_penalty(predictors, scores, counts))


def target_counts(scores: Floats) -> Floats:
    """Return 1 for each target language that has scores, and 0 for the others: (L,)."""
    known = (~np.isnan(scores)).any((0, 1))
    return np.asarray(known, dtype=np.float64)


def predict_left_out(predictors: Floats, scores: Floats) -> Floats:
    """Predict the scores of each target language by a model that has seen none of them.

    Args:
        predictors: (P, L, L).
        scores: (M, L, L) centred scores.

    Returns:
        (M, L, L) centred predictions; NaN where there is no score.
    """
    predicted = np.full(scores.shape, np.nan)
    for target in np.flatnonzero(target_counts(scores)):
        predicted[:, :, target] = predict_column(fit_without(predictors, scores, int(target)), scores, int(target))
    return predicted
