"""A contrastive loss that the model has not the means for is refused before the first step."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import PreTrainedConfig, PreTrainedModel

from iglue_plugins.data.batching import Batch, Batcher
from iglue_plugins.data.processors.regions import RegionProcessor
from iglue_plugins.models.protocols import SimilarityScale
from iglue_plugins.tasks.base import Task
from iglue_plugins.trainers.contrastive_adaptation import ContrastiveAdaptation
from iglue_plugins.trainers.finetune import Finetune
from iglue_plugins.trainers.pretrain import Pretrain
from iglue_plugins.trainers.xvl_maml import XVLMAML
from iglue_plugins.utils.errors import UserError

OBJECTIVES = {
    "finetune": lambda **settings: Finetune(Finetune.Settings(**{"loss": "both"} | settings)).objective,
    "xvl_maml": lambda **settings: XVLMAML(XVLMAML.Settings(**settings)).objective,
    "pretrain": lambda **settings: Pretrain(Pretrain.Settings(language_shares={"en": 1}, **settings)).objective,
}


class Bare(PreTrainedModel):
    """A model of another package that has nothing but logits."""

    config_class = PreTrainedConfig

    def __init__(self) -> None:
        super().__init__(PreTrainedConfig())
        self.words = nn.Embedding(300_000, 3)

    def forward(self, input_ids: Tensor, **others: Tensor) -> Tensor:
        return self.words(input_ids).mean(1)


class Embedding(Bare):
    """One that embeds texts and images too, and has a scale without a bias."""

    def embed_text(self, input_ids: Tensor, **others: Tensor) -> Tensor:
        return nn.functional.normalize(self(input_ids))

    def embed_image(self, images_per_text: int = 1, **image: Tensor) -> Tensor:
        return nn.functional.normalize(image["region_features"].mean(1)[:, :3])

    def similarity_scale(self) -> SimilarityScale:
        return SimilarityScale(torch.tensor(10.0))


def adapt(model: PreTrainedModel, processor: RegionProcessor, task: Task, folder: Path, **settings: Any) -> None:
    adaptation = ContrastiveAdaptation(ContrastiveAdaptation.Settings(split="auxiliary", support_size=4, **settings))
    adaptation.adapt(lambda: (model, processor), task, "tr", source_languages=("en",), seed=0, folder=folder)


@pytest.mark.parametrize("trainer", OBJECTIVES)
def test_a_model_without_embeddings(trainer: str, task: Task) -> None:
    sentence = (
        "^the contrastive loss takes embed_text and embed_image of the model, but a Bare has no embed_text and no "
        "embed_image; add them to the class, or set each loss of the trainer to 'task'$"
    )
    with pytest.raises(UserError, match=sentence):
        OBJECTIVES[trainer]()(Bare(), task)


def test_a_model_without_embeddings_is_not_adapted(task: Task, processor: RegionProcessor, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="a Bare has no embed_text and no embed_image"):
        adapt(Bare(), processor, task, tmp_path)


def test_a_model_that_embeds_texts_alone(task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(Embedding, "embed_image")
    with pytest.raises(UserError, match="an? Embedding has no embed_image; add it to the class"):
        OBJECTIVES["xvl_maml"]()(Embedding(), task)


@pytest.mark.parametrize(
    ("trainer", "settings"),
    [
        ("finetune", {"loss": "task"}),
        ("xvl_maml", {"inner_loss": "task", "outer_loss": "task"}),
        ("xvl_maml", {"inner_lr": 0, "outer_loss": "task"}),
    ],
)
def test_losses_of_the_task_alone_take_no_embeddings(
    trainer: str, settings: dict[str, Any], task: Task, batchers: dict[str, Batcher]
) -> None:
    objective = OBJECTIVES[trainer](**settings)(Bare(), task)
    batch: Batch = batchers["tr"].batch(range(4))
    step = {"batch": batch} if trainer == "finetune" else {"episodes": [{"support": batch, "query": batch}]}
    assert objective(**step)["loss"].isfinite()


@pytest.mark.parametrize("trainer", OBJECTIVES)
@pytest.mark.parametrize("model", [Bare, Embedding])
def test_the_sigmoid_loss_without_a_bias(trainer: str, model: Callable[[], PreTrainedModel], task: Task) -> None:
    name = model().__class__.__name__
    sentence = f"^trainer.contrastive is 'sigmoid', which needs a scale and a bias .* {name} has none, so set it to"
    with pytest.raises(UserError, match=sentence):
        OBJECTIVES[trainer](contrastive="sigmoid")(model(), task)


@pytest.mark.parametrize("trainer", ["finetune", "xvl_maml"])
def test_a_joint_pass_without_embed_joint(trainer: str, task: Task) -> None:
    sentence = "^trainer.joint_pass is true, but .* in a Embedding, which has no method embed_joint; set it to false$"
    with pytest.raises(UserError, match=sentence):
        OBJECTIVES[trainer](joint_pass=True)(Embedding(), task)


def test_a_joint_pass_takes_neither_of_the_other_two(task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Bare, "embed_joint", lambda self, text, image, images_per_text: (), raising=False)
    assert OBJECTIVES["xvl_maml"](joint_pass=True)(Bare(), task)
