"""Standard errors on the annotations and predictions in the IGLUE repository, by example and by image."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from iglue_plugins.evaluation.clusters import cluster_weights, group_clusters
from iglue_plugins.evaluation.significance import paired_bootstrap

IGLUE = Path(__file__).parents[2].parent / "shared" / "iglue"

pytestmark = pytest.mark.skipif(not IGLUE.is_dir(), reason=f"no annotations and predictions of IGLUE in {IGLUE}")


@pytest.fixture(scope="module")
def questions():
    """All 12,578 test-dev questions of GQA."""
    return json.loads((IGLUE / "datasets/gqa/annotations/testdev.json").read_text())


def hits(questions, language):
    path = IGLUE / f"published/predictions/xgqa/ctrl_xuniter/test_{language}_0_result.json"
    predicted = {str(line["questionId"]): line["prediction"] for line in json.loads(path.read_text())}
    return np.array([[float(question["label"].get(predicted[question["question_id"]], 0)) for question in questions]])


def growth(questions, first, others):
    """Returns how many times larger standard errors of differences are if images are drawn instead of questions."""
    ids = {"any": [question["question_id"] for question in questions]}
    images = {"any": [[question["img_id"]] for question in questions]}
    by_image, by_question = (
        paired_bootstrap(
            {"any": first}, [{"any": other} for other in others], group_clusters(ids, given), resamples=6000
        )
        for given in (images, None)
    )
    return [a.standard_error / b.standard_error for a, b in zip(by_image, by_question, strict=True)]


def test_xgqa_questions_share_398_images(questions):
    """Standard errors of accuracies are 1.35 to 1.65 times as large; of two differences to English 1.22 and 1.26."""
    assert len({question["img_id"] for question in questions}) == 398
    scores = {language: hits(questions, language) for language in ("en", "bn", "de", "id", "ko", "pt", "ru", "zh")}
    accuracies = growth(questions, np.zeros_like(scores["en"]), scores.values())
    assert (min(accuracies), max(accuracies)) == pytest.approx((1.35, 1.64), abs=0.05)
    assert growth(questions, scores["en"], [scores["de"], scores["id"]]) == pytest.approx([1.22, 1.26], abs=0.05)


def test_xvnli_has_357_images():
    lines = (IGLUE / "datasets/XVNLI/annotations/en/test.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    images = [[row["Flikr30kID"]] for row in rows]
    (group,) = group_clusters({"en": [str(number) for number in range(len(rows))]}, {"en": images})
    assert (len(rows), group.size) == (1164, 357)


@pytest.mark.parametrize(("language", "clusters", "effective"), [("id", 138, 109), ("tr", 94, 82), ("zh", 251, 132)])
def test_marvl_statements_fall_into_many_small_clusters(language, clusters, effective):
    lines = (IGLUE / f"datasets/marvl/zero_shot/annotations/marvl-{language}.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    images = {language: [[row["left_img"], row["right_img"]] for row in rows]}
    (group,) = found = group_clusters({language: [str(number) for number in range(len(rows))]}, images)
    assert group.size == clusters
    assert 1 / (cluster_weights(found, [language]) ** 2).sum() == pytest.approx(effective, abs=1)
