"""A tiny task on the mini world, a tiny model, and batches for both."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from transformers import AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from iglue_plugins.data.batching import Batch, Batcher
from iglue_plugins.data.processors.regions import RegionProcessor
from iglue_plugins.mini import ASSETS
from iglue_plugins.mini.tasks import MiniCaptions, MiniXVNLI
from iglue_plugins.mini.world import FEATURE_SIZE
from iglue_plugins.models.configuration import XUniterConfig
from iglue_plugins.models.uniter import XUniterForVisionAndLanguage
from iglue_plugins.tasks.base import Task
from iglue_plugins.trainers.base import Trainer
from iglue_plugins.trainers.meta_objective import MetaObjective
from iglue_plugins.trainers.objectives import BatchLoss
from iglue_plugins.trainers.settings.xvl_maml import XVLMAMLSettings

MakeMeta = Callable[..., MetaObjective]
MakeModel = Callable[..., XUniterForVisionAndLanguage]


class TinyXVNLI(MiniXVNLI):
    name = "tiny/xvnli"
    sizes = {"train": 32, "auxiliary": 24, "dev": 6, "test": 6}


class TinyCaptions(MiniCaptions):
    name = "tiny/captions"
    sizes = {"train": 32}


@pytest.fixture(scope="session")
def task() -> TinyXVNLI:
    return TinyXVNLI()


@pytest.fixture(scope="session")
def captions() -> TinyCaptions:
    return TinyCaptions()


@pytest.fixture(scope="session")
def tokenizer() -> PreTrainedTokenizerBase:
    return AutoTokenizer.from_pretrained(ASSETS / "tokenizer")


@pytest.fixture(scope="session")
def processor(tokenizer: PreTrainedTokenizerBase) -> RegionProcessor:
    return RegionProcessor(tokenizer)


@pytest.fixture(scope="session")
def batchers(task: TinyXVNLI, processor: RegionProcessor) -> dict[str, Batcher]:
    return {language: Batcher(task.load("auxiliary", language), task, processor) for language in ("tr", "de")}


@pytest.fixture
def make_model(tokenizer: PreTrainedTokenizerBase) -> MakeModel:
    """A model with large weights, so that what it computes depends on its input; equal seeds make equal models."""

    def make(dropout: float = 0.0, seed: int = 0) -> XUniterForVisionAndLanguage:
        torch.manual_seed(seed)
        # The poolers are wide enough that no fused vector is all zeros, where a head's LayerNorm has no useful slope.
        return XUniterForVisionAndLanguage(
            XUniterConfig(
                vocab_size=len(tokenizer),
                hidden_size=16,
                num_hidden_layers=2,
                num_attention_heads=2,
                intermediate_size=16,
                max_position_embeddings=82,
                region_feature_size=FEATURE_SIZE,
                pooler_size=64,
                classifier_hidden_size=16,
                contrastive_size=8,
                hidden_dropout_prob=dropout,
                attention_probs_dropout_prob=dropout,
                initializer_range=0.2,
                head="vqa",
                num_labels=3,
            )
        )

    return make


@pytest.fixture
def doubled() -> Callable[[Batch], Batch]:
    """A batch whose floats are float64."""

    def double(batch: Batch) -> Batch:
        return batch.map_inputs(lambda value: value.double() if value.is_floating_point() else value)

    return double


@pytest.fixture
def fit(
    make_model: MakeModel, task: TinyXVNLI, processor: RegionProcessor, tmp_path: Path
) -> Callable[..., dict[str, Tensor]]:
    """Trains a fresh model with dropout in a folder, and returns its weights."""

    def run(trainer: Trainer, folder: str = "run") -> dict[str, Tensor]:
        model = make_model(dropout=0.1, seed=1)
        trainer.fit(model, processor, task, auxiliary_languages=("tr", "de"), seed=2, folder=tmp_path / folder)
        return model.state_dict()

    return run


@pytest.fixture
def model(make_model: Callable[..., PreTrainedModel]) -> PreTrainedModel:
    return make_model().double()


@pytest.fixture
def episodes(batchers: dict[str, Batcher], doubled: Callable[[Batch], Batch]) -> list[dict]:
    """Turkish and German, with 5 examples of support and 4 of query."""
    rows = np.arange(9)
    return [
        {
            "language": language,
            "support": doubled(batcher.batch(rows[:5] + shift)),
            "query": doubled(batcher.batch(rows[5:] + shift)),
        }
        for shift, (language, batcher) in enumerate(batchers.items())
    ]


@pytest.fixture
def meta(task: Task, model: PreTrainedModel) -> MakeMeta:
    """The objective over `model` with these settings; the inner steps are long, so that curvature counts."""

    def make(of: PreTrainedModel | None = None, **settings: object) -> MetaObjective:
        made = XVLMAMLSettings(**{"inner_lr": 0.05, "temperature": 0.5} | settings)
        return MetaObjective(BatchLoss(of or model, task, made), made)

    return make
