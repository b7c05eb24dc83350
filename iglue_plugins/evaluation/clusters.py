"""Clusters of examples that share images, and the languages whose clusters are drawn together."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

ImageIds = Sequence[Sequence[str]]


@dataclass(frozen=True)
class ClusterGroup:
    """Languages that have clusters in common, so that one draw of clusters serves them all.

    Attributes:
        clusters: For each language (examples,) int, the number of each example's cluster, from 0 to `size` - 1. A
            language need not have examples in every cluster.
        size: The number of clusters, over all languages of the group.
    """

    clusters: dict[str, NDArray[np.intp]]
    size: int

    def counts(self, language: str) -> NDArray[np.float64]:
        """Count the examples of a language in each cluster.

        Args:
            language: One of the group's languages.

        Returns:
            (size,) float64 whole numbers.
        """
        return np.bincount(self.clusters[language], minlength=self.size).astype(np.float64)


def group_clusters(
    example_ids: Mapping[str, Sequence[str]], image_ids: Mapping[str, ImageIds] | None = None
) -> list[ClusterGroup]:
    """Cluster the examples that share an image, and group the languages that share a cluster.

    Two examples are in one cluster if a chain of examples, of any language, leads from one to the other in which each
    shares an image with the next: the connected components of the graph of examples and images. Where every example has
    one image, a cluster is an image. Without image ids an example is a cluster of its own, and languages with the very
    same example ids are taken for translations of one another, which share their examples.

    The clusters' order follows from the ids of languages and examples alone. It depends neither on the order in which
    they are given nor on the names of images, so that neither changes the draws of a bootstrap.

    Args:
        example_ids: For each language (examples,) ids, all different.
        image_ids: For each language (examples,) the images of each example, in the same order; languages may be absent.

    Returns:
        The groups. Each language is in one of them.

    Raises:
        ValueError: Numbers of ids do not fit, or an example has an empty list of images.
    """
    sets = _DisjointSets()
    items = _shared_items(example_ids, image_ids or {})
    for examples in items.values():
        for first, *others in (example for example in examples if len(example) > 1):
            for other in others:
                sets.merge(first, other)
    roots = {language: [sets.find(example[0]) for example in examples] for language, examples in items.items()}
    return [_number_clusters(languages, roots, example_ids) for languages in _group_languages(roots)]


def cluster_weights(
    groups: Sequence[ClusterGroup], languages: Sequence[str], weights: Mapping[str, float] | None = None
) -> NDArray[np.float64]:
    """Compute the weight of each cluster in the mean over languages of the mean over examples.

    Args:
        groups: The groups of all languages.
        languages: The languages of the mean.
        weights: The weight of each language, of sum 1; None: all weigh the same.

    Returns:
        (clusters,) float64 of sum 1, for the clusters in which the languages have examples.
    """
    shares = []
    for group in groups:
        counts = {language: group.counts(language) for language in languages if language in group.clusters}
        weighted = [
            count / count.sum() * (weights[language] if weights else 1 / len(languages))
            for language, count in counts.items()
        ]
        if weighted:
            shares.append(np.sum(weighted, axis=0))
    of_clusters = np.concatenate(shares)
    return of_clusters[of_clusters > 0]


class _DisjointSets:
    """Sets that are merged: each item leads to the set's root by way of other items."""

    def __init__(self) -> None:
        self._parents: dict[Hashable, Hashable] = {}

    def find(self, item: Hashable) -> Hashable:
        """Return the root of an item's set, and shorten the way to it."""
        parents = self._parents
        while (parent := parents.setdefault(item, item)) != item:
            parents[item] = item = parents[parent]
        return item

    def merge(self, item: Hashable, other: Hashable) -> None:
        """Make one set of the sets of two items."""
        self._parents[self.find(other)] = self.find(item)


def _shared_items(
    example_ids: Mapping[str, Sequence[str]], image_ids: Mapping[str, ImageIds]
) -> dict[str, Sequence[Sequence[Hashable]]]:
    """Return, by sorted language, what each example shares with others: its images, or its place among equal ids."""
    items: dict[str, Sequence[Sequence[Hashable]]] = {}
    numbers: dict[tuple[str, ...], int] = {}  # of the lists of example ids
    for language in sorted(example_ids):
        ids, images = example_ids[language], image_ids.get(language)
        if len(set(ids)) < len(ids):
            raise ValueError(f"{language}: an example id occurs twice")
        if images is None:
            number = numbers.setdefault(tuple(sorted(ids)), len(numbers))
            items[language] = [[(number, id_)] for id_ in ids]
        elif len(images) == len(ids) and all(images):
            items[language] = images
        else:
            raise ValueError(f"{language}: image_ids must hold at least one image for each of the {len(ids)} examples")
    return items


def _group_languages(roots: Mapping[str, Sequence[Hashable]]) -> list[list[str]]:
    """List the languages of each group, those that are linked by common clusters."""
    sets, first_language = _DisjointSets(), dict[Hashable, str]()
    for language, of_examples in roots.items():
        for root in set(of_examples):
            sets.merge(first_language.setdefault(root, language), language)
    groups: dict[Hashable, list[str]] = {}
    for language in roots:
        groups.setdefault(sets.find(language), []).append(language)
    return list(groups.values())


def _number_clusters(
    languages: Sequence[str], roots: Mapping[str, Sequence[Hashable]], example_ids: Mapping[str, Sequence[str]]
) -> ClusterGroup:
    """Number the clusters of a group in the order of their first example, by language and example id."""
    numbers: dict[Hashable, int] = {}
    for language in languages:
        for _, root in sorted(zip(example_ids[language], roots[language], strict=True), key=lambda pair: pair[0]):
            numbers.setdefault(root, len(numbers))
    clusters = {
        language: np.array([numbers[root] for root in roots[language]], dtype=np.intp) for language in languages
    }
    return ClusterGroup(clusters, len(numbers))
