"""Pre-training on captions in many languages: contrastive, masked-word and matching losses."""

from __future__ import annotations

import numpy as np
import torch
from datasets import concatenate_datasets
from torch import Tensor, nn
from torch.nn import functional
from transformers import PreTrainedModel

from iglue_plugins.data.batching import Batcher
from iglue_plugins.data.episodes import Steps
from iglue_plugins.models.heads import MaskedWordHead
from iglue_plugins.tasks.base import Task
from iglue_plugins.trainers.base import Trainer, TrainingData
from iglue_plugins.trainers.builtin import PretrainSpec
from iglue_plugins.trainers.objectives import contrastive_loss
from iglue_plugins.trainers.settings.pretrain import PretrainSettings
from iglue_plugins.utils.errors import UserError


class PretrainObjective(nn.Module):
    """The sum of the three losses on a batch of captioned images."""

    def __init__(self, model: PreTrainedModel, settings: PretrainSettings) -> None:
        super().__init__()
        self.model = model
        self.masked_words = MaskedWordHead(model.config)
        self._settings = settings

    def forward(self, batch: dict[str, Tensor], mask_token: int, special_tokens: Tensor) -> dict[str, Tensor]:
        text, image = self.model.embed_pairs(**batch)
        losses = {
            "contrastive_loss": contrastive_loss(text, image, self._settings.temperature),
            "masked_word_loss": self._masked_word_loss(batch, mask_token, special_tokens),
            "matching_loss": self._matching_loss(batch, text @ image.T / self._settings.temperature),
        }
        return {"loss": sum(losses.values()), **losses}

    def _masked_word_loss(self, batch: dict[str, Tensor], mask_token: int, special_tokens: Tensor) -> Tensor:
        ids = batch["input_ids"]
        drawn = torch.rand(ids.shape, device=ids.device) < self._settings.masked_share
        masked = drawn & ~torch.isin(ids, special_tokens)
        encoded = self.model.encoder(**{**batch, "input_ids": ids.masked_fill(masked, mask_token)})
        embeddings = self.model.get_input_embeddings().weight
        logits = self.masked_words(encoded.text_hidden[masked], embeddings)
        return functional.cross_entropy(logits, ids[masked]) if masked.any() else logits.sum()

    def _matching_loss(self, batch: dict[str, Tensor], similarity: Tensor) -> Tensor:
        """True pairs against hard ones: another image of the batch, drawn by its similarity to the text (ALBEF)."""
        weights = functional.softmax(similarity.detach(), dim=1) + 1e-6
        other = torch.multinomial(weights.fill_diagonal_(0), 1).squeeze(1)
        rows = {
            key: torch.cat([value, value[other] if key.startswith("region") else value]) for key, value in batch.items()
        }
        logits = self.model(**rows).squeeze(-1)
        targets = torch.cat([torch.ones(len(other)), torch.zeros(len(other))]).to(logits)
        return functional.binary_cross_entropy_with_logits(logits, targets)


class Pretrain(PretrainSpec, Trainer):
    """Makes the encoder that the others start from (recipes/mini/pretrain.yaml)."""

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
                f"task {data.task.name}: found {fewest} images to draw a batch from, expected at least "
                f"trainer.batch_size, {settings.batch_size}"
            )

        def make_step(step: int) -> dict:
            rng = np.random.default_rng((data.seed, step))
            candidates = np.flatnonzero(is_single) if step < settings.single_region_steps else images
            chosen = rng.choice(candidates, settings.batch_size, replace=False)
            language = rng.choice(len(languages), settings.batch_size, p=shares / shares.sum())
            rows = language * images + chosen
            return {
                "batch": batcher.rows(rows, batcher.images[rows, 0]),
                "mask_token": data.tokenizer.mask_token_id,
                "special_tokens": torch.tensor(data.tokenizer.all_special_ids),
            }

        return Steps(make_step, settings.steps * settings.accumulation)

    def objective(self, model: PreTrainedModel, task: Task) -> nn.Module:
        return PretrainObjective(model, self.settings)
