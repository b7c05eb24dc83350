"""Scores of a file of predictions, computed from the right answers alone, without model and images."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from iglue_plugins.evaluation.answers import GoldAnswers
from iglue_plugins.evaluation.metrics import accuracy
from iglue_plugins.evaluation.prediction_files import Prediction
from iglue_plugins.evaluation.rankings import score_rankings
from iglue_plugins.utils.errors import UserError
from iglue_plugins.utils.text import printable, shown


@dataclass(frozen=True)
class Scores:
    """The scores of a file of predictions.

    Attributes:
        task: The task's name.
        language: The language's code.
        split: The split's name.
        metrics: Percentages by name.
        examples: The number of examples that are scored.
        missing: The number of scored examples without a prediction, which count as wrong.
        extra: The number of predictions for examples that are not scored.
        notes: Sentences about the metrics, without their full stops.
    """

    task: str
    language: str
    split: str
    metrics: dict[str, float]
    examples: int
    missing: int
    extra: int
    notes: tuple[str, ...]


def score(path: Path, predictions: Sequence[Prediction], gold: GoldAnswers, allow_missing: bool = False) -> Scores:
    """Score predictions against the right answers.

    Args:
        path: The file of the predictions, for errors.
        predictions: The predictions.
        gold: The right answers.
        allow_missing: Whether examples without a prediction count as wrong; otherwise they are an error.

    Returns:
        The scores.

    Raises:
        UserError: The predictions are of another kind of task; an id is unknown or occurs twice; a label differs from
            the annotations, or the task does not have it; an image is not in the split, or is listed twice; examples
            have no prediction and `allow_missing` is false.
    """
    by_id = _predictions_by_id(path, predictions, gold)
    _check_labels(path, by_id, gold)
    scored = {id_: by_id[id_] for id_ in gold.answers if id_ in by_id}
    missing = [id_ for id_ in gold.answers if id_ not in by_id]
    if missing and not allow_missing:
        raise UserError(
            f"{path}: has no prediction for {len(missing)} of the {len(gold.answers)} examples of {gold.name}, the "
            f"first of them '{missing[0]}'; --allow-missing counts them as wrong"
        )
    score_kind = score_rankings if gold.retrieval else _score_labels
    metrics, notes = score_kind(path, scored, gold)
    return Scores(
        gold.task,
        gold.language,
        gold.split,
        metrics,
        len(gold.answers),
        len(missing),
        len(by_id) - len(scored),
        tuple(notes),
    )


def _predictions_by_id(path: Path, predictions: Sequence[Prediction], gold: GoldAnswers) -> dict[str, Prediction]:
    """Return the predictions by the example's id; in a file without ids they are in the order of the annotations."""
    for prediction in predictions:
        _check_form(path, prediction, gold)
    if predictions[0].id is None:
        if len(predictions) != len(gold.answers):
            raise UserError(
                f"{path}: holds {len(predictions)} lists of images, but {gold.name} has {len(gold.answers)} captions; "
                "give one list for each caption, in their order"
            )
        return dict(zip(gold.answers, predictions, strict=True))
    by_id: dict[str, Prediction] = {}
    for prediction in predictions:
        id_ = str(prediction.id)
        if (earlier := by_id.setdefault(id_, prediction)) is not prediction:
            raise UserError(
                f"{path}: {prediction.place}: id '{printable(id_)}' is that of {earlier.place} too; each id must occur "
                "once"
            )
    unknown = [id_ for id_ in by_id if id_ not in gold.answers and id_ not in gold.unscored]
    if unknown:
        first = unknown[0]
        raise UserError(
            f"{path}: {by_id[first].place}: unknown id '{printable(first)}' ({len(unknown)} unknown in all); the ids "
            f"of {gold.name} are such as '{next(iter(gold.answers))}'"
        )
    return by_id


def _check_form(path: Path, prediction: Prediction, gold: GoldAnswers) -> None:
    """Check that a prediction is a list of images for a retrieval task, and none for another task."""
    is_ranking = isinstance(prediction.value, list)
    if is_ranking and not gold.retrieval:
        raise UserError(
            f"{path}: {prediction.place}: is a list, as for a retrieval task; {gold.name} needs an id and a label"
        )
    if gold.retrieval and not is_ranking:
        raise UserError(
            f"{path}: {prediction.place}: the prediction is {shown(prediction.value)}; {gold.name} needs a list of "
            "images, best first"
        )


def _check_labels(path: Path, by_id: Mapping[str, Prediction], gold: GoldAnswers) -> None:
    """Check that labels in the file, if there are any, are those of the annotations."""
    for id_, prediction in by_id.items():
        answer = gold.answers.get(id_)
        if None not in (answer, prediction.label) and prediction.label != answer:
            raise UserError(
                f"{path}: {prediction.place}: the label of '{printable(id_)}' is {shown(prediction.label)}, but "
                f"'{answer}' in {gold.name}; the predictions are of other annotations"
            )


def _score_labels(
    path: Path, predictions: Mapping[str, Prediction], gold: GoldAnswers
) -> tuple[dict[str, float], list[str]]:
    """Compute the accuracy, with notes on examples without a label and on words that are no answers of the task."""
    predicted = {id_: _predicted_label(path, prediction, gold.choices) for id_, prediction in predictions.items()}
    labelled_accuracy = accuracy([predicted.get(id_, "") for id_ in gold.answers], list(gold.answers.values()))
    if not gold.unlabelled:
        return {"accuracy": labelled_accuracy}, _unknown_words_note(predicted, gold)
    total = len(gold.answers) + gold.unlabelled
    note = (
        f"accuracy is over the labelled examples; accuracy_as_published is over {total} and counts the "
        f"{gold.unlabelled} without a label as wrong"
    )
    return {"accuracy": labelled_accuracy, "accuracy_as_published": labelled_accuracy * len(gold.answers) / total}, [
        note
    ]


def _unknown_words_note(predicted: Mapping[str, str], gold: GoldAnswers) -> list[str]:
    """Note how many predictions are wrong whatever the question, since the task does not know the word."""
    unknown = [
        (id_, word)
        for id_, word in predicted.items()
        if gold.vocabulary and word not in gold.vocabulary and word != gold.answers[id_]
    ]
    if not unknown:
        return []
    id_, word = unknown[0]
    return [
        f"predictions that are none of the {len(gold.vocabulary)} answers of {gold.task}: {len(unknown)} of "
        f"{len(predicted)}, such as {word[:50]!r} for '{id_}'; they count as wrong, since answers have to be written "
        f"as the task writes them in every language ({', '.join(_common_answers(gold))})"
    ]


def _common_answers(gold: GoldAnswers) -> list[str]:
    return [answer for answer, _ in Counter(gold.answers.values()).most_common(3)]


def _predicted_label(path: Path, prediction: Prediction, choices: tuple[str, ...] | None) -> str:
    """Return the predicted word; JSON's true and false are MaRVL's True and False."""
    label = str(prediction.value) if isinstance(prediction.value, bool) else prediction.value
    if not isinstance(label, str) or choices is not None and label not in choices:
        expected = "a word" if choices is None else f"one of {', '.join(choices)}"
        raise UserError(f"{path}: {prediction.place}: the prediction is {shown(prediction.value)}; expected {expected}")
    return label
