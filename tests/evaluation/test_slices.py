"""Where slices are cut, and the differences of rows in them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from iglue_plugins.evaluation.clusters import group_clusters
from iglue_plugins.evaluation.significance import paired_bootstrap
from iglue_plugins.evaluation.slices import (
    MOST,
    assign_slices,
    cut_numbers,
    cut_terciles,
    effective_clusters,
    slice_differences,
)


def numbers(counts):
    """Give each number as many examples as a count says: {2: 3} is 2, 2, 2."""
    return np.repeat(list(counts), list(counts.values()))


# Cuts


@pytest.mark.parametrize(
    ("counts", "ranges"),
    [
        ({2: 30, 3: 30}, [(2, 2), (3, 3)]),
        ({1: 29, 2: 1, 3: 30, 4: 29}, [(1, 2), (3, 4)]),
        ({1: 5, 2: 5, 3: 40, 9: 30}, [(1, 3), (9, 9)]),
        ({2: 59}, [(2, 2)]),
        ({2: 29, 3: 29}, [(2, 3)]),
        ({2: 10, 3: 10}, [(2, 3)]),
    ],
)
def test_rare_numbers_are_joined(counts, ranges):
    assert cut_numbers({"de": numbers(counts)}) == ranges


def test_each_language_has_enough_examples_in_each_slice():
    of_languages = {"de": numbers({2: 50, 3: 50, 4: 50}), "sw": numbers({2: 30, 3: 20, 4: 40})}
    assert cut_numbers(of_languages) == [(2, 2), (3, 4)]
    assert cut_numbers(of_languages, least=20) == [(2, 2), (3, 3), (4, 4)]


def test_many_numbers_are_cut_at_their_terciles():
    assert cut_numbers({"de": numbers(dict.fromkeys(range(10, 10 + MOST), 40))}) == [(n, n) for n in range(10, 16)]
    assert cut_numbers({"de": numbers(dict.fromkeys(range(10, 19), 40))}) == [(10, 12), (13, 15), (16, 18)]


@pytest.mark.parametrize(
    ("counts", "ranges"),
    [
        ({1: 2, 2: 2, 3: 2}, [(1, 1), (2, 2), (3, 3)]),
        ({3: 10, 4: 1, 8: 1}, [(3, 3), (4, 4), (8, 8)]),
        ({1: 1, 2: 1, 3: 10}, [(1, 1), (2, 2), (3, 3)]),
        ({1: 1, 2: 2, 3: 3, 5: 2, 7: 1}, [(1, 2), (3, 3), (5, 7)]),
        ({1: 5, 2: 5}, [(1, 2)]),
        ({4: 5}, [(4, 4)]),
    ],
)
def test_terciles_keep_equal_numbers_together(counts, ranges):
    assert cut_terciles(numbers(counts)) == ranges


COUNTS = st.dictionaries(st.integers(0, 40), st.integers(1, 60), min_size=1, max_size=15)


@given(de=COUNTS, sw=COUNTS, least=st.integers(1, 40))
def test_slices_hold_each_number_once_and_enough_examples(de, sw, least):
    of_languages = {"de": numbers(de), "sw": numbers(sw)}
    ranges = cut_numbers(of_languages, least)
    for of_language in of_languages.values():
        holding = [(first <= of_language) & (of_language <= last) for first, last in ranges]
        assert (np.sum(holding, axis=0) == 1).all()
        assert np.array_equal(assign_slices(of_language, ranges), np.argmax(holding, axis=0))
        assert len(ranges) == 1 or min(mask.sum() for mask in holding) >= least
    assert len(ranges) <= MOST


# Differences


FIRST = {"de": [[1, 0, 0, 0, 1, 1]], "sw": [[0, 0, 1, 1, 1, 1]]}
OTHER = {"de": [[1, 1, 0, 0, 1, 0]], "sw": [[1, 1, 1, 1, 0, 0]]}
SLICES = {"de": np.array([0, 0, 0, 0, 1, 1]), "sw": np.array([0, 0, 1, 1, 1, 1])}
IDS = {language: list("abcdef") for language in FIRST}


def test_a_gain_is_the_mean_over_languages_of_the_slices_examples():
    """de: 1/4 and -1/2; sw: 1 and -1/2."""
    (found,) = slice_differences(FIRST, [OTHER], group_clusters(IDS), SLICES)
    assert [gain.difference for gain in found.gains] == pytest.approx([62.5, -50])
    assert found.slope.difference == pytest.approx(-112.5)
    assert {each.compared for each in (*found.gains, found.slope)} == {3}


@pytest.fixture
def drawn():
    """Two rows of three seeds, against a first one, on two languages that share 40 images."""
    rng = np.random.default_rng(2)
    sizes = {"de": 120, "sw": 90}
    rows = [{name: (rng.random((3, size)) < share) * 1.0 for name, size in sizes.items()} for share in (0.4, 0.5, 0.6)]
    ids = {name: [f"{name}-{number:03}" for number in range(size)] for name, size in sizes.items()}
    images = {name: [[f"image-{number % 40}"] for number in range(size)] for name, size in sizes.items()}
    slices = {name: rng.integers(3, size=size) for name, size in sizes.items()}
    return rows, group_clusters(ids, images), slices


def test_intervals_of_a_slice_are_those_of_its_examples_under_the_draws_of_all(drawn):
    (first, *others), groups, slices = drawn
    found = slice_differences(first, others, groups, slices)
    for index in range(3):
        masked = [{name: values[:, slices[name] == index] for name, values in row.items()} for row in (first, *others)]
        (group,) = groups
        clusters = {name: of_name[slices[name] == index] for name, of_name in group.clusters.items()}
        expected = paired_bootstrap(masked[0], masked[1:], [type(group)(clusters, group.size)])
        for of_row, alone in zip(found, expected, strict=True):
            gain = of_row.gains[index]
            assert (gain.difference, gain.low, gain.high) == pytest.approx((alone.difference, alone.low, alone.high))
            assert gain.corrected_low <= alone.low and gain.corrected_high >= alone.high
    assert {each.compared for of_row in found for each in (*of_row.gains, of_row.slope)} == {8}


def test_a_slope_takes_slices_that_share_images_from_the_same_draw(drawn):
    """The slope of a row that gains as much in each slice of every draw is certain."""
    (first, *_), groups, slices = drawn
    low = {name: values * 0.5 for name, values in first.items()}
    rows = [{name: values + 0.1 for name, values in low.items()}, first]
    even, uneven = slice_differences(low, rows, groups, slices)
    assert (even.slope.difference, even.slope.low, even.slope.high) == pytest.approx((0, 0, 0), abs=1e-9)
    assert uneven.slope.low < uneven.slope.difference < uneven.slope.high
    assert uneven.slope.difference == pytest.approx(uneven.gains[-1].difference - uneven.gains[0].difference)


def test_a_language_can_take_part_in_the_draws_alone(drawn):
    (first, other, _), groups, slices = drawn
    of_german = [{"de": row["de"]} for row in (first, other)]
    (found,) = slice_differences(of_german[0], of_german[1:], groups, {"de": slices["de"]})
    (both,) = slice_differences(first, [other], groups, slices)
    assert len(found.gains) == 3 and found.gains != both.gains


def test_rows_without_others_have_no_differences(drawn):
    (first, *_), groups, slices = drawn
    assert slice_differences(first, [], groups, slices) == []


def test_the_clusters_of_a_slice_are_weighed_by_its_examples():
    images = {"de": [["a"], ["a"], ["a"], ["b"], ["c"], ["d"]]}
    groups = group_clusters({"de": list("123456")}, images)
    found = effective_clusters(groups, {"de": np.array([0, 0, 0, 0, 1, 1])})
    assert found == pytest.approx([1 / (0.75**2 + 0.25**2), 2])
