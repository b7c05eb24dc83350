"""The image-text pairs that a task gives to a contrastive loss."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from iglue_plugins.tasks.settings import PairChoice
from iglue_plugins.utils.errors import UserError


class ContrastivePairs:
    """The part of a task that selects image-text pairs.

    Shapes below use B examples of k = `rows_per_example` rows each, and R regions of an image.

    Attributes:
        name: The task's name.
        rows_per_example: The number of (text, image) rows of an example in a batch.
        default_pairs: The pairs of the contrastive loss, unless a recipe chooses others.
        captions_reveal_labels: Whether a caption gives away the label, as a question with its answer does.
    """

    name: ClassVar[str]
    rows_per_example: ClassVar[int] = 1
    default_pairs: ClassVar[PairChoice] = "all"
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

    def aligned_pairs(self, batch: dict[str, Tensor], pairs: PairChoice | None = None) -> dict[str, Tensor]:
        """Select the image-text pairs of a batch for a contrastive loss.

        Args:
            batch: The batch; several images of one example count as one image.
            pairs: 'caption' pairs each image with its caption, 'aligned' keeps the examples whose text describes the
                image, and 'all' keeps every example; default: the task's choice.

        Returns:
            A batch of P <= B rows, without labels and captions. It has `image_identity` (P, images of an example) and
            `text_identity` (P,), that of a pair's text, where `batch` has identities.

        Raises:
            UserError: The choice is 'caption', but the examples have no captions.
        """
        pairs = pairs or self.default_pairs
        if pairs == "caption":
            if "caption_input_ids" not in batch:
                raise UserError(
                    f"task {self.name} has no captions for trainer.pairs 'caption'; choose 'aligned' or 'all'"
                )
            texts = {key: batch[f"caption_{key}"] for key in ("input_ids", "attention_mask")}
            text_identity = "caption_identity"
        else:
            text_identity = "text_identity"
            texts = {key: batch[key][:: self.rows_per_example] for key in ("input_ids", "attention_mask")}
        regions = self.contrastive_image_inputs(
            {key: batch[key] for key in ("region_features", "region_locations", "region_mask")}
        )
        rows = {**texts, **regions}
        if "image_identity" in batch:
            rows |= {"image_identity": batch["image_identity"], "text_identity": batch[text_identity]}
        if pairs == "aligned":
            keep = self.is_aligned(batch["labels"])
            rows = {key: value[keep] for key, value in rows.items()}
        return rows

    def contrastive_image_inputs(self, regions: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return the regions that represent each example's image in a contrastive loss.

        Args:
            regions: `region_features`, `region_locations` and `region_mask` of a batch, each (B * k, R, ...).

        Returns:
            The same keys, each (B, R, ...); by default those of an example's first row.
        """
        return {key: value[:: self.rows_per_example] for key, value in regions.items()}
