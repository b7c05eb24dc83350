"""What the trainers' settings refuse, what a step sees, and how many labels that takes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import ValidationError
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from iglue_plugins.data.batching import Batch
from iglue_plugins.data.processors.regions import RegionProcessor
from iglue_plugins.mini.tasks import MiniCaptions, MiniMaRVL, MiniXVNLI
from iglue_plugins.registry import Registry
from iglue_plugins.tasks.base import Task
from iglue_plugins.trainers.base import LanguageAdapter, Trainer
from iglue_plugins.trainers.finetune import AuxiliaryFinetune, Finetune
from iglue_plugins.trainers.pretrain import Pretrain
from iglue_plugins.trainers.settings.base import TrainerSettings
from iglue_plugins.trainers.settings.finetune import FinetuneSettings
from iglue_plugins.trainers.settings.pretrain import PretrainSettings
from iglue_plugins.trainers.settings.xvl_maml import XVLMAMLSettings
from iglue_plugins.trainers.spec import TrainerSpec
from iglue_plugins.trainers.training_data import TrainingData
from iglue_plugins.trainers.xvl_maml import XVLMAML
from iglue_plugins.utils.errors import UserError

# Settings


def test_without_labels_both_losses_are_contrastive() -> None:
    settings = XVLMAMLSettings(supervised=False)
    assert (settings.inner_loss, settings.outer_loss) == ("contrastive", "contrastive")
    assert XVLMAMLSettings().outer_loss == "both"
    assert XVLMAMLSettings.model_validate_json(settings.model_dump_json(), strict=True) == settings


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"supervised": False, "outer_loss": "both"}, "outer_loss is 'both', which needs labels"),
        ({"supervised": False, "outer_loss": "task"}, "outer_loss is 'task', which needs labels"),
        ({"supervised": False, "inner_loss": "task"}, "inner_loss is 'task', which needs labels"),
        ({"supervised": False, "pairs": "aligned"}, "pairs is 'aligned', which needs labels"),
        ({"support_size": 1}, "support_size is 1, .* raise it to 2"),
        ({"query_size": 1}, "query_size is 1, .* raise it to 2"),
        ({"query_size": 1, "inner_loss": "task", "outer_loss": "contrastive"}, "query_size is 1, .* raise it to 2"),
        ({"inner_lr": -1e-3}, "greater than or equal to 0"),
        ({"inner_steps": 0}, "greater than or equal to 1"),
        ({"inner_loss": "contrastve"}, "'task', 'contrastive' or 'both'"),
        ({"inner_learning_rate": 1}, "Extra inputs are not permitted"),
        ({"inner_steps": 3, "inner_lr_factors": (1.0, 0.5)}, "inner_lr_factors has 2 numbers, .* 3 inner_steps"),
        ({"inner_lr_factors": (0.0,)}, "greater than 0"),
        ({"inner_lr": 0, "learned_rates": "layer"}, "inner_lr is 0, .* learned_rates"),
        ({"adapt": ()}, "adapt is an empty list"),
        ({"adapt": "body"}, "'all', 'encoder', 'heads', 'anil' or 'boil'"),
        ({"inner_storage": "disk"}, "'graphs', 'parameters' or 'start'"),
        ({"learned_temperature": True, "inner_loss": "task", "outer_loss": "task"}, "no loss is contrastive"),
        ({"learned_temperature": True, "inner_lr": 0, "outer_loss": "task"}, "no loss is contrastive"),
        ({"learned_temperature": True, "algorithm": "fomaml", "outer_loss": "task"}, "no loss is contrastive"),
        ({"algorithm": "reptle"}, "'maml', 'fomaml', 'reptile' or 'imaml'"),
        ({"algorithm": "reptile", "multi_step": 5}, "multi_step is 5, .* 'reptile', .* to maml or fomaml"),
        ({"algorithm": "fomaml", "second_order_after": 5}, "second_order_after is 5, .* set algorithm to maml"),
        ({"algorithm": "imaml", "learned_rates": "layer"}, "learned_rates is layer, .* to maml or fomaml"),
        ({"context_size": -1}, "greater than or equal to 0"),
        ({"context_size": 4, "inner_lr": 0}, "context_size is 4, but inner_lr is 0, and then nothing moves"),
        ({"context_size": 4, "adapt": "boil"}, "adapt is encoder, but context_size is 4, and then the context alone"),
        ({"context_size": 4, "adapt": ("head.*", "x")}, r"adapt is head\.\*, x, but context_size is 4"),
        ({"context_size": 4, "algorithm": "reptile"}, "context_size is 4, .* 'reptile', .* to maml or fomaml"),
        ({"context_size": 4, "algorithm": "imaml"}, "context_size is 4, .* 'imaml', .* to maml or fomaml"),
        ({"proximal": 2.0}, "proximal is 2.0, but algorithm is 'maml', which does not use it"),
        ({"first_order": True, "algorithm": "imaml"}, "first_order is true, but algorithm is 'imaml'"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)  # fmt: skip
def test_invalid_settings_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        XVLMAMLSettings(**settings)


@pytest.mark.parametrize(("former", "algorithm"), [("true", "fomaml"), ("false", "maml")])
def test_first_order_of_former_recipes_is_read(former: str, algorithm: str) -> None:
    text = f"""{{"first_order": {former}, "inner_lr_factors": [0.5], "adapt": ["head.*"]}}"""
    settings = XVLMAMLSettings.model_validate_json(text, strict=True)
    assert settings.algorithm == algorithm
    assert "first_order" not in settings.model_dump()


def test_what_adapts_may_be_called_by_the_name_of_the_algorithm() -> None:
    assert [XVLMAMLSettings(adapt=name).adapt for name in ("anil", "boil")] == ["heads", "encoder"]


@pytest.mark.parametrize("base", [TrainerSpec, LanguageAdapter])
def test_a_specification_or_an_adapter_without_settings_is_refused(base: type) -> None:
    with pytest.raises(UserError, match="'forgetful' .* has no Settings"):
        Registry("trainer", "iglue_plugins.trainers", []).register("forgetful")(type("Forgetful", (base,), {}))
    assert Trainer.Settings is TrainerSettings


def test_a_task_loss_needs_no_negatives() -> None:
    assert XVLMAMLSettings(inner_loss="task", support_size=1).support_size == 1
    assert XVLMAMLSettings(outer_loss="task", query_size=1).query_size == 1
    assert FinetuneSettings(batch_size=1).batch_size == 1


def test_a_temperature_is_learned_where_a_loss_has_one() -> None:
    assert XVLMAMLSettings(learned_temperature=True, outer_loss="task").learned_temperature
    assert FinetuneSettings(learned_temperature=True, loss="both").learned_temperature
    with pytest.raises(ValidationError, match="learned_temperature is set.* no loss is contrastive"):
        FinetuneSettings(learned_temperature=True)


def test_inner_storage_is_not_in_the_fingerprint() -> None:
    assert "inner_storage" in XVLMAMLSettings.fingerprint_exclude
    assert XVLMAMLSettings.fingerprint_exclude > FinetuneSettings.fingerprint_exclude


@pytest.mark.parametrize("loss", ["contrastive", "both"])
def test_a_contrastive_batch_needs_negatives(loss: str) -> None:
    with pytest.raises(ValidationError, match="batch_size is 1, .* raise it to 2"):
        FinetuneSettings(loss=loss, batch_size=1)


def test_unsupervised_training_refuses_a_task_whose_default_pairs_need_labels(
    make_model: Callable[..., PreTrainedModel],
) -> None:
    """MaRVL pairs the images of true statements by default, and whether a statement is true is its label."""
    trainer = XVLMAML(XVLMAMLSettings(supervised=False))
    with pytest.raises(UserError, match="mini/marvl: .*trainer.pairs 'aligned' .* 'caption' or 'all'"):
        trainer.objective(make_model(), MiniMaRVL())
    XVLMAML(XVLMAMLSettings(supervised=False, pairs="all")).objective(make_model(), MiniMaRVL())


def test_too_few_examples_for_a_step(
    make_model: Callable[..., PreTrainedModel],
    processor: RegionProcessor,
    task: Task,
    captions: Task,
    tmp_path: Path,
) -> None:
    def fit(trainer: XVLMAML | Pretrain, task: Task) -> None:
        trainer.fit(make_model(), processor, task, auxiliary_languages=("tr",), folder=tmp_path)

    with pytest.raises(UserError, match="tiny/xvnli.* 24 .* 26"):
        fit(XVLMAML(XVLMAMLSettings(support_size=13, query_size=13)), task)
    with pytest.raises(UserError, match="tiny/captions: trainer.batch_size is 64.* 32 images"):
        fit(Pretrain(PretrainSettings(language_shares={"en": 1})), captions)


# Labels


@pytest.mark.parametrize(
    ("settings", "labels"),
    [
        ({}, 16),
        ({"accumulation": 3}, 48),
        ({"loss": "both"}, 16),
        ({"loss": "contrastive"}, 0),
        ({"loss": "contrastive", "pairs": "all"}, 0),
        ({"loss": "contrastive", "pairs": "aligned"}, 16),
    ],
)
@pytest.mark.parametrize("trainer", [Finetune, AuxiliaryFinetune])
def test_labels_of_fine_tuning(trainer: type[Finetune], settings: dict[str, object], labels: int) -> None:
    """Languages take turns, so their number does not count."""
    made = trainer(FinetuneSettings(batch_size=16, **settings))
    assert made.labels_per_step(MiniXVNLI, 1) == made.labels_per_step(MiniXVNLI, 2) == labels


@pytest.mark.parametrize(
    ("settings", "labels"),
    [
        ({}, 4),
        ({"accumulation": 2}, 8),
        ({"inner_loss": "both"}, 7),
        ({"inner_loss": "task", "outer_loss": "contrastive"}, 3),
        ({"pairs": "aligned"}, 7),
        ({"inner_lr": 0, "pairs": "aligned"}, 4),
        ({"supervised": False}, 0),
        ({"supervised": False, "pairs": "all"}, 0),
    ],
)
def test_labels_of_a_meta_step(settings: dict[str, object], labels: int) -> None:
    trainer = XVLMAML(XVLMAMLSettings(support_size=3, query_size=4, **settings))
    assert [trainer.labels_per_step(MiniXVNLI, languages) for languages in (1, 2)] == [labels, 2 * labels]


def test_labels_of_a_step_with_some_of_the_languages() -> None:
    trainer = XVLMAML(XVLMAMLSettings(support_size=3, query_size=4, languages_per_step=2))
    assert [trainer.labels_per_step(MiniXVNLI, languages) for languages in (2, 5)] == [8, 8]


def test_a_task_that_pairs_by_label_uses_the_labels_of_the_support_batch() -> None:
    trainer = XVLMAML(XVLMAMLSettings(support_size=3, query_size=4))
    assert trainer.labels_per_step(MiniMaRVL, 1) == 7
    assert AuxiliaryFinetune(FinetuneSettings(batch_size=16, loss="contrastive")).labels_per_step(MiniMaRVL, 1) == 16


def test_pretraining_takes_captions_only() -> None:
    assert Pretrain(PretrainSettings(language_shares={"en": 1})).labels_per_step(MiniCaptions, 15) == 0


# What a step sees


@pytest.fixture
def data(task: Task, processor: RegionProcessor) -> TrainingData:
    return TrainingData(task, processor, ("en",), ("tr", "de"), seed=3)


def texts(batch: Batch, tokenizer: PreTrainedTokenizerBase) -> list[str]:
    return tokenizer.batch_decode(batch.text["input_ids"], skip_special_tokens=True)


def test_fine_tuning_sees_the_source_language_and_the_control_each_auxiliary_one_in_turn(
    data: TrainingData, task: Task, tokenizer: PreTrainedTokenizerBase
) -> None:
    settings = FinetuneSettings(batch_size=8, steps=2, accumulation=2)
    english, auxiliary = (trainer(settings).steps(data) for trainer in (Finetune, AuxiliaryFinetune))
    assert len(english) == len(auxiliary) == 4
    written = {
        language: set(task.load(split, language)["text"])
        for split, language in (("train", "en"), ("auxiliary", "tr"), ("auxiliary", "de"))
    }
    for steps, languages in (english, ["en"] * 4), (auxiliary, ["tr", "de"] * 2):
        for step, language in enumerate(languages):
            assert set(texts(steps[step]["batch"], tokenizer)) <= written[language], (step, language)


def test_batches_of_several_sources_come_in_turn(
    task: Task, processor: RegionProcessor, tokenizer: PreTrainedTokenizerBase
) -> None:
    trainer = Finetune(FinetuneSettings(batch_size=8, steps=4, validate_every=2))
    assert trainer.reads(task, ("en", "de"), ()) == [("train", "en", None), ("train", "de", None), ("dev", "en", None)]
    steps = trainer.steps(TrainingData(task, processor, ("en", "de"), ("tr",), seed=3))
    for step, language in enumerate(["en", "de", "en", "de"]):
        written = set(task.load("train", language)["text"])
        assert set(texts(steps[step]["batch"], tokenizer)) <= written, (step, language)


def test_a_meta_step_sees_an_episode_of_each_language(data: TrainingData, task: Task) -> None:
    steps = XVLMAML(XVLMAMLSettings(steps=5, accumulation=2, support_size=4, query_size=6)).steps(data)
    assert len(steps) == 10
    episodes = steps[7]["episodes"]
    assert [episode["language"] for episode in episodes] == ["tr", "de"]
    assert [(len(e["support"].labels), len(e["query"].labels)) for e in episodes] == [(4, 6), (4, 6)]


def test_the_setting_examples_selects_the_same_examples_in_every_language(
    task: Task, processor: RegionProcessor
) -> None:
    def images(seed: int, examples: int | None) -> list[list[list[int]]]:
        made = TrainingData(task, processor, ("en",), ("tr", "de"), seed, examples).batchers("auxiliary")
        return [sorted(batcher.images.tolist()) for batcher in made.values()]

    turkish, german = images(0, 10)
    assert turkish == german
    assert len(turkish) == 10
    assert images(1, 10)[0] != turkish
    assert [len(chosen) for chosen in images(0, 100)] == [24, 24]
    assert images(0, None) == images(0, 24)


@pytest.mark.parametrize("trainer", [XVLMAML, AuxiliaryFinetune])
def test_training_without_an_auxiliary_language_is_refused(
    trainer: type[XVLMAML],
    task: Task,
    processor: RegionProcessor,
    make_model: Callable[..., PreTrainedModel],
    tmp_path: Path,
) -> None:
    with pytest.raises(UserError, match="no auxiliary_languages .* at least one of ar, bn, de, es"):
        trainer().fit(make_model(), processor, task, folder=tmp_path)
