"""Scores of a file of predictions, from the right answers alone: no model, no images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from iglue_plugins.evaluation.metrics import accuracy, recall_at
from iglue_plugins.evaluation.prediction_files import Prediction
from iglue_plugins.utils.errors import UserError

RECALL_AT = (1, 5, 10)
LACKS_TEXT_SCORES = (
    "text_recall is left out: it needs the scores of all captions with an image, and the file has "
    "each caption's best images"
)
LACKS_TEXT_HITS = "text_recall@1 is left out: the file's lists and scores do not tell the text hits"


@dataclass(frozen=True)
class Gold:
    """The right answers of a task's split in a language.

    answers: by example id, in the annotations' order: the label, or the image of a caption. choices: the labels that
    there are (None: any word), or the images in the annotations' order. retrieval: predictions are ranked images.
    unscored: ids of further examples that a file may have predictions for; `unlabelled` of them have no label.
    """

    task: str
    language: str
    split: str
    answers: Mapping[str, str]
    choices: tuple[str, ...] | None
    retrieval: bool = False
    unscored: frozenset[str] = frozenset()
    unlabelled: int = 0

    @property
    def name(self) -> str:
        return f"{self.task}/{self.language}, {self.split} split"


@dataclass(frozen=True)
class Scores:
    """Metrics in percent over `examples`. Missing ones count as wrong; extra predictions are for unscored examples."""

    task: str
    language: str
    split: str
    metrics: dict[str, float]
    examples: int
    missing: int
    extra: int
    notes: tuple[str, ...]


def score(path: Path, predictions: Sequence[Prediction], gold: Gold, allow_missing: bool = False) -> Scores:
    """Score the predictions of the file at `path`, which only errors name, against the right answers.

    Raises:
        UserError: predictions of another kind of task; an id that is unknown or there twice; a label that is not the
            annotations', or that the task does not have; an image that the split does not have, or that is listed
            twice; examples without a prediction, unless `allow_missing` has them counted as wrong.
    """
    by_id = _by_id(path, predictions, gold)
    _check_labels(path, by_id, gold)
    found = {id_: by_id[id_] for id_ in gold.answers if id_ in by_id}
    missing = [id_ for id_ in gold.answers if id_ not in by_id]
    if missing and not allow_missing:
        raise UserError(
            f"{path}: found no prediction for {len(missing)} of the {len(gold.answers)} examples of "
            f"{gold.name}, the first of them '{missing[0]}', expected one for each; --allow-missing counts "
            "them as wrong"
        )
    metrics, notes = (_retrieval if gold.retrieval else _classification)(path, found, gold)
    return Scores(
        gold.task,
        gold.language,
        gold.split,
        metrics,
        len(gold.answers),
        len(missing),
        len(by_id) - len(found),
        tuple(notes),
    )


def _by_id(path: Path, predictions: Sequence[Prediction], gold: Gold) -> dict[str, Prediction]:
    """The predictions by the example's id; those of a file without ids stand in the order of the annotations."""
    for prediction in predictions:
        _check_form(path, prediction, gold)
    if predictions[0].id is None:
        if len(predictions) != len(gold.answers):
            raise UserError(
                f"{path}: found {len(predictions)} lists of images, expected {len(gold.answers)}, one for "
                f"each caption of {gold.name}, in their order"
            )
        return dict(zip(gold.answers, predictions))
    by_id: dict[str, Prediction] = {}
    for prediction in predictions:
        if (earlier := by_id.setdefault(prediction.id, prediction)) is not prediction:
            raise UserError(
                f"{path}: {prediction.place}: found id '{prediction.id}', which {earlier.place} has too, "
                "expected each id once"
            )
    unknown = [id_ for id_ in by_id if id_ not in gold.answers and id_ not in gold.unscored]
    if unknown:
        raise UserError(
            f"{path}: {by_id[unknown[0]].place}: found id '{unknown[0]}' ({len(unknown)} unknown in all), "
            f"expected ids of {gold.name}, such as '{next(iter(gold.answers))}'"
        )
    return by_id


def _check_form(path: Path, prediction: Prediction, gold: Gold) -> None:
    ranked = isinstance(prediction.value, list)
    if ranked and not gold.retrieval:
        raise UserError(
            f"{path}: {prediction.place}: found a list, as of a retrieval task, expected an id and a label "
            f"for {gold.name}"
        )
    if gold.retrieval and not ranked:
        raise UserError(
            f"{path}: {prediction.place}: found prediction {prediction.value!r}, expected a list of "
            f"images, best first, for {gold.name}"
        )


def _check_labels(path: Path, by_id: Mapping[str, Prediction], gold: Gold) -> None:
    """A file that brings its own labels must have those of the annotations."""
    for id_, prediction in by_id.items():
        answer = gold.answers.get(id_)
        if None not in (answer, prediction.label) and prediction.label != answer:
            raise UserError(
                f"{path}: {prediction.place}: found label {prediction.label!r} for '{id_}', expected "
                f"'{answer}', as in {gold.name}"
            )


def _classification(
    path: Path, predictions: Mapping[str, Prediction], gold: Gold
) -> tuple[dict[str, float], list[str]]:
    predicted = {id_: _label(path, prediction, gold.choices) for id_, prediction in predictions.items()}
    of_labelled = accuracy([predicted.get(id_, "") for id_ in gold.answers], list(gold.answers.values()))
    if not gold.unlabelled:
        return {"accuracy": of_labelled}, []
    total = len(gold.answers) + gold.unlabelled
    note = (
        f"accuracy is over the labelled examples; accuracy_as_published is over {total} and counts the "
        f"{gold.unlabelled} without a label as wrong"
    )
    return {"accuracy": of_labelled, "accuracy_as_published": of_labelled * len(gold.answers) / total}, [note]


def _label(path: Path, prediction: Prediction, choices: tuple[str, ...] | None) -> str:
    """The predicted word; JSON's true and false are MaRVL's True and False."""
    label = str(prediction.value) if isinstance(prediction.value, bool) else prediction.value
    if not isinstance(label, str) or choices is not None and label not in choices:
        expected = "a word" if choices is None else f"one of {', '.join(choices)}"
        raise UserError(f"{path}: {prediction.place}: found prediction {prediction.value!r}, expected {expected}")
    return label


def _retrieval(path: Path, predictions: Mapping[str, Prediction], gold: Gold) -> tuple[dict[str, float], list[str]]:
    """Recall of each caption's image as the file ranks it; of the other direction, what the file's scores tell."""
    images = {image: place for place, image in enumerate(gold.choices)}
    ranked = {id_: _ranking(path, prediction, gold, images) for id_, prediction in predictions.items()}
    ranks = np.array([_rank(ranked.get(id_, []), image) for id_, image in gold.answers.items()])
    depth = min(map(len, ranked.values()), default=0)
    metrics = {f"image_recall@{k}": recall_at(ranks, k) for k in RECALL_AT if depth >= min(k, len(images))}
    notes = [
        f"image_recall@{k} is left out: the shortest list has {depth} images"
        for k in RECALL_AT
        if f"image_recall@{k}" not in metrics
    ]
    scores = np.array([predictions[id_].score if id_ in predictions else 0.0 for id_ in gold.answers], dtype=float)
    of_text, text_notes = _text_recall(scores, ranks == 1, list(gold.answers.values()))
    return metrics | of_text, notes + text_notes


def _ranking(path: Path, prediction: Prediction, gold: Gold, images: Mapping[str, int]) -> list[str]:
    """The ids of the ranked images; a file without ids names them by their places."""
    where = f"{path}: {prediction.place}"
    for item in prediction.value:
        if prediction.id is None and not (type(item) is int and 0 <= item < len(images)):
            raise UserError(
                f"{where}: found image index {item!r}, expected a number from 0 to {len(images) - 1}, a "
                f"place among the images of {gold.name}"
            )
        if prediction.id is not None and not (isinstance(item, str) and item in images):
            raise UserError(
                f"{where}: found image {item!r}, expected one of the {len(images)} images of {gold.name}, "
                f"such as '{gold.choices[0]}'"
            )
    if not prediction.value or len(set(prediction.value)) < len(prediction.value):
        raise UserError(
            f"{where}: found {'an image twice' if prediction.value else 'an empty list'}, expected images, "
            "best first, each once"
        )
    return [gold.choices[item] for item in prediction.value] if prediction.id is None else prediction.value


def _rank(ranking: Sequence[str], image: str) -> float:
    """From 1 for the best; infinite for an image that is not listed."""
    return ranking.index(image) + 1 if image in ranking else np.inf


def _text_recall(
    scores: NDArray[np.float64], image_hits: NDArray[np.bool_], images: Sequence[str]
) -> tuple[dict[str, float], list[str]]:
    """recall@1 and text_recall@1 from scores that are the mean of a caption's image hit and its image's text hit.

    scores: (captions,), NaN where the file has none. A tie for the best image is a miss in them and may stand first in
    the list, so the text hits can stay unknown.
    """
    if not np.isin(scores, (0, 0.5, 1)).all():
        return {}, [LACKS_TEXT_SCORES]
    found = {"recall@1": 100 * float(scores.mean())}
    hits_of_image: dict[str, set[float]] = {}
    for image, hit in zip(images, (2 * scores - image_hits).tolist()):
        hits_of_image.setdefault(image, set()).add(hit)
    if any(hits not in ({0.0}, {1.0}) for hits in hits_of_image.values()):
        return found, [LACKS_TEXT_HITS]
    return found | {"text_recall@1": 100 * float(np.mean([hits == {1.0} for hits in hits_of_image.values()]))}, []
