"""What the bootstrap of a table draws: the images of the examples, as far as predictions tell them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from iglue_plugins.evaluation.clusters import ClusterGroup, cluster_weights, group_clusters
from iglue_plugins.reporting.results import RunResult
from iglue_plugins.runs.scored_examples import ImagesOfExamples

FEW = 20  # clusters of equal weight, below which percentile intervals are too narrow to be relied on


@dataclass(frozen=True)
class DrawnClusters:
    """The clusters that the bootstrap of a table draws.

    Attributes:
        unit: What a cluster is: 'images', 'clusters of images' (examples show several, which links these), or
            'examples'.
        number: The number of clusters, over all target languages.
        effective: The number of clusters of equal weight in a mean that would have the same sum of squared weights.
        largest: The share of the cluster with the most weight in the mean over the target languages, in [0, 1].
        without_images: The target languages whose predictions have no image ids, so that each example is a cluster.
    """

    unit: str
    number: int
    effective: float
    largest: float
    without_images: tuple[str, ...]

    @property
    def few(self) -> bool:
        """Whether there are too few clusters for an interval to be relied on."""
        return self.effective < FEW


class Pictured(NamedTuple):
    """The examples of languages, and the images that they show.

    Attributes:
        example_ids: The ids of the examples, by language.
        image_ids: The ids of each example's images, by language; without languages whose images are not known.
    """

    example_ids: dict[str, tuple[str, ...]]
    image_ids: dict[str, ImagesOfExamples]


def pictured_examples(results: Sequence[RunResult], languages: Sequence[str]) -> Pictured:
    """Find the images of the examples of a table, as the predictions of any of its runs tell them.

    Where the predictions in a language tell no images, those of another run in that language count, or else those in a
    language with the very same example ids, which is taken for its translation.

    Args:
        results: The results of all runs, which have the same examples.
        languages: The target languages.
    """
    example_ids = {language: results[0].example_ids[language] for language in languages}
    told: dict[str, ImagesOfExamples] = {}
    for result in reversed(results):  # the first run's images count
        told |= result.image_ids
    translated = {results[0].example_ids[language]: images for language, images in told.items()}
    found = {language: told.get(language) or translated.get(ids) for language, ids in example_ids.items()}
    return Pictured(example_ids, {language: images for language, images in found.items() if images})


def cluster_examples(
    pictured: Pictured, weights: Mapping[str, float] | None = None
) -> tuple[list[ClusterGroup], DrawnClusters]:
    """Cluster the examples of a table by their images.

    Args:
        pictured: The examples of the target languages.
        weights: The weight of each language in the mean; None: all weigh the same.

    Returns:
        The groups of languages with their clusters, and what to say of them.
    """
    example_ids, image_ids = pictured
    groups = group_clusters(example_ids, image_ids)
    of_clusters = cluster_weights(groups, list(example_ids), weights)
    several = any(len(images) > 1 for of_language in image_ids.values() for images in of_language)
    unit = "examples" if not image_ids else "clusters of images" if several else "images"
    lacking = tuple(language for language in example_ids if language not in image_ids)
    effective, largest = float(1 / (of_clusters**2).sum()), float(of_clusters.max())
    return groups, DrawnClusters(unit, len(of_clusters), effective, largest, lacking)
