"""NDCG and regret on worked examples."""

from __future__ import annotations

import math

import numpy as np
import pytest

from iglue_plugins.advice.quality import mean_interval, ndcg, regret

SCORES = np.array([70.0, 73.0, 71.0, 70.0])  # gains 0, 3, 1, 0


def test_ndcg_of_a_worked_ranking() -> None:
    best = 3 + 1 / math.log2(3)
    assert ndcg(np.array([0, 3, 2, 1.0]), SCORES) == 1
    assert ndcg(np.array([3, 1, 2, 0.0]), SCORES) == pytest.approx((1 / math.log2(3) + 3 / 2) / best)
    assert ndcg(np.array([3, 0, 1, 2.0]), SCORES) == pytest.approx(0.5 / best)


def test_ndcg_of_ties_is_that_of_the_average_shuffle() -> None:
    orders = [np.random.default_rng(seed).permutation(4) for seed in range(4000)]
    shuffled = np.mean([ndcg(-np.argsort(order).astype(float), SCORES) for order in orders])
    assert ndcg(np.zeros(4), SCORES) == pytest.approx(shuffled, abs=0.02)


def test_equal_scores_are_ranked_right_in_any_order() -> None:
    assert ndcg(np.array([1, 2, 3.0]), np.full(3, 60.0)) == 1
    assert regret(np.array([1, 2, 3.0]), np.full(3, 60.0)) == 0


def test_regret_is_what_the_first_choice_loses() -> None:
    assert regret(np.array([0, 3, 2, 1.0]), SCORES) == 0
    assert regret(np.array([0, 1, 3, 2.0]), SCORES) == 2
    assert regret(np.array([0, 3, 3, 2.0]), SCORES) == 1  # half the time 0, half the time 2


def test_intervals_hold_the_mean_and_shrink_with_the_spread() -> None:
    mean, low, high = mean_interval(np.array([1.0, 2.0, 3.0, 6.0]))
    assert (mean, low < mean < high) == (3, True)
    assert mean_interval(np.full(5, 2.0)) == (2, 2, 2)
