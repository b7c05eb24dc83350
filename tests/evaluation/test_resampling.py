"""Resamples of clusters against a plain loop, the analytic variance, and the plain bootstrap of examples."""

from __future__ import annotations

import time

import numpy as np
import pytest

from iglue_plugins.evaluation.clusters import group_clusters
from iglue_plugins.evaluation.resampling import resample_means
from iglue_plugins.evaluation.significance import paired_bootstrap


def draw_clustered(rng, examples, images, seeds=1, spread=1.0):
    """Draw hits (seeds, examples) that examples of an image have in common, and the number of each example's image."""
    image = rng.integers(images, size=examples)
    easiness = rng.normal(0, spread, size=images)[image]
    return (rng.normal(size=(seeds, examples)) + easiness > 0).astype(float), image


def ids_and_images(numbers):
    """Name the examples, and the image of each, by language."""
    return (
        {name: [f"q{i:05}" for i in range(len(of_name))] for name, of_name in numbers.items()},
        {name: [[f"image-{number}"] for number in of_name] for name, of_name in numbers.items()},
    )


def by_a_loop(rows, numbers, resamples, seed):
    """Resample one group of languages with a draw, a row, a seed and a language at a time."""
    rng = np.random.default_rng(seed)
    seeds = next(iter(rows[0].values())).shape[0]
    drawn_seeds = [rng.integers(seeds, size=seeds) for _ in range(resamples)]
    order = {}  # clusters by their first example, by language and id
    for name in sorted(numbers):
        for number in numbers[name]:
            order.setdefault(number, len(order))
    drawn_clusters = [rng.integers(len(order), size=len(order)) for _ in range(resamples)]
    found = np.zeros((len(rows), resamples))
    for draw in range(resamples):
        for index, row in enumerate(rows):
            means = []
            for name, scores in row.items():
                members = [
                    [i for i, number in enumerate(numbers[name]) if order[number] == k] for k in range(len(order))
                ]
                drawn = [i for cluster in drawn_clusters[draw] for i in members[cluster]]
                means.append(np.mean([scores[s][drawn or slice(None)].mean() for s in drawn_seeds[draw]]))
            found[index, draw] = np.mean(means)
    return found


@pytest.mark.parametrize("seeds", [1, 3])
def test_resamples_equal_those_of_a_plain_loop(seeds):
    """Two languages share images 0 to 4, a third language has images 0 and 7 alone, so that it is often not drawn."""
    rng = np.random.default_rng(0)
    numbers = {"de": rng.integers(5, size=12), "en": rng.integers(7, size=15), "sw": np.array([0, 0, 7])}
    rows = [{name: rng.random((seeds, len(of_name))) for name, of_name in numbers.items()} for _ in range(2)]
    del rows[1]["en"]
    groups = group_clusters(*ids_and_images(numbers))
    assert len(groups) == 1
    assert resample_means(rows, groups, 50, 3) == pytest.approx(by_a_loop(rows, numbers, 50, 3), abs=1e-9)


def test_clusters_of_one_example_are_the_plain_bootstrap_of_examples():
    rng = np.random.default_rng(1)
    names = ("ar", "bn", "de")
    a, b = ({name: (rng.random((3, 80)) < 0.6).astype(float) for name in names} for _ in range(2))
    ids, images = ids_and_images(dict.fromkeys(names, rng.permutation(80)))
    (by_image,), (by_example,) = (paired_bootstrap(b, [a], group_clusters(ids, given)) for given in (images, None))
    assert by_image == by_example

    # The mean difference of each example over languages, drawn as often as there are examples.
    drawing = np.random.default_rng(0)
    seed_draws = drawing.integers(3, size=(2000, 3))
    draws = drawing.integers(80, size=(2000, 80))
    mean = np.mean([a[name] - b[name] for name in names], axis=0)
    plain = [mean[seeds][:, drawn].mean() for seeds, drawn in zip(seed_draws, draws, strict=True)]
    assert (by_image.low, by_image.high) == pytest.approx(tuple(100 * np.quantile(plain, [0.025, 0.975])))


def test_the_spread_is_that_of_the_analytic_cluster_robust_variance():
    rng = np.random.default_rng(2)
    a, image = draw_clustered(rng, 6000, 900)
    b, _ = draw_clustered(rng, 6000, 900)
    groups = group_clusters(*ids_and_images({"ar": image}))
    (difference,) = paired_bootstrap({"ar": b}, [{"ar": a}], groups, resamples=8000)
    residuals = (a - b)[0] - (a - b).mean()
    robust = 100 * np.sqrt((np.bincount(image, residuals) ** 2).sum()) / 6000
    assert difference.standard_error == pytest.approx(robust, rel=0.03)
    naive = 100 * residuals.std() / np.sqrt(6000)
    assert robust > 1.3 * naive


def test_intervals_cover_the_truth_on_clustered_data_and_those_of_examples_do_not():
    """Both rows have the same mean, with five examples an image: 95 % of 600 intervals hold 0 (error 0.9 points)."""
    rng = np.random.default_rng(3)
    covered = {"images": 0, "examples": 0}
    image = np.repeat(np.arange(120), 5)
    ids, images = ids_and_images({"ar": image, "bn": image})
    groups = {"images": group_clusters(ids, images), "examples": group_clusters(ids)}
    for _ in range(600):
        a, b = (
            {name: (rng.normal(size=(1, 600)) + easiness > 0).astype(float) for name in ids}
            for easiness in rng.normal(size=(2, 120)).repeat(5, axis=1)
        )
        for unit, of_unit in groups.items():
            (difference,) = paired_bootstrap(b, [a], of_unit, resamples=300)
            covered[unit] += difference.low <= 0 <= difference.high
    assert 0.92 <= covered["images"] / 600 <= 0.98
    assert covered["examples"] / 600 < 0.85


def test_neither_orders_nor_the_names_of_images_matter():
    rng = np.random.default_rng(4)
    numbers = {name: rng.integers(30, size=90) for name in ("ar", "bn")}
    a, b = ({name: (rng.random((2, 90)) < 0.6).astype(float) for name in numbers} for _ in range(2))
    ids, images = ids_and_images(numbers)
    expected = paired_bootstrap(b, [a], group_clusters(ids, images))
    order = rng.permutation(90)
    turned_ids = {name: [ids[name][i] for i in order] for name in ("bn", "ar")}
    turned_images = {name: [[f"store/{1000 - numbers[name][i]}"] for i in order] for name in ("bn", "ar")}
    turned = [{name: scores[name][:, order] for name in ("bn", "ar")} for scores in (a, b)]
    assert paired_bootstrap(turned[1], turned[:1], group_clusters(turned_ids, turned_images)) == expected


def test_a_language_that_is_not_drawn_keeps_its_observed_mean():
    """Swahili has one of two images: in a quarter of the resamples it has no example, and 0.25 is its mean always."""
    ids = {"en": ["a", "b"], "sw": ["c", "d", "e", "f"]}
    images = {"en": [["x"], ["y"]], "sw": [["x"]] * 4}
    rows = [{"sw": np.array([[1.0, 0, 0, 0]])}]
    assert (resample_means(rows, group_clusters(ids, images), 200, 0) == 0.25).all()


def test_fifteen_languages_of_10000_examples_take_less_than_five_seconds():
    rng = np.random.default_rng(0)
    names = [f"language-{i}" for i in range(15)]
    a, b = ({name: (rng.random((5, 10_000)) < 0.6).astype(float) for name in names} for _ in range(2))
    image = rng.integers(2000, size=10_000)
    started = time.perf_counter()
    paired_bootstrap(b, [a], group_clusters(*ids_and_images(dict.fromkeys(names, image))))
    assert time.perf_counter() - started < 5
