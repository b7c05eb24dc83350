"""Pre-training on captions in many languages: contrastive, masked-word and matching losses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import torch
from datasets import concatenate_datasets
from torch import Tensor, nn
from torch.nn import functional
from transformers import PreTrainedModel
from typing_extensions import override

from iglue_plugins.data.batching import Batch, Batcher
from iglue_plugins.data.episodes import Steps
from iglue_plugins.models.heads import MaskedWordHead
from iglue_plugins.models.pretraining import masked_word_loss
from iglue_plugins.models.protocols import EmbedsPairs
from iglue_plugins.models.uniter import UniterForVisionAndLanguage
from iglue_plugins.tasks.base import Task
from iglue_plugins.tasks.spec import ExampleSet
from iglue_plugins.trainers.base import Trainer
from iglue_plugins.trainers.builtin import PretrainSpec
from iglue_plugins.trainers.contrastive_loss import pair_loss, pair_targets
from iglue_plugins.trainers.settings.pretrain import PretrainSettings
from iglue_plugins.trainers.similarity import check_contrastive, check_embeds, similarity_of
from iglue_plugins.trainers.training_data import TrainingData
from iglue_plugins.utils.errors import UserError


class PretrainObjective(nn.Module):
    """The sum of the contrastive, masked-word and matching losses of a batch of captioned images, or of some of them.

    Args:
        model: The model. The masked-word and matching losses take a UNITER with a matching head.
        settings: The settings of pre-training.

    Raises:
        UserError: The model lacks what one of the losses needs.
    """

    def __init__(self, model: PreTrainedModel, settings: PretrainSettings) -> None:
        super().__init__()
        self.model = model
        is_uniter = isinstance(model, UniterForVisionAndLanguage)
        self._losses = settings.losses or (
            ("contrastive", "masked_words", "matching") if is_uniter else ("contrastive",)
        )
        if not is_uniter and set(self._losses) != {"contrastive"}:
            raise UserError(
                f"trainer.losses: masked words and matching are losses of UNITERs, and the model is a "
                f"{type(model).__name__}; set it to [contrastive]"
            )
        self._embeds = self._losses != ("masked_words",)  # the matching loss draws hard pairs by similarity
        if self._embeds:
            check_contrastive(model, settings.contrastive)
            check_embeds(model)
        if "masked_words" in self._losses:
            self.masked_words = MaskedWordHead(cast("UniterForVisionAndLanguage", model).config)
        self._settings = settings

    def forward(self, batch: Batch, mask_token: int | None, special_tokens: Tensor) -> dict[str, Tensor]:
        """Compute the losses of a batch.

        Args:
            batch: A batch of captions and images, one row for each example.
            mask_token: The id of the mask token; None where the tokenizer has none.
            special_tokens: The ids of tokens that are never masked, int64 (tokens,).

        Returns:
            Scalars by name: "loss", the sum, and the losses.

        Raises:
            UserError: Words are to be masked, and there is no mask token.
        """
        settings = self._settings
        losses: dict[str, Tensor] = {}
        if self._embeds:
            model = cast("EmbedsPairs", self.model)
            text, image = model.embed_text(**batch.text), model.embed_image(**batch.image)
            targets = pair_targets(batch.image_identity, batch.text_identity, settings.same_image_pairs)
            similarity = similarity_of(self.model, settings.temperature)
        if "contrastive" in self._losses:
            losses["contrastive_loss"] = pair_loss(settings.contrastive, text, image, similarity, targets)
        if "masked_words" in self._losses:
            if mask_token is None:
                raise UserError(
                    "trainer.losses: masked words need a mask token, and the model's tokenizer has none; leave out "
                    "masked_words"
                )
            losses["masked_word_loss"] = masked_word_loss(
                cast("UniterForVisionAndLanguage", self.model),
                self.masked_words,
                batch.inputs,
                masked_share=settings.masked_share,
                mask_token=mask_token,
                special_tokens=special_tokens,
            )
        if "matching" in self._losses:
            negative = targets.negative(len(text), text.device)
            losses["matching_loss"] = self._matching_loss(batch, text @ image.T / similarity.temperature, negative)
        return {"loss": torch.stack([*losses.values()]).sum(), **losses}

    def _matching_loss(self, batch: Batch, similarity: Tensor, negative: Tensor) -> Tensor:
        """Compute the loss of telling true pairs from wrong ones.

        A wrong pair has another image of the batch among those that do not belong to its text, drawn by its similarity
        to the text or with equal chances. A text to which all images belong has a true pair only.

        Source: ALBEF (Li et al. 2021).
        """
        if self._settings.matching_negatives == "similar":
            weights = (functional.softmax(similarity.detach(), dim=1) + 1e-6).masked_fill(~negative, 0)
        else:
            weights = negative.to(similarity.dtype)
        has_hard = negative.any(1)
        other = torch.multinomial(weights.masked_fill(~has_hard[:, None], 1), 1).squeeze(1)
        images = torch.cat([torch.arange(len(other), device=other.device), other])
        logits = self.model(**batch.text.repeat_all(2).merge(batch.image.select(images))).squeeze(-1)
        targets = torch.cat([torch.ones(len(other)), torch.zeros(len(other))]).to(logits)
        counted = torch.cat([torch.ones_like(has_hard), has_hard])
        return functional.binary_cross_entropy_with_logits(logits[counted], targets[counted])


class Pretrain(PretrainSpec, Trainer):
    """Pre-training of an encoder on captions in many languages (recipes/mini/pretrain.yaml)."""

    settings: PretrainSettings

    @override
    def reads(self, task: Task, source_languages: tuple[str, ...], languages: tuple[str, ...]) -> list[ExampleSet]:
        captioned = tuple(sorted(self.settings.language_shares))
        validated = super().reads(task, source_languages, languages)[1:]
        return [*(ExampleSet("train", language) for language in captioned), *validated]

    @override
    def steps(self, data: TrainingData) -> Steps:
        settings = self.settings
        languages = sorted(settings.language_shares)
        shares = np.asarray([settings.language_shares[language] for language in languages])
        captions = [data.task.load("train", language) for language in languages]
        batcher = Batcher(concatenate_datasets(captions), data.task, data.processor, captions=False)
        captioned = CaptionedImages(batcher.images[:, 0], [len(of_language) for of_language in captions], shares)
        images = captioned.images
        single = single_region_images(batcher, images) if settings.single_region_steps else np.arange(len(images))
        if len(single) < settings.batch_size:
            raise UserError(
                f"task {data.task.name}: trainer.batch_size is {settings.batch_size}, but there are {len(single)} "
                "images to draw a batch from; lower it"
            )
        tokenizer = getattr(data.processor, "tokenizer", None)
        vocabulary = {
            "mask_token": getattr(tokenizer, "mask_token_id", None),
            "special_tokens": torch.tensor(getattr(tokenizer, "all_special_ids", []), dtype=torch.int64),
        }

        def make_step(step: int) -> dict[str, Any]:
            rng = np.random.default_rng((data.seed, step))
            candidates = single if step < settings.single_region_steps else len(images)
            chosen = rng.choice(candidates, settings.batch_size, replace=False)
            return {"batch": batcher.pairs(captioned.draw(chosen, rng)), **vocabulary}

        return Steps(make_step, settings.steps * settings.accumulation)

    @override
    def objective(self, model: PreTrainedModel, task: Task) -> nn.Module:
        return PretrainObjective(model, self.settings)


class CaptionedImages:
    """Draws a caption for an image: a language by its share among those that have captions of it, then one of these.

    Args:
        image_of_caption: (captions,) int64, the position of each caption's image; the captions of a language follow one
            another.
        counts: The number of captions of each language.
        shares: (languages,) float, how often each language is drawn, relative to the others.

    Attributes:
        images: (images,) int64, the positions of all images, in the order in which captions name them.
    """

    def __init__(self, image_of_caption: np.ndarray, counts: Sequence[int], shares: np.ndarray) -> None:
        positions, first, number = np.unique(image_of_caption, return_index=True, return_inverse=True)
        order = np.argsort(first)
        self.images = positions[order]
        image = np.argsort(order)[number]
        language = np.repeat(np.arange(len(counts)), counts)
        cell = image * len(counts) + language
        self._captions = np.argsort(cell, kind="stable")  # by image, then by language
        self._counts = np.bincount(cell, minlength=len(positions) * len(counts)).reshape(len(positions), len(counts))
        self._starts = (self._counts.ravel().cumsum() - self._counts.ravel()).reshape(self._counts.shape)
        self._shares = shares / shares.sum()

    def draw(self, images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Draw a caption for each image.

        Args:
            images: (B,) int64, places in `images`.
            rng: The generator to draw from.

        Returns:
            (B,) int64, positions of captions.
        """
        language = rng.choice(len(self._shares), len(images), p=self._shares)
        for place in np.flatnonzero(self._counts[images, language] == 0):
            there = self._shares * (self._counts[images[place]] > 0)
            language[place] = rng.choice(len(there), p=there / there.sum())
        counts = self._counts[images, language]
        return self._captions[self._starts[images, language] + (rng.random(len(images)) * counts).astype(np.int64)]


def single_region_images(batcher: Batcher, images: np.ndarray) -> np.ndarray:
    """Find the images with the fewest regions.

    Args:
        batcher: The captions.
        images: (images,) int64, positions of images.

    Returns:
        int64, their places in `images`.

    Raises:
        UserError: The model reads pixels.
    """
    count = getattr(batcher.image_source, "object_counts", None)
    if count is None:
        raise UserError(
            "trainer.single_region_steps: a model that reads pixels does not know an image's regions; set it to 0"
        )
    regions = count(images)
    return np.flatnonzero(regions == regions.min())
