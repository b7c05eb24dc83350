"""Which losses pre-training adds up, and which models and tokenizers they take."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import PreTrainedConfig, PreTrainedModel

from iglue_plugins.data.batching import Batch
from iglue_plugins.data.processors.regions import RegionProcessor
from iglue_plugins.models.protocols import SimilarityScale
from iglue_plugins.runs.planning import PlanningProcessor
from iglue_plugins.tasks.base import Task
from iglue_plugins.trainers.contrastive_loss import contrastive_loss, sigmoid_loss
from iglue_plugins.trainers.pretrain import Pretrain, PretrainObjective
from iglue_plugins.trainers.settings.pretrain import PretrainSettings
from iglue_plugins.trainers.training_data import TrainingData
from iglue_plugins.utils.errors import UserError

NAMES = {"contrastive": "contrastive_loss", "masked_words": "masked_word_loss", "matching": "matching_loss"}


def settings(**changes: object) -> PretrainSettings:
    return PretrainSettings(**{"steps": 2, "batch_size": 8, "language_shares": {"en": 1}} | changes)


@pytest.fixture
def item(captions: Task, processor: RegionProcessor) -> dict[str, Any]:
    return Pretrain(settings()).steps(TrainingData(captions, processor, ("en",), (), seed=0))[0]


@pytest.fixture
def uniter(make_model: Callable[..., PreTrainedModel]) -> PreTrainedModel:
    model = make_model()
    model.set_head("image_text_matching", 1)
    return model


class Towers(PreTrainedModel):
    """A model of another package: a tower for texts, one for images, and perhaps a scale and a bias."""

    config_class = PreTrainedConfig

    def __init__(self, words: int, features: int, bias: float | None = None) -> None:
        super().__init__(PreTrainedConfig())
        self.words, self.regions = nn.Embedding(words, 4), nn.Linear(features, 4)
        self.bias = None if bias is None else nn.Parameter(torch.tensor(bias))

    def embed_text(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        return functional.normalize((self.words(input_ids) * attention_mask[..., None]).sum(1), dim=1)

    def embed_image(self, region_features: Tensor, images_per_text: int = 1, **_: Tensor) -> Tensor:
        return functional.normalize(self.regions(region_features).mean(1), dim=1)

    def similarity_scale(self) -> SimilarityScale:
        return SimilarityScale(torch.tensor(4.0), self.bias)


@pytest.fixture
def towers(processor: RegionProcessor, item: dict[str, Any]) -> Callable[..., Towers]:
    size = item["batch"].image["region_features"].shape[-1]
    return lambda bias=None: Towers(len(processor.tokenizer), size, bias)


def run(objective: PretrainObjective, item: dict[str, Any]) -> dict[str, Tensor]:
    torch.manual_seed(0)
    return objective(**item)


@pytest.mark.parametrize(
    "chosen",
    [("contrastive",), ("masked_words",), ("matching",), ("contrastive", "matching"), ("matching", "masked_words")],
)
def test_the_chosen_losses_alone_are_added_up(
    uniter: PreTrainedModel, item: dict[str, Any], chosen: tuple[str, ...]
) -> None:
    objective = PretrainObjective(uniter, settings(losses=chosen))
    losses = run(objective, item)
    assert losses.keys() == {"loss", *(NAMES[name] for name in chosen)}
    torch.testing.assert_close(losses["loss"], sum(losses[NAMES[name]] for name in chosen))
    assert losses["loss"].isfinite() and losses["loss"] > 0
    trains_words = any(name.startswith("masked_words") for name, _ in objective.named_parameters())
    assert trains_words is ("masked_words" in chosen)


def test_a_uniter_has_all_losses_by_default(uniter: PreTrainedModel, item: dict[str, Any]) -> None:
    torch.manual_seed(1)
    default = PretrainObjective(uniter, settings())
    torch.manual_seed(1)
    named = PretrainObjective(uniter, settings(losses=tuple(NAMES)))
    assert run(default, item) == run(named, item)


def test_another_model_has_the_contrastive_loss_by_its_own_scale(
    towers: Callable[..., Towers], item: dict[str, Any]
) -> None:
    model, batch = towers(), item["batch"]
    losses = run(PretrainObjective(model, settings()), item)
    assert losses.keys() == {"loss", "contrastive_loss"}
    vectors = model.embed_text(**batch.text), model.embed_image(**batch.image)
    torch.testing.assert_close(losses["loss"], contrastive_loss(*vectors, 1 / 4))
    warmer = run(PretrainObjective(model, settings(temperature=0.5)), item)
    torch.testing.assert_close(warmer["loss"], contrastive_loss(*vectors, 0.5))


def test_pretraining_by_the_sigmoid_loss(towers: Callable[..., Towers], item: dict[str, Any]) -> None:
    model, batch = towers(bias=-2.0), item["batch"]
    losses = run(PretrainObjective(model, settings(contrastive="sigmoid")), item)
    vectors = model.embed_text(**batch.text), model.embed_image(**batch.image)
    torch.testing.assert_close(losses["loss"], sigmoid_loss(*vectors, 1 / 4, model.bias))
    with pytest.raises(UserError, match="trainer.contrastive is 'sigmoid', .* the Towers has none"):
        PretrainObjective(towers(), settings(contrastive="sigmoid"))


@pytest.mark.parametrize("chosen", [("masked_words",), ("contrastive", "matching")])
def test_losses_of_uniters_are_refused_for_another_model(
    towers: Callable[..., Towers], chosen: tuple[str, ...]
) -> None:
    with pytest.raises(UserError, match=r"^trainer.losses: .* is a Towers; set it to \[contrastive\]"):
        PretrainObjective(towers(), settings(losses=chosen))


def test_words_are_not_masked_without_a_mask_token(uniter: PreTrainedModel, item: dict[str, Any]) -> None:
    with pytest.raises(UserError, match="^trainer.losses: masked words need a mask token, .* leave out masked_words$"):
        run(PretrainObjective(uniter, settings()), item | {"mask_token": None})
    others = settings(losses=("contrastive", "matching"))
    assert run(PretrainObjective(uniter, others), item | {"mask_token": None})["loss"] > 0


def test_hard_pairs_have_another_image_of_the_batch_and_the_same_text(
    uniter: PreTrainedModel, item: dict[str, Any]
) -> None:
    """The image of a pair comes from what the model cannot name: rows are selected, whatever their keys."""
    batch: Batch = item["batch"]
    order = torch.arange(8).flip(0)
    seen: list[dict[str, Tensor]] = []
    uniter.register_forward_hook(lambda module, args, rows, logits: seen.append(rows), with_kwargs=True)
    objective = PretrainObjective(uniter, settings(losses=("matching",)))
    run(objective, item)
    mirrored = replace(
        batch,
        inputs=batch.inputs.select(order),
        text=batch.text.select(order),
        image=batch.image.select(order),
        image_identity=batch.image_identity[order],
        text_identity=batch.text_identity[order],
    )
    run(objective, item | {"batch": mirrored})
    assert torch.equal(seen[0]["region_features"][:8], seen[1]["region_features"][:8].flip(0))
    for rows in seen:
        assert torch.equal(rows["input_ids"][:8], rows["input_ids"][8:])
        assert (rows["region_features"][:8] != rows["region_features"][8:]).flatten(1).any(1).all()


def test_first_steps_of_single_regions_need_a_model_that_reads_regions(captions: Task) -> None:
    data = TrainingData(captions, PlanningProcessor("pixels"), "en", (), seed=0)
    Pretrain(settings()).steps(data)
    with pytest.raises(UserError, match="^trainer.single_region_steps: a model that reads pixels .* set it to 0$"):
        Pretrain(settings(single_region_steps=1)).steps(data)
