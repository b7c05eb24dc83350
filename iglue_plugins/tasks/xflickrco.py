"""xFlickr&Co: find the image of a caption, and the caption of an image."""

from __future__ import annotations

from collections.abc import Sequence
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from iglue_plugins.data.batching import Batcher
from iglue_plugins.data.hard_negatives import HardNegatives, nearest_images, pools_of_file
from iglue_plugins.tasks.base import Task
from iglue_plugins.tasks.settings import RetrievalSettings, TaskSettings
from iglue_plugins.utils.errors import UserError

MARGIN = 0.2  # of UC2's triplet loss, between probabilities


class XFlickrCO(Task):
    """Image-text retrieval: one matching logit for each (caption, image) row.

    Training candidates (VOLTA): the true pair, a wrong caption, a wrong image, a hard wrong caption. None of them is a
    caption of the example's own image, or that image.
    """

    Settings = RetrievalSettings
    evaluation = "retrieval"
    head = "image_text_matching"
    labels = ("match",)
    rows_per_example = 4
    main_metric = "recall@1"

    def __init__(self, settings: TaskSettings | None = None) -> None:
        super().__init__(settings)
        self._hard_negatives: WeakKeyDictionary[Batcher, HardNegatives] = WeakKeyDictionary()

    def hard_negatives(self, batcher: Batcher) -> HardNegatives:
        """Where a batcher's hard wrong captions come from, worked out once.

        Raises:
            UserError: all of its examples have the same image.
        """
        if batcher not in self._hard_negatives:
            images, first, image_of_example = np.unique(batcher.images[:, 0], return_index=True, return_inverse=True)
            if len(images) == 1:
                raise UserError(
                    f"task {self.name}: found {len(batcher)} examples of one image, expected at least two "
                    "images to take wrong candidates from"
                )
            pools, file = None, self.settings.hard_negatives_file
            if file is not None and set(batcher.dataset["language"]) == {self.source_language}:
                pools = pools_of_file(file, [row[0] for row in batcher.dataset.select(first)["image_ids"][:]])
            if pools is None:
                pools = nearest_images(self.regions, images, self.settings.hard_negatives)
            self._hard_negatives[batcher] = HardNegatives(image_of_example, pools)
        return self._hard_negatives[batcher]

    def rows(
        self, examples: np.ndarray, batcher: Batcher, rng: np.random.Generator | None
    ) -> tuple[np.ndarray, np.ndarray]:
        rng = rng or np.random.default_rng(0)
        hard_negatives, images = self.hard_negatives(batcher), batcher.images[:, 0]
        wrong = (examples + rng.integers(1, len(batcher), size=(2, len(examples)))) % len(batcher)
        while (right := images[wrong] == images[examples]).any():  # another caption of the same image
            wrong[right] = rng.integers(len(batcher), size=right.sum())
        wrong_text, wrong_image = wrong
        texts = np.stack([examples, wrong_text, examples, hard_negatives.draw(examples, rng)], axis=1)
        pictures = images[np.stack([examples, examples, wrong_image, examples], axis=1)]
        return texts.ravel(), pictures.ravel()

    def targets(self, labels: Sequence[str]) -> Tensor:
        """The true pair stands first: int64 zeros (examples,)."""
        return torch.zeros(len(labels), dtype=torch.int64)

    def loss(self, logits: Tensor, batch: dict[str, Tensor]) -> Tensor:
        """Cross-entropy or triplet loss over each example's four candidates. logits: (B * 4,) or (B * 4, 1)."""
        candidates = logits.view(-1, self.rows_per_example)
        if self.settings.loss == "triplet":
            return triplet_loss(candidates)
        return functional.cross_entropy(candidates, batch["labels"])


def triplet_loss(candidates: Tensor) -> Tensor:
    """How far a wrong candidate's probability is from lying MARGIN below the true pair's, the mean over the wrong ones.

    candidates: logits (B, candidates), the true pair first. Returns a scalar. Source: VOLTA's triplet_loss, for UC2.
    """
    right, wrong = candidates.sigmoid().split([1, candidates.shape[1] - 1], 1)
    return (MARGIN + wrong - right).clamp(min=0).mean()
