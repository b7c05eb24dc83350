"""Scores that were computed by hand, and the errors for predictions that do not fit the annotations."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from iglue_plugins.evaluation.answers import GoldAnswers
from iglue_plugins.evaluation.prediction_files import Prediction
from iglue_plugins.evaluation.scoring import score
from iglue_plugins.utils.errors import UserError

FILE = Path("result.json")
XVNLI = GoldAnswers(
    "xvnli",
    "ar",
    "test",
    {"a": "neutral", "b": "entailment", "c": "neutral", "d": "-"},
    ("contradiction", "entailment", "neutral"),
)
XGQA = GoldAnswers("xgqa", "de", "test", {"1": "no", "2": "fence"}, None, unscored=frozenset({"3", "4"}))
MARVL = GoldAnswers("marvl", "sw", "test", {"sw-0": "True", "sw-1": "False"}, ("False", "True"))
RETRIEVAL = GoldAnswers(
    "xflickrco", "tr", "test", {"a": "u", "b": "v", "c": "w", "d": "u"}, ("u", "v", "w"), retrieval=True
)


def answers(values: dict[str, Any], **common: Any) -> list[Prediction]:
    """Predictions by the example's id, as in a JSON list of objects."""
    return [Prediction(f"entry {place}", id_, value, **common) for place, (id_, value) in enumerate(values.items(), 1)]


def lists(*rankings: list[Any]) -> list[Prediction]:
    """Lists of image positions, as VOLTA writes them for retrieval."""
    return [Prediction(f"entry {place}", None, ranking) for place, ranking in enumerate(rankings, 1)]


def rows(*rows: tuple[str, list[str], str, float]) -> list[Prediction]:
    """Rows of a run's predictions: the id, ranked images, right image and score of a caption."""
    return [Prediction(f"line {place}", *row) for place, row in enumerate(rows, 1)]


# Labels


def test_accuracy_is_over_all_examples() -> None:
    found = score(FILE, answers({"d": "neutral", "c": "neutral", "b": "neutral", "a": "neutral"}), XVNLI)
    assert found.metrics == {"accuracy": 50.0}
    assert (found.task, found.language, found.split) == ("xvnli", "ar", "test")
    assert (found.examples, found.missing, found.extra, found.notes) == (4, 0, 0, ())


def test_published_accuracies_count_examples_without_a_label() -> None:
    gold = replace(XVNLI, answers={"a": "neutral", "b": "entailment"}, unscored=frozenset({"c", "d"}), unlabelled=2)
    found = score(FILE, answers({"a": "neutral", "b": "entailment", "d": "neutral"}), gold)
    assert found.metrics == {"accuracy": 100.0, "accuracy_as_published": 50.0}
    assert (found.examples, found.extra) == (2, 1)
    assert found.notes == (
        "accuracy is over the labelled examples; accuracy_as_published is over 4 and counts the 2 "
        "without a label as wrong",
    )


def test_predictions_for_unscored_examples_are_counted_and_left_aside() -> None:
    found = score(FILE, answers({"4": "no", "2": "a word that no label has", "1": "no"}), XGQA)
    assert (found.metrics, found.examples, found.extra) == ({"accuracy": 50.0}, 2, 1)


@pytest.mark.parametrize("words", [("Yes", "No"), ("yes.", "no."), ("0", "1"), ("ja", "nein"), ("", "<unk>")])
def test_words_that_are_no_answers_of_the_task_are_counted_in_a_note(words: tuple[str, str]) -> None:
    gold = replace(XGQA, answers={"1": "yes", "2": "no", "5": "rare"}, vocabulary=frozenset({"yes", "no", "fence"}))
    found = score(FILE, answers(dict(zip("125", (*words, "fence"), strict=True))), gold)
    (note,) = found.notes
    assert found.metrics == {"accuracy": 0.0}
    assert f"none of the 3 answers of xgqa: 2 of 3, such as {words[0]!r} for '1'" in note
    assert "(yes, no, rare)" in note


def test_a_right_answer_outside_the_vocabulary_is_no_mistake() -> None:
    gold = replace(XGQA, vocabulary=frozenset({"no", "yes"}))
    found = score(FILE, answers({"1": "yes", "2": "fence", "3": "Yes"}), gold)
    assert (found.metrics, found.notes) == ({"accuracy": 50.0}, ())


def test_json_booleans_are_labels_of_marvl() -> None:
    assert score(FILE, answers({"sw-0": True, "sw-1": True}), MARVL).metrics == {"accuracy": 50.0}
    assert score(FILE, answers({"sw-0": "True", "sw-1": "False"}), MARVL).metrics == {"accuracy": 100.0}


def test_missing_predictions_are_named_or_counted_as_wrong() -> None:
    some = answers({"c": "neutral"})
    message = "^result.json: has no prediction for 3 of the 4 examples of xvnli/ar, test split, the first .* 'a'"
    with pytest.raises(UserError, match=message):
        score(FILE, some, XVNLI)
    found = score(FILE, some, XVNLI, allow_missing=True)
    assert (found.metrics, found.examples, found.missing) == ({"accuracy": 25.0}, 4, 3)


BAD_LABELS = {
    "unknown": (
        answers({"1": "no", "9": "no", "8": "no"}),
        XGQA,
        r"entry 2: unknown id '9' \(2 unknown in all\); .* xgqa/de, test split are such as '1'",
    ),
    "twice": (
        [*answers({"1": "no", "2": "no"}), Prediction("entry 3", "1", "no")],
        XGQA,
        "entry 3: id '1' is that of entry 1 too",
    ),
    "not a label": (
        answers({"a": "maybe"}),
        XVNLI,
        "entry 1: the prediction is 'maybe'; expected one of contradiction, entailment, neutral",
    ),
    "a class index": (answers({"a": 2}), XVNLI, "entry 1: the prediction is 2; expected one of contradiction"),
    "a boolean": (answers({"a": True}), XVNLI, "entry 1: the prediction is True; expected one of contradiction"),
    "not a word": (answers({"1": None}), XGQA, "entry 1: the prediction is None; expected a word"),
    "lists": (lists([1, 2], [0]), XGQA, "entry 1: is a list, .* an id and a label"),
    "images": (answers({"1": ["u"]}), XGQA, "entry 1: is a list, as for a retrieval task"),
    "other labels": (
        answers({"a": "neutral"}, label="entailment"),
        XVNLI,
        "entry 1: the label of 'a' is 'entailment', but 'neutral' in xvnli/ar, test split",
    ),
}


@pytest.mark.parametrize(("predictions", "gold", "message"), BAD_LABELS.values(), ids=BAD_LABELS)
def test_labels_that_do_not_fit(predictions: list[Prediction], gold: GoldAnswers, message: str) -> None:
    with pytest.raises(UserError, match=f"^result.json: {message}"):
        score(FILE, predictions, gold, allow_missing=True)


# Images


def test_recall_at_k_of_positions_in_the_order_of_the_images() -> None:
    images = tuple(f"i{i}" for i in range(20))
    gold = replace(RETRIEVAL, answers={f"c{i}": image for i, image in enumerate(images)}, choices=images)
    rankings = [[(i + wrong) % 20 for wrong in range(1, 11)] for i in range(20)]  # no list has its image
    rankings[0][0], rankings[1][4], rankings[2][5], rankings[3][9] = 0, 1, 2, 3
    found = score(FILE, lists(*rankings), gold)
    assert found.metrics == {"image_recall@1": 5.0, "image_recall@5": 10.0, "image_recall@10": 20.0}
    assert found.notes == (
        "text_recall is left out: it needs the scores of all captions with an image, and the file "
        "has each caption's best images",
    )


def test_the_shortest_list_limits_the_recalls() -> None:
    gold = replace(RETRIEVAL, choices=(*"uvw", *(f"i{i}" for i in range(17))))
    deep = list(range(8))
    found = score(FILE, lists(deep, deep, deep, deep[:6]), gold)
    assert found.metrics == {"image_recall@1": 50.0, "image_recall@5": 100.0}
    assert found.notes[0] == "image_recall@10 is left out: the shortest list has 6 images"
    assert set(score(FILE, lists(deep, deep, deep, [0]), gold).metrics) == {"image_recall@1"}


def test_a_list_of_all_images_is_deep_enough() -> None:
    found = score(FILE, lists([0, 1, 2], [0, 1, 2], [0, 1, 2], [2, 1, 0]), RETRIEVAL)
    assert found.metrics == {"image_recall@1": 25.0, "image_recall@5": 100.0, "image_recall@10": 100.0}


def test_the_scores_of_a_run_tell_text_recall() -> None:
    """One caption of u finds its image and the other does not; one of them is the best caption of u."""
    found = score(
        FILE,
        rows(
            ("d", ["v", "u", "w"], "u", 0.5),
            ("a", ["u", "v", "w"], "u", 1.0),
            ("c", ["w", "v", "u"], "w", 0.5),
            ("b", ["w", "v", "u"], "v", 0.0),
        ),
        RETRIEVAL,
    )
    assert found.metrics == pytest.approx(
        {
            "recall@1": 50.0,
            "image_recall@1": 50.0,
            "image_recall@5": 100.0,
            "image_recall@10": 100.0,
            "text_recall@1": 100 / 3,
        }
    )
    assert found.notes == ()


def test_text_recall_is_left_out_if_a_tie_hides_it() -> None:
    """u and v tie for a, which is a miss in the score, though u stands first in the list."""
    found = score(
        FILE,
        rows(
            ("a", ["u", "v", "w"], "u", 0.0),
            ("b", ["v", "u", "w"], "v", 0.5),
            ("c", ["w", "v", "u"], "w", 1.0),
            ("d", ["v", "u", "w"], "u", 0.0),
        ),
        RETRIEVAL,
    )
    assert (found.metrics["recall@1"], found.metrics["image_recall@1"]) == (37.5, 75.0)
    assert "text_recall@1" not in found.metrics
    assert found.notes == ("text_recall@1 is left out: the file's lists and scores do not tell the text hits",)


def test_scores_that_are_not_hits_tell_nothing() -> None:
    found = score(
        FILE,
        rows(("a", ["u"], "u", 0.7), ("b", ["v"], "v", 0.5), ("c", ["w"], "w", 1.0), ("d", ["u"], "u", 0.5)),
        RETRIEVAL,
    )
    assert found.metrics == {"image_recall@1": 100.0}


def test_missing_captions_count_as_misses() -> None:
    found = score(FILE, rows(("a", ["u", "v", "w"], "u", 0.5), ("d", ["u", "v", "w"], "u", 0.5)), RETRIEVAL, True)
    assert (found.metrics["image_recall@1"], found.metrics["recall@1"], found.missing) == (50.0, 25.0, 2)
    with pytest.raises(UserError, match="has no prediction for 2 of the 4 examples of .*, the first of them 'b'"):
        score(FILE, rows(("a", ["u"], "u", 0.5), ("d", ["u"], "u", 0.5)), RETRIEVAL)


BAD_LISTS = {
    "outside": (lists([0], [0], [3], [0]), "entry 3: image index 3; expected .* from 0 to 2"),
    "negative": (lists([0], [-1], [0], [0]), "entry 2: image index -1"),
    "a name among positions": (lists([0], ["u"], [0], [0]), "entry 2: image index 'u'"),
    "true": (lists([0], [True], [0], [0]), "entry 2: image index True"),
    "unknown": (answers({"a": ["x"]}), "entry 1: unknown image 'x'; expected one of the 3 images of .*, such as 'u'"),
    "a position among names": (answers({"a": [0]}), "entry 1: unknown image 0; expected one of the 3 images"),
    "twice": (lists([0], [1, 0, 1], [0], [0]), "entry 2: lists an image twice"),
    "no image": (lists([0], [], [0], [0]), "entry 2: is an empty list"),
    "too few lists": (lists([0], [0]), "holds 2 lists of images, but xflickrco/tr, test split has 4 captions"),
    "words": (answers({"a": "no"}), "entry 1: the prediction is 'no'; .* a list of images, best first"),
    "a word later": (answers({"a": ["u"], "b": "no"}), "entry 2: the prediction is 'no'; .* a list of images"),
    "another image": (rows(("a", ["u"], "v", 1.0)), "line 1: the label of 'a' is 'v', but 'u' in"),
}


@pytest.mark.parametrize(("predictions", "message"), BAD_LISTS.values(), ids=BAD_LISTS)
def test_lists_that_do_not_fit(predictions: list[Prediction], message: str) -> None:
    with pytest.raises(UserError, match=f"^result.json: {message}"):
        score(FILE, predictions, RETRIEVAL, allow_missing=True)
