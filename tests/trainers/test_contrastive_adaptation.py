"""Adaptation at test time: the inner loop's steps, without labels."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor
from transformers import PreTrainedModel

from iglue_plugins.data.batching import Batcher
from iglue_plugins.data.episodes import ShuffledExamples
from iglue_plugins.data.processors.regions import RegionProcessor
from iglue_plugins.mini.tasks import MiniXVNLI
from iglue_plugins.tasks.base import Task
from iglue_plugins.trainers.base import Adapted
from iglue_plugins.trainers.contrastive_adaptation import ContrastiveAdaptation
from iglue_plugins.trainers.contrastive_loss import contrastive_loss
from iglue_plugins.trainers.settings.contrastive_adaptation import ContrastiveAdaptationSettings
from iglue_plugins.utils.errors import UserError

SETTINGS = {"inner_lr": 0.5, "support_size": 4, "split": "auxiliary"}


@pytest.fixture
def adapt(
    make_model: Callable[..., PreTrainedModel], task: Task, processor: RegionProcessor, tmp_path: Path
) -> Callable[..., Adapted]:
    def run(**settings: object) -> Adapted:
        adapter = ContrastiveAdaptation(ContrastiveAdaptationSettings(**SETTINGS | settings))
        return adapter.adapt(
            lambda: (make_model(dropout=0.1), processor), task, "tr", source_languages=("en",), seed=3, folder=tmp_path
        )

    return run


def weights(model: PreTrainedModel) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in model.named_parameters()}


def test_a_step_is_plain_gradient_descent_on_the_contrastive_loss(
    adapt: Callable[..., Adapted],
    make_model: Callable[..., PreTrainedModel],
    task: Task,
    processor: RegionProcessor,
) -> None:
    model = make_model()
    batch = ShuffledExamples(Batcher(task.load("auxiliary", "tr"), task, processor), 4, (3,)).split_batches(0)[0]
    contrastive_loss(model.embed_text(**batch.text), model.embed_image(**batch.image), 0.07).backward()
    adapted = weights(adapt().model)
    for name, parameter in model.named_parameters():
        moved = 0 if parameter.grad is None else parameter.grad
        torch.testing.assert_close(adapted[name], parameter.detach() - 0.5 * moved)


def test_the_task_head_is_not_adapted(
    adapt: Callable[..., Adapted], make_model: Callable[..., PreTrainedModel]
) -> None:
    before, after = weights(make_model()), weights(adapt(inner_steps=3).model)
    assert all(torch.equal(before[name], after[name]) for name in before if name.startswith("head."))
    assert not torch.equal(before["contrastive.text.weight"], after["contrastive.text.weight"])


def test_labels_have_no_effect(adapt: Callable[..., Adapted], monkeypatch: pytest.MonkeyPatch) -> None:
    expected = weights(adapt().model)
    monkeypatch.setattr(MiniXVNLI, "targets", lambda self, labels: torch.full((len(labels),), -1))
    assert all(torch.equal(value, expected[name]) for name, value in weights(adapt().model).items())


def test_pairs_that_need_labels_are_refused(task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    def check(pairs: str) -> None:
        ContrastiveAdaptation(ContrastiveAdaptationSettings(**SETTINGS, pairs=pairs)).check(task, "tr")

    with pytest.raises(UserError, match="^task tiny/xvnli: trainer.pairs 'aligned' needs labels"):
        check("aligned")
    check("caption")
    monkeypatch.setattr(MiniXVNLI, "captions_reveal_labels", True)
    with pytest.raises(UserError, match="trainer.pairs 'caption' needs labels"):
        check("caption")


def test_a_split_with_too_few_examples_is_refused(task: Task) -> None:
    adapter = ContrastiveAdaptation(ContrastiveAdaptationSettings(support_size=7))
    with pytest.raises(UserError, match="trainer.support_size is .* split test has 6 examples in 'tr'"):
        adapter.check(task, "tr")


def test_a_number_of_shots_of_a_few_shot_split(
    adapt: Callable[..., Adapted], task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded, load = [], task.load
    monkeypatch.setattr(
        task,
        "load",
        lambda split, language, shots=None: loaded.append((split, language, shots)) or load(split, language),
    )
    adapt(shots=5)
    assert loaded == [("auxiliary", "tr", 5)]
    adapter = ContrastiveAdaptation(ContrastiveAdaptationSettings(**SETTINGS, shots=5))
    assert adapter.reads(task, ("en",), ("tr",)) == [("auxiliary", "tr", 5)]
    assert adapter.summary == "by 1 contrastive step on 5 shots without labels"
