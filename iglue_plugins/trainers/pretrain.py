"""Pre-training on captions in many languages: contrastive, masked-word and matching losses."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from datasets import concatenate_datasets
from torch import Tensor, nn
from torch.nn import functional
from transformers import PreTrainedModel
from typing_extensions import override

from iglue_plugins.data.batching import Batcher, model_inputs
from iglue_plugins.data.episodes import Steps
from iglue_plugins.models.heads import MaskedWordHead
from iglue_plugins.models.uniter import UniterForVisionAndLanguage
from iglue_plugins.tasks.base import Task
from iglue_plugins.tasks.spec import ExampleSet
from iglue_plugins.trainers.base import Trainer
from iglue_plugins.trainers.builtin import PretrainSpec
from iglue_plugins.trainers.contrastive_loss import contrastive_loss, pair_targets
from iglue_plugins.trainers.settings.pretrain import PretrainSettings
from iglue_plugins.trainers.training_data import TrainingData
from iglue_plugins.utils.errors import UserError


class PretrainObjective(nn.Module):
    """The sum of the contrastive, masked-word and matching losses of a batch of captioned images.

    Args:
        model: A UNITER with a matching head.
        settings: The settings of pre-training.
    """

    def __init__(self, model: UniterForVisionAndLanguage, settings: PretrainSettings) -> None:
        super().__init__()
        self.model = model
        self.masked_words = MaskedWordHead(model.config)
        self._settings = settings

    def forward(self, batch: dict[str, Tensor], mask_token: int, special_tokens: Tensor) -> dict[str, Tensor]:
        """Compute the losses of a batch.

        Args:
            batch: A batch of captions and images without labels, with `image_identity` and `text_identity`.
            mask_token: The id of the mask token.
            special_tokens: The ids of tokens that are never masked, int64 (tokens,).

        Returns:
            Scalars by name: "loss", the sum, and the three losses.
        """
        settings, inputs = self._settings, model_inputs(batch)
        text, image = self.model.embed_pairs(**inputs, joint=False)
        targets = pair_targets(batch["image_identity"], batch["text_identity"], settings.same_image_pairs)
        similarity = text @ image.T / settings.temperature
        losses = {
            "contrastive_loss": contrastive_loss(text, image, settings.temperature, targets),
            "masked_word_loss": self._masked_word_loss(inputs, mask_token, special_tokens),
            "matching_loss": self._matching_loss(inputs, similarity, targets.negative(len(text), text.device)),
        }
        total = losses["contrastive_loss"] + losses["masked_word_loss"] + losses["matching_loss"]
        return {"loss": total, **losses}

    def _masked_word_loss(self, batch: dict[str, Tensor], mask_token: int, special_tokens: Tensor) -> Tensor:
        ids = batch["input_ids"]
        drawn = torch.rand(ids.shape, device=ids.device) < self._settings.masked_share
        masked = drawn & ~torch.isin(ids, special_tokens)
        encoded = self.model.encoder(**{**batch, "input_ids": ids.masked_fill(masked, mask_token)})
        embeddings = self.model.get_input_embeddings().weight
        logits = self.masked_words(encoded.text_hidden[masked], embeddings)
        return functional.cross_entropy(logits, ids[masked]) if masked.any() else logits.sum()

    def _matching_loss(self, batch: dict[str, Tensor], similarity: Tensor, negative: Tensor) -> Tensor:
        """Compute the loss of telling true pairs from hard ones.

        A hard pair has another image of the batch, drawn by its similarity to the text among those that do not belong
        to it. A text to which all images belong has a true pair only.

        Source: ALBEF (Li et al. 2021).
        """
        weights = (functional.softmax(similarity.detach(), dim=1) + 1e-6).masked_fill(~negative, 0)
        has_hard = negative.any(1)
        other = torch.multinomial(weights.masked_fill(~has_hard[:, None], 1), 1).squeeze(1)
        rows = {
            key: torch.cat([value, value[other] if key.startswith("region") else value]) for key, value in batch.items()
        }
        logits = self.model(**rows).squeeze(-1)
        targets = torch.cat([torch.ones(len(other)), torch.zeros(len(other))]).to(logits)
        counted = torch.cat([torch.ones_like(has_hard), has_hard])
        return functional.binary_cross_entropy_with_logits(logits[counted], targets[counted])


class Pretrain(PretrainSpec, Trainer):
    """Pre-training of an encoder on captions in many languages (recipes/mini/pretrain.yaml)."""

    settings: PretrainSettings

    @override
    def reads(self, task: Task, source_language: str, languages: tuple[str, ...]) -> list[ExampleSet]:
        captioned = tuple(sorted(self.settings.language_shares))
        validated = super().reads(task, source_language, languages)[1:]
        return [*(ExampleSet("train", language) for language in captioned), *validated]

    @override
    def steps(self, data: TrainingData) -> Steps:
        settings = self.settings
        languages = sorted(settings.language_shares)
        shares = np.asarray([settings.language_shares[language] for language in languages])
        captions = [data.task.load("train", language) for language in languages]
        batcher = Batcher(concatenate_datasets(captions), data.task, data.tokenizer, data.layout)
        images = len(captions[0])
        is_single = batcher.region_counts[:images] == batcher.region_counts.min()
        fewest = min(images, is_single.sum()) if settings.single_region_steps else images
        if fewest < settings.batch_size:
            raise UserError(
                f"task {data.task.name}: trainer.batch_size is {settings.batch_size}, but there are {fewest} images to "
                "draw a batch from; lower it"
            )

        def make_step(step: int) -> dict[str, Any]:
            rng = np.random.default_rng((data.seed, step))
            candidates = np.flatnonzero(is_single) if step < settings.single_region_steps else images
            chosen = rng.choice(candidates, settings.batch_size, replace=False)
            language = rng.choice(len(languages), settings.batch_size, p=shares / shares.sum())
            rows = language * images + chosen
            return {
                "batch": batcher.rows(rows, batcher.images[rows, 0]) | batcher.identities(rows),
                "mask_token": data.tokenizer.mask_token_id,
                "special_tokens": torch.tensor(data.tokenizer.all_special_ids),
            }

        return Steps(make_step, settings.steps * settings.accumulation)

    @override
    def objective(self, model: PreTrainedModel, task: Task) -> nn.Module:
        if not isinstance(model, UniterForVisionAndLanguage):
            raise UserError(f"trainer pretrain: it trains UNITERs, and the model is a {type(model).__name__}")
        return PretrainObjective(model, self.settings)
