"""The scores of a run as its model card shows them: by language, with intervals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from iglue_plugins.evaluation.clusters import group_clusters
from iglue_plugins.evaluation.intervals import MeanScore, mean_scores
from iglue_plugins.runs.folder import Run
from iglue_plugins.runs.record_checks import check_scores
from iglue_plugins.runs.scored_examples import read_scored_examples
from iglue_plugins.utils.languages import language_tuple


@dataclass(frozen=True)
class SplitScores:
    """The main metric of a run on a split.

    Attributes:
        split: The split, with evaluation settings other than the usual ones, such as "test@bfloat16".
        metric: The name of the metric.
        scores: The score in each language.
        examples: The number of examples in each language.
        targets: The languages that the model was not trained on.
        target_mean: The mean over the targets; None if there are fewer than two.
        drawn: What a resample of the intervals draws, "images" or "examples".
    """

    split: str
    metric: str
    scores: dict[str, MeanScore]
    examples: dict[str, int]
    targets: tuple[str, ...]
    target_mean: MeanScore | None
    drawn: str


def read_scores(run: Run, record: Mapping[str, Any]) -> list[SplitScores]:
    """Compute the scores of a run by split, from its predictions.

    Args:
        run: The run.
        record: Its record.

    Returns:
        The scores of each split that has any.

    Raises:
        UserError: A score or a file of predictions is missing or damaged.
    """
    return [_read_split(run, record, split) for split, scores in record["scores"].items() if scores]


def _read_split(run: Run, record: Mapping[str, Any], split: str) -> SplitScores:
    check_scores(run, dict(record), split)
    found = {language: read_scored_examples(run, split, language) for language in record["scores"][split]}
    images = {name: examples.image_ids for name, examples in found.items() if examples.image_ids}
    groups = group_clusters({name: examples.ids for name, examples in found.items()}, images)
    trained_on = {*language_tuple(record["source_language"]), *record["training_languages"]}
    targets = tuple(language for language in found if language not in trained_on)
    means = [[language] for language in found] + [list(targets)] * (len(targets) > 1)
    computed = mean_scores({name: examples.scores for name, examples in found.items()}, means, groups)
    return SplitScores(
        split=split,
        metric=record["main_metric"],
        scores=dict(zip(found, computed, strict=False)),
        examples={name: len(examples.ids) for name, examples in found.items()},
        targets=targets,
        target_mean=computed[-1] if len(targets) > 1 else None,
        drawn="images" if len(images) == len(found) else "examples",
    )
