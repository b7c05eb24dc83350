"""Intervals of mean scores: those of the paired bootstrap to a row of zeros, and wider where examples share images."""

from __future__ import annotations

import numpy as np
import pytest

from iglue_plugins.evaluation.clusters import group_clusters
from iglue_plugins.evaluation.intervals import mean_scores
from iglue_plugins.evaluation.significance import paired_bootstrap

IDS = {language: [f"{language}{i}" for i in range(60)] for language in ("tr", "de")}
IMAGES = {language: [[f"image{i // 3}"] for i in range(60)] for language in IDS}


@pytest.fixture
def scores() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {language: np.repeat(rng.random(20) < 0.6, 3).astype(float) for language in IDS}


def test_they_are_differences_to_zero(scores: dict[str, np.ndarray]) -> None:
    groups = group_clusters(IDS, IMAGES)
    found = mean_scores(scores, [["tr"], ["tr", "de"]], groups)
    rows = [{language: scores[language][None] for language in languages} for languages in (["tr"], ["tr", "de"])]
    zeros = {language: np.zeros((1, 60)) for language in IDS}
    for score, expected in zip(found, paired_bootstrap(zeros, rows, groups), strict=True):
        assert (score.mean, score.low, score.high) == pytest.approx((expected.difference, expected.low, expected.high))
    assert found[0].mean == pytest.approx(100 * scores["tr"].mean())
    assert found[0].low < found[0].mean < found[0].high


def test_examples_that_share_an_image_are_drawn_together(scores: dict[str, np.ndarray]) -> None:
    (clustered,) = mean_scores(scores, [["tr"]], group_clusters(IDS, IMAGES))
    (alone,) = mean_scores(scores, [["tr"]], group_clusters(IDS))
    assert clustered.high - clustered.low > 1.4 * (alone.high - alone.low)
