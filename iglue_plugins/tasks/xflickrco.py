"""xFlickr&Co: find the image of a caption, and the caption of an image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from iglue_plugins.data.batching import Batcher
from iglue_plugins.evaluation.metrics import median_rank, recall_at, retrieval_ranks
from iglue_plugins.evaluation.predict import match_all
from iglue_plugins.tasks.base import Task


class XFlickrCO(Task):
    """Image-text retrieval: one matching logit for each (caption, image) row.

    Training candidates (VOLTA): the true pair, a wrong caption, a wrong image, a hard wrong caption; the loss is
    cross-entropy over the four.
    """

    head = "matching"
    labels = ("match",)
    rows_per_example = 4
    main_metric = "recall@1"

    def rows(
        self, examples: np.ndarray, batcher: Batcher, rng: np.random.Generator | None
    ) -> tuple[np.ndarray, np.ndarray]:
        rng = rng or np.random.default_rng(0)
        hard_text, images = batcher.hard_negatives[examples], batcher.images[:, 0]
        wrong = (examples + rng.integers(1, len(batcher), size=(2, len(examples)))) % len(batcher)
        while (right := images[wrong] == images[examples]).any():  # another caption of the same image
            wrong[right] = rng.integers(len(batcher), size=right.sum())
        wrong_text, wrong_image = wrong
        texts = np.stack([examples, wrong_text, examples, hard_text], axis=1)
        pictures = images[np.stack([examples, examples, wrong_image, examples], axis=1)]
        return texts.ravel(), pictures.ravel()

    def targets(self, labels: Sequence[str]) -> Tensor:
        """The true pair stands first: int64 zeros (examples,)."""
        return torch.zeros(len(labels), dtype=torch.int64)

    def loss(self, logits: Tensor, batch: dict[str, Tensor]) -> Tensor:
        """Cross-entropy over each example's four candidates. logits: (B * 4,) or (B * 4, 1)."""
        return functional.cross_entropy(logits.view(-1, self.rows_per_example), batch["labels"])

    def evaluate(
        self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, split: str, language: str,
        batch_size: int = 256,
    ) -> tuple[list[dict[str, Any]], dict[str, float]]:
        """Score every caption with every image of the split.

        A prediction is the ten best images of a caption. Its score, and so `main_metric`, is the mean of two hits: the
        caption's image ranks first for it, and a caption of that image ranks first for the image. Ties count as misses.
        """
        dataset = self.load(split, language)
        batcher = Batcher(dataset, self, tokenizer, self.region_layout(model.config))
        images, image_of_caption = np.unique(batcher.images[:, 0], return_inverse=True)
        similarity = match_all(model, batcher, images, batch_size)
        image_ranks, caption_ranks = retrieval_ranks(similarity, image_of_caption)
        hits = ((image_ranks == 1).astype(float) + (caption_ranks == 1)[image_of_caption]) / 2
        names = {int(column): image_ids[0] for column, image_ids in zip(image_of_caption, dataset["image_ids"])}
        best = np.argsort(-similarity, axis=1, kind="stable")[:, :10]
        rows = [{"id": id_, "prediction": [names[int(i)] for i in ranked], "label": image_ids[0], "score": float(hit)}
                for id_, image_ids, ranked, hit in zip(dataset["id"], dataset["image_ids"], best, hits)]
        scores = {"recall@1": 100 * float(hits.mean())}
        for direction, ranks in (("image", image_ranks), ("text", caption_ranks)):
            scores.update({f"{direction}_recall@{k}": recall_at(ranks, k) for k in (1, 5, 10)})
            scores[f"{direction}_median_rank"] = median_rank(ranks)
        return rows, scores
