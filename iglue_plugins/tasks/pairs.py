"""The image-text pairs that a task gives to a contrastive loss."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from iglue_plugins.data.batching import Batch
from iglue_plugins.data.inputs import Inputs
from iglue_plugins.tasks.settings import PairChoice
from iglue_plugins.utils.errors import UserError


@dataclass(frozen=True, eq=False)
class ImageTextPairs:
    """P texts, and the image or images that each of them belongs to.

    Attributes:
        text: The text side, P rows.
        image: The image side, P * `images_per_text` rows; those of a pair are neighbors.
        images_per_text: The number of images of a pair.
        image_identity: (P, images_per_text) int64, equal for the same image.
        text_identity: (P,) int64, equal for texts that are the same to the model.
    """

    text: Inputs
    image: Inputs
    images_per_text: int
    image_identity: Tensor
    text_identity: Tensor

    def __len__(self) -> int:
        return self.text.rows

    def select(self, kept: Tensor) -> ImageTextPairs:
        """Select pairs.

        Args:
            kept: (P,) bool, which pairs are kept.
        """
        return ImageTextPairs(
            self.text.select(kept),
            self.image.select(kept.repeat_interleave(self.images_per_text)),
            self.images_per_text,
            self.image_identity[kept],
            self.text_identity[kept],
        )


class ContrastivePairs:
    """The part of a task that selects image-text pairs.

    Shapes below use B examples of k = `rows_per_example` rows each.

    Attributes:
        name: The task's name.
        rows_per_example: The number of (text, image) rows of an example in a batch.
        default_pairs: The pairs of the contrastive loss, unless a recipe chooses others.
        loss_reads_captions: Whether the task's loss reads the captions of a batch.
        captions_reveal_labels: Whether a caption gives away the label, as a question with its answer does.
    """

    name: ClassVar[str]
    rows_per_example: ClassVar[int] = 1
    default_pairs: ClassVar[PairChoice] = "all"
    loss_reads_captions: ClassVar[bool] = False
    captions_reveal_labels: ClassVar[bool] = False

    def is_aligned(self, labels: Tensor) -> Tensor:
        """Return which examples have a text that describes their image.

        Args:
            labels: (B,) int64, class indices.

        Returns:
            (B,) bool; by default True for all.
        """
        return torch.ones_like(labels, dtype=torch.bool)

    @classmethod
    def pairs_require_labels(cls, pairs: PairChoice | None = None) -> bool:
        """Return whether making image-text pairs uses the examples' labels.

        Args:
            pairs: The choice of pairs; default: the task's.

        Returns:
            True for pairs that are chosen by label, and for captions that reveal labels.
        """
        pairs = pairs or cls.default_pairs
        return pairs == "aligned" or (pairs == "caption" and cls.captions_reveal_labels)

    @classmethod
    def pairs_read_captions(cls, pairs: PairChoice | None = None) -> bool:
        """Return whether making image-text pairs reads the examples' captions.

        A task whose own `aligned_pairs` reads them for other pairs says so here.

        Args:
            pairs: The choice of pairs; default: the task's.
        """
        return (pairs or cls.default_pairs) == "caption"

    def aligned_pairs(self, batch: Batch, pairs: PairChoice | None = None) -> ImageTextPairs:
        """Select the image-text pairs of a batch for a contrastive loss.

        Args:
            batch: The batch; several images of one example count as one image.
            pairs: 'caption' pairs each image with its caption, 'aligned' keeps the examples whose text describes the
                image, and 'all' keeps every example; default: the task's choice.

        Returns:
            P <= B pairs.

        Raises:
            UserError: The choice is 'caption', but the examples have no captions.
        """
        pairs = pairs or self.default_pairs
        first_rows = slice(None, None, self.rows_per_example)
        if pairs == "caption":
            if batch.caption is None or batch.caption_identity is None:
                raise UserError(
                    f"task {self.name} has no captions for trainer.pairs 'caption'; choose 'aligned' or 'all'"
                )
            text, text_identity = batch.caption, batch.caption_identity
        else:
            text, text_identity = batch.text.select(first_rows), batch.text_identity
        images_per_text = batch.image_identity.shape[1]
        # The rows of an example begin with its own images: all rows, or the first of each.
        image = batch.image if images_per_text == self.rows_per_example else batch.image.select(first_rows)
        selected = ImageTextPairs(text, image, images_per_text, batch.image_identity, text_identity)
        return selected.select(self.is_aligned(batch.labels)) if pairs == "aligned" else selected
