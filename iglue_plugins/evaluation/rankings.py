"""Scores of a retrieval task's rankings, as they stand in a file of predictions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from iglue_plugins.evaluation.answers import GoldAnswers
from iglue_plugins.evaluation.metrics import recall_at
from iglue_plugins.evaluation.prediction_files import Prediction
from iglue_plugins.utils.errors import UserError
from iglue_plugins.utils.text import shown

RECALL_AT = (1, 5, 10)
LACKS_TEXT_SCORES = (
    "text_recall is left out: it needs the scores of all captions with an image, and the file has "
    "each caption's best images"
)
LACKS_TEXT_HITS = "text_recall@1 is left out: the file's lists and scores do not tell the text hits"


def score_rankings(
    path: Path, predictions: Mapping[str, Prediction], gold: GoldAnswers
) -> tuple[dict[str, float], list[str]]:
    """Compute the recall of each caption's image, and what the file's scores tell of the other direction.

    Args:
        path: The file of the predictions, for errors.
        predictions: The ranked images by the caption's id; captions without one count as misses.
        gold: The right answers.

    Returns:
        Percentages by name, and notes on those that are left out.

    Raises:
        UserError: A list is empty, names an image that the split does not have, or names one twice.
    """
    positions = {image: position for position, image in enumerate(gold.images)}
    rankings = {id_: _ranked_images(path, prediction, gold, positions) for id_, prediction in predictions.items()}
    ranks = np.array([_rank(rankings.get(id_, []), image) for id_, image in gold.answers.items()])
    depth = min(map(len, rankings.values()), default=0)
    metrics = {f"image_recall@{k}": recall_at(ranks, k) for k in RECALL_AT if depth >= min(k, len(positions))}
    notes = [
        f"image_recall@{k} is left out: the shortest list has {depth} images"
        for k in RECALL_AT
        if f"image_recall@{k}" not in metrics
    ]
    scores = np.array([predictions[id_].score if id_ in predictions else 0.0 for id_ in gold.answers], dtype=float)
    text_metrics, text_notes = _text_recall(scores, ranks == 1, list(gold.answers.values()))
    return metrics | text_metrics, notes + text_notes


def _ranked_images(path: Path, prediction: Prediction, gold: GoldAnswers, positions: Mapping[str, int]) -> list[str]:
    """Return the ids of the ranked images; a file without ids names images by their positions in the annotations."""
    where = f"{path}: {prediction.place}"
    for item in prediction.value:
        if prediction.id is None and not (type(item) is int and 0 <= item < len(positions)):
            raise UserError(
                f"{where}: image index {shown(item)}; expected a position among the images of {gold.name}, from 0 to "
                f"{len(positions) - 1}"
            )
        if prediction.id is not None and not (isinstance(item, str) and item in positions):
            raise UserError(
                f"{where}: unknown image {shown(item)}; expected one of the {len(positions)} images of {gold.name}, "
                f"such as '{gold.images[0]}'"
            )
    if not prediction.value or len(set(prediction.value)) < len(prediction.value):
        problem = "lists an image twice" if prediction.value else "is an empty list"
        raise UserError(f"{where}: {problem}; expected images, best first, each once")
    return [gold.images[item] for item in prediction.value] if prediction.id is None else prediction.value


def _rank(ranking: Sequence[str], image: str) -> float:
    """Return the rank of an image, from 1 for the best; infinite if it is not listed."""
    return ranking.index(image) + 1 if image in ranking else np.inf


def _text_recall(
    scores: NDArray[np.float64], image_hits: NDArray[np.bool_], images: Sequence[str]
) -> tuple[dict[str, float], list[str]]:
    """Compute recall@1 and text_recall@1 from scores that are the mean of two hits.

    A caption's score is the mean of its image hit and of its image's text hit. A tie for the best image is a miss in
    the score, but the image may stand first in the list, so that the text hits can stay unknown.

    Args:
        scores: (captions,) float, NaN where the file has none.
        image_hits: (captions,) bool, whether the caption's image stands first.
        images: (captions,) image ids.

    Returns:
        Percentages by name, and notes on those that are left out.
    """
    if not np.isin(scores, (0, 0.5, 1)).all():
        return {}, [LACKS_TEXT_SCORES]
    metrics = {"recall@1": 100 * float(scores.mean())}
    text_hits: dict[str, set[float]] = {}
    for image, hit in zip(images, (2 * scores - image_hits).tolist(), strict=True):
        text_hits.setdefault(image, set()).add(hit)
    if any(hits not in ({0.0}, {1.0}) for hits in text_hits.values()):
        return metrics, [LACKS_TEXT_HITS]
    return metrics | {"text_recall@1": 100 * float(np.mean([hits == {1.0} for hits in text_hits.values()]))}, []
