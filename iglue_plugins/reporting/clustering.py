"""What the bootstrap of a table draws: the images of the examples, as far as predictions tell them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from iglue_plugins.evaluation.clusters import ClusterGroup, cluster_weights, group_clusters
from iglue_plugins.reporting.predictions import ImagesOfExamples
from iglue_plugins.reporting.results import RunResult

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


def cluster_examples(
    results: Sequence[RunResult], languages: Sequence[str]
) -> tuple[list[ClusterGroup], DrawnClusters]:
    """Cluster the examples of a table by the images that the predictions of any of its runs tell.

    Where the predictions in a language tell no images, those of another run in that language count, or else those in a
    language with the very same example ids, which is taken for its translation.

    Args:
        results: The results of all runs, which have the same examples.
        languages: The target languages.

    Returns:
        The groups of languages with their clusters, and what to say of them.
    """
    example_ids = {language: results[0].example_ids[language] for language in languages}
    told: dict[str, ImagesOfExamples] = {}
    for result in reversed(results):  # the first run's images count
        told |= result.image_ids
    translated = {results[0].example_ids[language]: images for language, images in told.items()}
    found = {language: told.get(language) or translated.get(ids) for language, ids in example_ids.items()}
    image_ids = {language: images for language, images in found.items() if images}
    groups = group_clusters(example_ids, image_ids)
    weights = cluster_weights(groups, languages)
    several = any(len(images) > 1 for of_language in image_ids.values() for images in of_language)
    unit = "examples" if not image_ids else "clusters of images" if several else "images"
    lacking = tuple(language for language in languages if language not in image_ids)
    return groups, DrawnClusters(unit, len(weights), float(1 / (weights**2).sum()), float(weights.max()), lacking)
