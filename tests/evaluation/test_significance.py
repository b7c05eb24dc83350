import time

import numpy as np
import pytest

from iglue_plugins.evaluation.significance import Interval, paired_bootstrap


def draw_hits(rng, seeds, examples, probability):
    """Draw a 1 with this probability, else a 0, for each seed and example."""
    return (rng.random((seeds, examples)) < probability).astype(float)


@pytest.fixture
def scores():
    """Three seeds in three languages of different sizes."""
    rng = np.random.default_rng(1)
    a = [draw_hits(rng, 3, examples, 0.7) for examples in (50, 40, 60)]
    b = [draw_hits(rng, 3, examples, 0.6) for examples in (50, 40, 60)]
    return a, b


def test_identical_scores_have_a_difference_of_exactly_zero(scores):
    a, _ = scores
    interval = paired_bootstrap(a, a)
    assert interval == Interval(0.0, 0.0, 0.0)
    assert not interval.excludes_zero


def test_a_constant_shift_has_no_uncertainty(scores):
    b = [language_scores * 0.5 for language_scores in scores[0]]
    interval = paired_bootstrap([language_scores + 0.1 for language_scores in b], b)
    assert (interval.difference, interval.low, interval.high) == pytest.approx((10, 10, 10))
    assert interval.excludes_zero


def test_the_mean_is_over_languages_not_over_all_examples():
    a = [np.ones((1, 10)), np.zeros((1, 1000))]
    b = [np.zeros((1, 10)), np.zeros((1, 1000))]
    assert paired_bootstrap(a, b).difference == 50.0


def test_swapping_the_sides_mirrors_the_interval(scores):
    there, back = paired_bootstrap(*scores), paired_bootstrap(*scores[::-1])
    assert there.difference == pytest.approx(-back.difference)
    assert there.difference == pytest.approx(
        100 * np.mean([np.mean(a) - np.mean(b) for a, b in zip(*scores, strict=True)])
    )
    assert there.low < there.difference < there.high
    assert (there.low, there.high) == pytest.approx((-back.high, -back.low), abs=1.0)


def test_the_seed_decides_the_draws(scores):
    assert paired_bootstrap(*scores, seed=3) == paired_bootstrap(*scores, seed=3)
    assert paired_bootstrap(*scores, seed=3) != paired_bootstrap(*scores, seed=4)


@pytest.mark.parametrize("ids", [None, [range(50), range(40), range(60)]])
def test_the_order_of_languages_does_not_matter(scores, ids):
    a, b = scores
    turned = ids and [ids[2], ids[0], ids[1]]
    reordered = paired_bootstrap([a[2], a[0], a[1]], [b[2], b[0], b[1]], example_ids=turned)
    assert reordered == paired_bootstrap(a, b, example_ids=ids)


def test_one_seed_has_the_spread_of_its_examples_alone():
    rng = np.random.default_rng(5)
    a, b = draw_hits(rng, 1, 400, 0.7), draw_hits(rng, 1, 400, 0.6)
    interval = paired_bootstrap([a], [b], resamples=20_000)
    half_width = 100 * 1.96 * (a - b).std() / np.sqrt(400)
    assert interval.high - interval.low == pytest.approx(2 * half_width, rel=0.03)


def test_seeds_that_disagree_widen_the_interval():
    steady = [np.full((4, 100), 0.6)]
    unsteady = [np.repeat([[0.4], [0.8], [0.5], [0.7]], 100, axis=1)]
    baseline = [np.full((4, 100), 0.5)]
    assert paired_bootstrap(steady, baseline).low == pytest.approx(10)
    interval = paired_bootstrap(unsteady, baseline, resamples=20_000)
    assert interval.difference == pytest.approx(10)
    # 4 ** 4 equally likely draws of (-10, 30, 0, 20) on average: of 256, 5 are at -7.5 or below and 11 at -5 or below.
    assert (interval.low, interval.high) == pytest.approx((-5, 25))


def test_translations_of_one_example_count_once():
    rng = np.random.default_rng(2)
    a, b = draw_hits(rng, 1, 200, 0.7), draw_hits(rng, 1, 200, 0.6)
    alone = paired_bootstrap([a], [b])
    ids = [f"q{i}" for i in range(200)]
    translated = paired_bootstrap([a] * 8, [b] * 8, example_ids=[ids] * 8)
    assert (translated.low, translated.high) == pytest.approx((alone.low, alone.high))
    independent = paired_bootstrap([a] * 8, [b] * 8)
    assert independent.high - independent.low == pytest.approx((alone.high - alone.low) / np.sqrt(8), rel=0.1)


def test_the_interval_covers_the_true_difference():
    """The truth is 0.1: in 300 simulated comparisons, 95 % of the intervals hold it (binomial error 1.3 points)."""
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(300):
        a = [draw_hits(rng, 1, examples, 0.7) for examples in (80, 120)]
        b = [draw_hits(rng, 1, examples, 0.6) for examples in (80, 120)]
        interval = paired_bootstrap(a, b, resamples=400)
        covered += interval.low <= 10 <= interval.high
    assert 0.92 <= covered / 300 <= 0.98


@pytest.mark.parametrize(
    ("a", "b", "ids", "message"),
    [
        ([], [], None, "the same languages"),
        ([np.ones((2, 5))], [np.ones((2, 4))], None, r"\(2, 5\).*\(2, 4\)"),
        ([np.ones((2, 5))], [np.ones((2, 5))] * 2, None, "the same languages"),
        ([np.ones((2, 5)), np.ones((3, 5))], [np.ones((2, 5)), np.ones((3, 5))], None, "the same seeds"),
        ([np.ones(5)], [np.ones(5)], None, r"\(seeds, examples\)"),
        ([np.ones((2, 0))], [np.ones((2, 0))], None, r"\(seeds, examples\)"),
        ([np.full((1, 5), 80.0)], [np.ones((1, 5))], None, r"in \[0, 1\]"),
        ([np.full((1, 5), np.nan)], [np.ones((1, 5))], None, r"in \[0, 1\]"),
        ([np.ones((1, 5))], [np.ones((1, 5))], [range(4)], "example_ids"),
        ([np.ones((1, 5))], [np.ones((1, 5))], [range(5), range(5)], "example_ids"),
    ],
)
def test_scores_that_are_not_paired_are_refused(a, b, ids, message):
    with pytest.raises(ValueError, match=message):
        paired_bootstrap(a, b, example_ids=ids)


def test_a_full_comparison_takes_less_than_two_seconds():
    rng = np.random.default_rng(0)
    a, b = ([draw_hits(rng, 5, 400, 0.6) for _ in range(13)] for _ in range(2))
    started = time.perf_counter()
    paired_bootstrap(a, b)
    assert time.perf_counter() - started < 2
