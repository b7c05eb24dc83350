"""Differences of rows with their intervals."""

import numpy as np
import pytest

from iglue_plugins.evaluation.clusters import group_clusters
from iglue_plugins.evaluation.significance import Difference, paired_bootstrap


def draw_hits(rng, seeds, examples, probability):
    """Draw a 1 with this probability, else a 0, for each seed and example."""
    return (rng.random((seeds, examples)) < probability).astype(float)


def groups_of(scores, prefix=True):
    """Give each example of each language an id, of its language alone or the same one in each."""
    return group_clusters(
        {
            name: [f"{name if prefix else ''}-{i:05}" for i in range(np.shape(of_name)[-1])]
            for name, of_name in scores.items()
        }
    )


def compare(a, b, **options):
    """Bootstrap the difference a - b of languages that share no examples."""
    (difference,) = paired_bootstrap(b, [a], groups_of(b), **options)
    return difference


@pytest.fixture
def scores():
    """Three seeds in three languages of different sizes."""
    rng = np.random.default_rng(1)
    sizes = {"ar": 50, "bn": 40, "de": 60}
    a = {name: draw_hits(rng, 3, examples, 0.7) for name, examples in sizes.items()}
    b = {name: draw_hits(rng, 3, examples, 0.6) for name, examples in sizes.items()}
    return a, b


def test_identical_scores_have_a_difference_of_exactly_zero(scores):
    a, _ = scores
    difference = compare(a, a)
    assert difference == Difference(*[0.0] * 8)
    assert not difference.excludes_zero


def test_a_constant_shift_has_no_uncertainty(scores):
    b = {name: of_name * 0.5 for name, of_name in scores[0].items()}
    difference = compare({name: of_name + 0.1 for name, of_name in b.items()}, b)
    assert (difference.difference, difference.low, difference.high) == pytest.approx((10, 10, 10))
    assert difference.excludes_zero


def test_the_mean_is_over_languages_not_over_all_examples():
    a = {"ar": np.ones((1, 10)), "bn": np.zeros((1, 1000))}
    b = {"ar": np.zeros((1, 10)), "bn": np.zeros((1, 1000))}
    assert compare(a, b).difference == 50.0


def test_swapping_the_sides_mirrors_the_interval(scores):
    a, b = scores
    there, back = compare(a, b), compare(b, a)
    assert there.difference == pytest.approx(-back.difference)
    assert there.difference == pytest.approx(100 * np.mean([a[name].mean() - b[name].mean() for name in a]))
    assert there.low < there.difference < there.high
    assert (there.low, there.high) == pytest.approx((-back.high, -back.low), abs=1.0)


def test_the_seed_decides_the_draws(scores):
    assert compare(*scores, seed=3) == compare(*scores, seed=3)
    assert compare(*scores, seed=3) != compare(*scores, seed=4)


def test_the_order_of_languages_does_not_matter(scores):
    a, b = scores
    reordered = paired_bootstrap(b, [{name: a[name] for name in ("de", "ar", "bn")}], groups_of(b))
    assert reordered == [compare(a, b)]


def test_one_seed_has_the_spread_of_its_examples_alone():
    rng = np.random.default_rng(5)
    a, b = draw_hits(rng, 1, 400, 0.7), draw_hits(rng, 1, 400, 0.6)
    difference = compare({"ar": a}, {"ar": b}, resamples=20_000)
    standard_error = 100 * (a - b).std() / np.sqrt(400)
    assert difference.high - difference.low == pytest.approx(2 * 1.96 * standard_error, rel=0.03)
    assert difference.standard_error == pytest.approx(standard_error, rel=0.03)
    assert difference.equivalence_high - difference.equivalence_low == pytest.approx(
        2 * 1.645 * standard_error, rel=0.03
    )
    assert difference.detectable == pytest.approx((1.96 + 0.84) * standard_error, rel=0.03)


def draw_shifted(rng, shift):
    """Draw a comparison whose true difference is `shift` and whose standard error is 1, both in points."""
    return {"ar": 0.5 + shift / 100 + rng.normal(0, 0.1, size=(1, 100))}, {"ar": np.full((1, 100), 0.5)}


def test_the_detectable_difference_is_found_with_a_power_of_80_percent():
    """In 400 comparisons with this true difference, 80 % of the intervals exclude 0 (binomial error 2 points)."""
    rng = np.random.default_rng(8)
    detectable = np.mean([compare(*draw_shifted(rng, 0), resamples=400).detectable for _ in range(100)])
    assert detectable == pytest.approx(2.80, rel=0.03)
    found = [compare(*draw_shifted(rng, detectable), resamples=400).excludes_zero for _ in range(400)]
    assert 0.74 <= np.mean(found) <= 0.86


@pytest.mark.parametrize(("truth", "wrong"), [(3, {"equivalent"}), (-3, {"equivalent", "no worse"})])
def test_a_verdict_about_a_difference_of_just_the_margin_is_wrong_in_5_percent(truth, wrong):
    """In 400 comparisons (binomial error 1.1 points)."""
    rng = np.random.default_rng(9)
    verdicts = [compare(*draw_shifted(rng, truth), resamples=400).verdict(3) for _ in range(400)]
    assert 0.02 <= np.mean([verdict in wrong for verdict in verdicts]) <= 0.08


def test_seeds_that_disagree_widen_the_interval():
    steady = {"ar": np.full((4, 100), 0.6)}
    unsteady = {"ar": np.repeat([[0.4], [0.8], [0.5], [0.7]], 100, axis=1)}
    baseline = {"ar": np.full((4, 100), 0.5)}
    assert compare(steady, baseline).low == pytest.approx(10)
    difference = compare(unsteady, baseline, resamples=20_000)
    assert difference.difference == pytest.approx(10)
    # 4 ** 4 equally likely draws of (-10, 30, 0, 20) on average: of 256, 5 are at -7.5 or below and 11 at -5 or below.
    assert (difference.low, difference.high) == pytest.approx((-5, 25))


def test_translations_of_one_example_count_once():
    rng = np.random.default_rng(2)
    names = [f"language-{i}" for i in range(8)]
    a, b = draw_hits(rng, 1, 200, 0.7), draw_hits(rng, 1, 200, 0.6)
    alone = compare({"ar": a}, {"ar": b})
    every_a, every_b = dict.fromkeys(names, a), dict.fromkeys(names, b)
    (translated,) = paired_bootstrap(every_b, [every_a], groups_of(every_b, prefix=False))
    assert (translated.low, translated.high) == pytest.approx((alone.low, alone.high))
    independent = compare(every_a, every_b)
    assert independent.high - independent.low == pytest.approx((alone.high - alone.low) / np.sqrt(8), rel=0.1)


def test_a_row_has_the_same_interval_whichever_rows_are_beside_it(scores):
    a, b = scores
    c = {name: a[name] for name in ("bn", "de")}
    first, second = paired_bootstrap(b, [a, c], groups_of(b))
    own = ("difference", "low", "high", "equivalence_low", "equivalence_high", "standard_error")
    for among, (alone,) in (
        (first, paired_bootstrap(b, [a], groups_of(b))),
        (second, paired_bootstrap(b, [c], groups_of(b))),
    ):
        assert [getattr(among, name) for name in own] == pytest.approx([getattr(alone, name) for name in own])
        assert (alone.corrected_low, alone.corrected_high, alone.compared) == (alone.low, alone.high, 1)
        assert among.corrected_low < among.low and among.high < among.corrected_high and among.compared == 2


def test_simultaneous_intervals_hold_for_all_rows_at_once():
    """Of 300 comparisons of six equal rows, 95 % have no interval without 0; of the rows' own intervals far fewer."""
    rng = np.random.default_rng(4)
    together = apart = 0
    for _ in range(300):
        first, *others = ({"ar": draw_hits(rng, 1, 150, 0.5)} for _ in range(6))
        found = paired_bootstrap(first, others, groups_of(first), resamples=500)
        together += not any(difference.excludes_zero_corrected for difference in found)
        apart += not any(difference.excludes_zero for difference in found)
    assert 0.92 <= together / 300 <= 0.98
    assert apart / 300 < 0.88


def test_rows_that_are_equal_need_no_correction():
    """Five times the same row is one comparison, as Holm's or Bonferroni's corrections do not see."""
    rng = np.random.default_rng(6)
    first, other = {"ar": draw_hits(rng, 1, 200, 0.5)}, {"ar": draw_hits(rng, 1, 200, 0.6)}
    for difference in paired_bootstrap(first, [other] * 5, groups_of(first)):
        assert difference.corrected_low == pytest.approx(difference.low, abs=0.5)
        assert difference.corrected_high == pytest.approx(difference.high, abs=0.5)


def test_a_row_equal_to_the_first_keeps_its_interval_of_nothing(scores):
    a, b = scores
    same, other = paired_bootstrap(b, [b, a], groups_of(b))
    assert (same.corrected_low, same.corrected_high) == (0.0, 0.0)
    assert (other.corrected_low, other.corrected_high) == pytest.approx((other.low, other.high), abs=0.5)


def test_the_interval_covers_the_true_difference():
    """The truth is 0.1: in 300 simulated comparisons, 95 % of the intervals hold it (binomial error 1.3 points)."""
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(300):
        a = {name: draw_hits(rng, 1, examples, 0.7) for name, examples in (("ar", 80), ("bn", 120))}
        b = {name: draw_hits(rng, 1, examples, 0.6) for name, examples in (("ar", 80), ("bn", 120))}
        difference = compare(a, b, resamples=400)
        covered += difference.low <= 10 <= difference.high
    assert 0.92 <= covered / 300 <= 0.98


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (-0.9, 0.9, "equivalent"),
        (0.1, 0.9, "equivalent"),
        (-0.9, 1.0, "no worse"),
        (0.5, 4.0, "no worse"),
        (1.1, 4.0, "better"),
        (-4.0, -1.1, "worse"),
        (-1.0, 0.9, "undecided"),
        (-4.0, -0.1, "undecided"),
        (-4.0, 4.0, "undecided"),
    ],
)
def test_the_verdict_is_that_of_two_one_sided_tests(low, high, verdict):
    wide = -9.0, 9.0
    assert Difference(0.0, *wide, *wide, low, high, 1.0).verdict(1.0) == verdict


ONES = {"ar": np.ones((2, 5))}


@pytest.mark.parametrize(
    ("first", "other", "message"),
    [
        ({}, {}, "the same languages"),
        (ONES, {}, "the same languages"),
        (ONES, {"ar": np.ones((2, 4))}, r"\(2, 4\).*\(2, 5\)"),
        (ONES, {**ONES, "bn": np.ones((2, 5))}, "the same languages"),
        ({**ONES, "bn": np.ones((3, 5))}, {**ONES, "bn": np.ones((3, 5))}, "the same seeds"),
        ({"ar": np.ones(5)}, {"ar": np.ones(5)}, r"\(seeds, examples\)"),
        ({"ar": np.ones((2, 0))}, {"ar": np.ones((2, 0))}, r"\(seeds, examples\)"),
        (ONES, {"ar": np.full((2, 5), 80.0)}, r"in \[0, 1\]"),
        (ONES, {"ar": np.full((2, 5), np.nan)}, r"in \[0, 1\]"),
    ],
)
def test_scores_that_are_not_paired_are_refused(first, other, message):
    with pytest.raises(ValueError, match=message):
        paired_bootstrap(first, [other], groups_of(first))


@pytest.mark.parametrize("clustered", [{}, {"ar": ["a"] * 0}, {"ar": list("abcd")}, {"bn": list("abcde")}])
def test_scores_without_clusters_are_refused(clustered):
    with pytest.raises(ValueError, match="clusters are given for"):
        paired_bootstrap(ONES, [ONES], group_clusters(clustered))


def test_nothing_to_compare_gives_no_difference():
    assert paired_bootstrap(ONES, [], groups_of(ONES)) == []


def test_languages_may_weigh_differently(scores):
    a, b = scores
    weights = {"ar": 0.5, "bn": 0.25, "de": 0.25}
    (weighted,) = paired_bootstrap(b, [a], groups_of(b), weights=weights)
    alone = {name: compare({name: a[name]}, {name: b[name]}) for name in a}
    assert weighted.difference == pytest.approx(sum(weights[name] * alone[name].difference for name in a))
    equal = dict.fromkeys(a, 1 / 3)
    (same,) = paired_bootstrap(b, [a], groups_of(b), weights=equal)
    assert vars(same) == pytest.approx(vars(compare(a, b)))


def test_weights_change_the_spread_as_they_should():
    """One seed, two independent languages: the variance is the sum of those of the languages by squared weight."""
    rng = np.random.default_rng(3)
    a, b = ({name: draw_hits(rng, 1, 400, probability) for name in ("ar", "bn")} for probability in (0.7, 0.6))
    errors = {name: compare({name: a[name]}, {name: b[name]}).standard_error for name in a}
    (weighted,) = paired_bootstrap(b, [a], groups_of(b), weights={"ar": 0.8, "bn": 0.2})
    assert weighted.standard_error == pytest.approx(np.hypot(0.8 * errors["ar"], 0.2 * errors["bn"]), rel=0.05)
