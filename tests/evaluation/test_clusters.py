"""Clusters of examples that share images."""

from __future__ import annotations

import numpy as np
import pytest

from iglue_plugins.evaluation.clusters import cluster_weights, group_clusters


def partition(clusters):
    """Returns the examples of each cluster, as positions."""
    return {frozenset(np.flatnonzero(clusters == number).tolist()) for number in clusters}


def test_examples_of_one_image_are_a_cluster_across_languages():
    ids = {"en": ["a", "b", "c"], "de": ["c", "b"]}
    images = {"en": [["x"], ["y"], ["x"]], "de": [["x"], ["z"]]}
    (group,) = group_clusters(ids, images)
    assert partition(group.clusters["en"]) == {frozenset({0, 2}), frozenset({1})}
    assert group.clusters["de"][0] == group.clusters["en"][0]
    assert group.size == 3
    assert sorted(group.counts("en")) == [0, 1, 2]
    assert group.counts("de").sum() == 2


def test_examples_with_two_images_are_clustered_by_chains():
    ids = {"id": ["a", "b", "c", "d", "e"]}
    images = {"id": [["1", "2"], ["3", "4"], ["2", "3"], ["5", "6"], ["6", "7"]]}
    (group,) = group_clusters(ids, images)
    assert partition(group.clusters["id"]) == {frozenset({0, 1, 2}), frozenset({3, 4})}


def test_clusters_are_the_components_found_by_a_search_over_examples():
    rng = np.random.default_rng(0)
    images = [[str(image) for image in pair] for pair in rng.integers(150, size=(100, 2))]
    (group,) = group_clusters({"id": [str(number) for number in range(100)]}, {"id": images})
    expected = set()
    for start in range(100):
        reached, seen = {start}, set()
        while reached != seen:
            seen = set(reached)
            shown = {image for example in seen for image in images[example]}
            reached |= {example for example in range(100) if shown & set(images[example])}
        expected.add(frozenset(reached))
    assert partition(group.clusters["id"]) == expected
    assert 1 < len(expected) < 100


def test_languages_with_their_own_images_are_groups_of_their_own():
    ids = {"sw": ["a", "b"], "ta": ["a", "b"], "en": ["a"]}
    images = {"sw": [["sw/1"], ["sw/2"]], "ta": [["ta/1"], ["ta/1"]], "en": [["sw/2"]]}
    assert [(sorted(group.clusters), group.size) for group in group_clusters(ids, images)] == [
        (["en", "sw"], 2),
        (["ta"], 1),
    ]


def test_languages_are_linked_by_way_of_others():
    ids = {"a": ["1"], "b": ["2"], "c": ["1", "2"]}
    images = {"a": [["x"]], "b": [["y"]], "c": [["x"], ["y"]]}
    (group,) = group_clusters(ids, images)
    assert (sorted(group.clusters), group.size) == (["a", "b", "c"], 2)


def test_without_images_translations_share_their_examples_and_others_do_not():
    ids = {"en": ["a", "b"], "de": ["b", "a"], "ru": ["a", "b", "c"]}
    translated, alone = group_clusters(ids)
    assert sorted(translated.clusters) == ["de", "en"] and translated.size == 2
    assert translated.clusters["de"].tolist() == translated.clusters["en"][::-1].tolist()
    assert (list(alone.clusters), alone.size) == (["ru"], 3)


def test_the_numbers_do_not_depend_on_the_order_or_the_names_of_images():
    rng = np.random.default_rng(3)
    ids = {language: [f"q{number}" for number in range(60)] for language in ("en", "de", "sw")}
    images = {language: [[str(image)] for image in rng.integers(25, size=60)] for language in ids}
    order = rng.permutation(60)
    (group,) = group_clusters(ids, images)
    (changed,) = group_clusters(
        {language: [ids[language][i] for i in order] for language in reversed(ids)},
        {language: [[f"renamed-{99 - int(images[language][i][0])}"] for i in order] for language in ids},
    )
    assert changed.size == group.size
    for language in ids:
        assert changed.clusters[language].tolist() == group.clusters[language][order].tolist()


def test_weights_are_shares_of_examples_averaged_over_languages():
    groups = group_clusters({"en": ["a", "b", "c", "d"], "sw": ["a"]}, {"en": [["x"], ["x"], ["x"], ["y"]]})
    assert sorted(cluster_weights(groups, ["en", "sw"])) == pytest.approx([0.125, 0.375, 0.5])
    assert sorted(cluster_weights(groups, ["en"])) == pytest.approx([0.25, 0.75])
    assert sorted(cluster_weights(groups, ["en", "sw"], {"en": 0.8, "sw": 0.2})) == pytest.approx([0.2, 0.2, 0.6])


@pytest.mark.parametrize(
    ("ids", "images", "message"),
    [
        (["a", "a"], None, "en: an example id occurs twice"),
        (["a", "b"], [["x"]], "en: image_ids must hold .* 2 examples"),
        (["a", "b"], [["x"], []], "en: image_ids must hold"),
    ],
)
def test_ids_that_do_not_fit_are_refused(ids, images, message):
    with pytest.raises(ValueError, match=message):
        group_clusters({"en": ids}, images and {"en": images})
