"""xFlickr&Co: find the image of a caption, and the caption of an image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from iglue_plugins.data.batching import Batch, Batcher
from iglue_plugins.data.hard_negatives import HardNegatives, nearest_images, read_hard_negative_pools
from iglue_plugins.tasks.base import Task
from iglue_plugins.tasks.settings import RetrievalSettings
from iglue_plugins.utils.errors import UserError

MARGIN = 0.2  # of UC2's triplet loss, between probabilities


class XFlickrCO(Task):
    """Image-text retrieval with one matching logit for each (caption, image) row.

    In training an example has four candidates: the true pair, a wrong caption, a wrong image, and a hard wrong caption.
    A wrong caption is of another image than the example's, and a wrong image is another image.

    Args:
        settings: The settings from the recipe.

    Source:
        VOLTA's training data for retrieval.
    """

    Settings = RetrievalSettings
    settings: RetrievalSettings
    evaluation: ClassVar[Literal["classification", "retrieval"]] = "retrieval"
    head = "image_text_matching"
    labels = ("match",)
    rows_per_example = 4
    main_metric = "recall@1"

    @property
    def pool(self) -> int | None:
        """The number of images among which a caption is ranked; None: all of its split."""
        return None

    def __init__(self, settings: RetrievalSettings | None = None) -> None:
        super().__init__(settings)
        self._hard_negatives: WeakKeyDictionary[Batcher, HardNegatives] = WeakKeyDictionary()

    def hard_negatives(self, batcher: Batcher) -> HardNegatives:
        """Return the sampler of hard wrong captions for a batcher, which is made once.

        Args:
            batcher: The batcher of the training examples.

        Returns:
            A sampler whose images come from the settings' `hard_negatives_file` where it applies, and otherwise from
            the similarity of images, as the model's processor describes them.

        Raises:
            UserError: All examples have the same image.
        """
        if batcher not in self._hard_negatives:
            images, first, image_of_example = np.unique(batcher.images[:, 0], return_index=True, return_inverse=True)
            if len(images) == 1:
                raise UserError(
                    f"task {self.name}: all {len(batcher)} examples have one image, but wrong candidates need at "
                    "least two images; use more examples"
                )
            pools, file = None, self.settings.hard_negatives_file
            if file is not None and set(batcher.dataset["language"]) == {self.source_language}:
                pools = read_hard_negative_pools(
                    file, [row[0] for row in batcher.dataset.select(first)["image_ids"][:]]
                )
            if pools is None:
                pools = nearest_images(batcher.image_source, images, self.settings.hard_negatives)
            self._hard_negatives[batcher] = HardNegatives(image_of_example, pools)
        return self._hard_negatives[batcher]

    def rows(
        self, examples: np.ndarray, batcher: Batcher, rng: np.random.Generator | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Draw the four candidates of each example.

        Args:
            examples: (B,) int64, positions of examples in the batcher.
            batcher: The batcher of the examples.
            rng: The generator of the wrong candidates; None draws the same ones in each call.

        Returns:
            Two (B * 4,) int64 arrays, the true pair of each example first: the position of the example whose caption
            the row has, and the position of its image.
        """
        rng = rng or np.random.default_rng(0)
        hard_negatives, images = self.hard_negatives(batcher), batcher.images[:, 0]
        wrong = (examples + rng.integers(1, len(batcher), size=(2, len(examples)))) % len(batcher)
        while (same_image := images[wrong] == images[examples]).any():  # another caption of the same image
            wrong[same_image] = rng.integers(len(batcher), size=same_image.sum())
        wrong_text, wrong_image = wrong
        texts = np.stack([examples, wrong_text, examples, hard_negatives.draw(examples, rng)], axis=1)
        image_positions = images[np.stack([examples, examples, wrong_image, examples], axis=1)]
        return texts.ravel(), image_positions.ravel()

    def targets(self, labels: Sequence[str]) -> Tensor:
        """Return the index of the true pair among each example's candidates: (examples,) int64 zeros."""
        return torch.zeros(len(labels), dtype=torch.int64)

    def loss(self, logits: Tensor, batch: Batch) -> Tensor:
        """Compute the cross-entropy or the triplet loss over each example's four candidates.

        Args:
            logits: (B * 4,) or (B * 4, 1) floating point.
            batch: The batch, of which `labels` (B,) int64 is used.

        Returns:
            A scalar.
        """
        candidates = logits.view(-1, self.rows_per_example)
        if self.settings.loss == "triplet":
            return triplet_loss(candidates)
        return functional.cross_entropy(candidates, batch.labels)


def triplet_loss(candidates: Tensor) -> Tensor:
    """Compute a hinge loss between the probability of the true pair and those of the wrong candidates.

    The loss of a wrong candidate is how far its probability is from lying `MARGIN` below that of the true pair.

    Args:
        candidates: (B, candidates) logits, the true pair first.

    Returns:
        A scalar, the mean over the wrong candidates.

    Source:
        VOLTA's triplet_loss, for UC2.
    """
    true, wrong = candidates.sigmoid().split([1, candidates.shape[1] - 1], 1)
    return (MARGIN + wrong - true).clamp(min=0).mean()
