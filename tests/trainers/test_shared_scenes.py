"""Trainings on the mini world with scenes that examples share: what `same_image_pairs` and `distinct_images` change."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import Tensor
from transformers import PreTrainedModel

from iglue_plugins.data.processors.regions import RegionProcessor
from iglue_plugins.mini.tasks import MiniTask, MiniXFlickrCO
from iglue_plugins.trainers.base import TrainingData
from iglue_plugins.trainers.contrastive_adaptation import ContrastiveAdaptation
from iglue_plugins.trainers.finetune import AuxiliaryFinetune
from iglue_plugins.trainers.pretrain import Pretrain
from iglue_plugins.trainers.settings.contrastive_adaptation import ContrastiveAdaptationSettings
from iglue_plugins.trainers.settings.finetune import FinetuneSettings
from iglue_plugins.trainers.settings.pretrain import PretrainSettings
from iglue_plugins.trainers.settings.xvl_maml import XVLMAMLSettings
from iglue_plugins.trainers.xvl_maml import XVLMAML
from iglue_plugins.utils.errors import UserError

Train = Callable[..., dict[str, Tensor]]


class TinyCaptioned(MiniXFlickrCO):
    """Captions of two or three things, which can be listed in two or six orders; every pair is aligned."""

    name = "tiny/xflickrco"
    sizes = {"train": 24, "auxiliary": 24, "dev": 6, "test": 6}


def make_task(shared_scenes: int) -> MiniTask:
    return TinyCaptioned(TinyCaptioned.Settings(shared_scenes=shared_scenes))


@pytest.fixture
def train(make_model: Callable[..., PreTrainedModel], processor: RegionProcessor, tmp_path: Path) -> Train:
    """Trains a model by a trainer with shared scenes and settings, and returns its weights."""

    def maml(**settings: object) -> XVLMAML:
        sizes = {"steps": 3, "support_size": 6, "query_size": 6, "learning_rate": 1e-2, "inner_lr": 0.1}
        return XVLMAML(XVLMAMLSettings(**sizes | settings))

    makers = {
        "xvl_maml": maml,
        "unsupervised": lambda **settings: maml(supervised=False, **settings),
        "contrastive": lambda **settings: AuxiliaryFinetune(
            FinetuneSettings(steps=3, batch_size=8, learning_rate=1e-2, loss="both", **settings)
        ),
        "adaptation": lambda **settings: ContrastiveAdaptation(
            ContrastiveAdaptationSettings(inner_lr=0.5, support_size=8, inner_steps=2, split="auxiliary", **settings)
        ),
    }

    def run(trainer: str, shared_scenes: int, **settings: object) -> dict[str, Tensor]:
        made, task, model = makers[trainer](**settings), make_task(shared_scenes), make_model(dropout=0.1, seed=1)
        folder = tmp_path / "-".join(map(str, [trainer, shared_scenes, *settings.values()]))
        if isinstance(made, ContrastiveAdaptation):
            model.set_head(task.head, task.num_labels)
            made.check(task, "tr")
            load = partial(tuple, (model, processor))
            return made.adapt(load, task, "tr", source_languages=("en",), seed=2, folder=folder).model.state_dict()
        made.fit(model, processor, task, auxiliary_languages=("tr",), seed=2, folder=folder)
        return model.state_dict()

    return run


def equal(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return all(torch.equal(value, other[name]) for name, value in one.items())


@pytest.mark.parametrize("trainer", ["xvl_maml", "unsupervised", "contrastive", "adaptation"])
def test_the_setting_changes_what_is_learned_where_examples_share_scenes_and_only_there(
    train: Train, trainer: str
) -> None:
    default = train(trainer, 3)
    assert all(value.isfinite().all() for value in default.values())
    others = [train(trainer, 3, same_image_pairs=choice) for choice in ("masked", "positives", "negatives")]
    assert [equal(default, other) for other in others] == [True, False, False]
    assert not equal(*others[1:])
    assert equal(train(trainer, 1), train(trainer, 1, same_image_pairs="negatives"))


@pytest.mark.parametrize("trainer", ["xvl_maml", "unsupervised"])
def test_distinct_images_leave_nothing_to_mask(train: Train, trainer: str) -> None:
    default = train(trainer, 3, distinct_images=True)
    assert equal(default, train(trainer, 3, distinct_images=True, same_image_pairs="negatives"))
    assert not equal(default, train(trainer, 3))


def test_too_few_scenes_for_distinct_images_are_found_before_training(
    train: Train, processor: RegionProcessor, tmp_path: Path
) -> None:
    with pytest.raises(UserError) as error:
        train("xvl_maml", 6, distinct_images=True)
    assert str(error.value) == (
        "task tiny/xflickrco: trainer.support_size is 6, but the 24 training examples in 'tr', with 4 images, have "
        "only 4 that share no image or text with each other for one of the support batches; lower the support or query "
        "size, or set trainer.distinct_images: false"
    )
    assert not list(tmp_path.iterdir())


def test_without_distinct_images_batches_have_shared_scenes(processor: RegionProcessor) -> None:
    def images(distinct: bool) -> list[int]:
        settings = XVLMAMLSettings(steps=20, support_size=6, query_size=6, distinct_images=distinct)
        steps = XVLMAML(settings).steps(TrainingData(make_task(3), processor, ("en",), ("tr",), seed=0))
        batches = [item["episodes"][0][part] for item in steps for part in ("support", "query")]
        return [len(batch.image_identity.unique()) for batch in batches]

    assert set(images(distinct=True)) == {6}
    assert min(images(distinct=False)) < 6


def test_a_batch_of_pre_training_has_an_image_once(processor: RegionProcessor) -> None:
    settings = PretrainSettings(steps=20, batch_size=8, language_shares={"en": 1})
    steps = Pretrain(settings).steps(TrainingData(make_task(3), processor, ("en",), (), seed=0))
    batches = [step["batch"] for step in steps]
    assert {len(batch.image_identity.unique()) for batch in batches} == {8}
    assert len({text for batch in batches for text in batch.text_identity.tolist()}) > 8  # any of an image's captions
