"""The four kinds of task on a user's own data, which have the heads, losses and scores of IGLUE's."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from datasets import Dataset
from torch import Tensor
from typing_extensions import override

from iglue_plugins.data.annotations.caching import content_digest
from iglue_plugins.tasks.custom.builtin import (
    CustomImagePairSpec,
    CustomNLISpec,
    CustomRetrievalSpec,
    CustomVQASpec,
)
from iglue_plugins.tasks.custom.settings import CustomRetrievalSettings
from iglue_plugins.tasks.custom.task import CustomTask
from iglue_plugins.tasks.marvl import MaRVL
from iglue_plugins.tasks.xflickrco import XFlickrCO
from iglue_plugins.tasks.xgqa import XGQA, vocabulary_targets
from iglue_plugins.tasks.xvnli import XVNLI
from iglue_plugins.utils.errors import UserError

TRAINED = ("train", "auxiliary", "few_shot")


class AlignedLabel(CustomTask):
    """A task with a label that says that a text describes its image, for `pairs: aligned`."""

    @override
    def is_aligned(self, labels: Tensor) -> Tensor:
        """Return which examples have the label that says so.

        Args:
            labels: (B,) int64, class indices.

        Returns:
            (B,) bool.

        Raises:
            UserError: No label says so.
        """
        aligned = self.data.facts.aligned or self.kind.aligned
        if aligned not in self.labels:
            raise UserError(
                f"{self.data.path}: none of the labels {', '.join(self.labels)} is known to say that a text describes "
                "its image, as trainer.pairs 'aligned' needs; set `aligned` to the one that does, or trainer.pairs to "
                "'caption' or 'all'"
            )
        return labels == self.labels.index(aligned)


class CustomNLI(CustomNLISpec, AlignedLabel, XVNLI):
    """Classification of (image, text)."""


class CustomImagePair(CustomImagePairSpec, AlignedLabel, MaRVL):
    """Classification of (left image, right image, text)."""


class CustomVQA(CustomVQASpec, CustomTask, XGQA):
    """Classification of (image, question) over an answer vocabulary.

    An example that is only scored keeps an answer which is not in the vocabulary; it counts as a miss. One that is
    trained on is left out, and counted on stderr.
    """

    @cached_property
    def labels(self) -> tuple[str, ...]:  # type: ignore[override]  # mypy takes a cached_property for read-only
        """The answers of the training split, the most frequent first, unless the YAML file lists the answers.

        Raises:
            UserError: The training split is missing or damaged.
        """
        counts = Counter(self._select("train", self.source_language)["label"][:])
        return tuple(sorted(counts, key=lambda answer: (-counts[answer], answer)))

    @override
    def targets(self, labels: Sequence[str]) -> Tensor:
        return vocabulary_targets(labels, self.labels)

    @override
    def _trainable(self, split: str, language: str, rows: Dataset) -> Dataset:
        if split not in TRAINED:
            return rows
        answers = rows.select_columns("label").with_format("arrow")[:]["label"]
        kept = np.flatnonzero(pc.is_in(answers, value_set=pa.array(self.labels)).to_numpy())
        left_out = len(rows) - len(kept)
        if left_out:
            self._say(split, language, f"left out {left_out} examples whose answer is not in the vocabulary")
        if not len(kept):
            raise UserError(
                f"{self.data.path}: split '{split}' in '{language}' has no example whose answer is in the vocabulary; "
                "list the answers as `labels` or in `labels_file`"
            )
        return rows.select(kept) if left_out else rows


class CustomRetrieval(CustomRetrievalSpec, CustomTask, XFlickrCO):
    """Image-text retrieval; an image may have several captions, each of which is an example."""

    settings: CustomRetrievalSettings

    @property
    @override
    def pool(self) -> int | None:
        return self.settings.pool

    @override
    def _image_fingerprints(self, rows: Dataset) -> dict[str, Any]:
        found = super()._image_fingerprints(rows)
        file = self.settings.hard_negatives_file
        if file is not None and Path(file).is_file():
            found["hard_negatives"] = content_digest(Path(file))
        return found
