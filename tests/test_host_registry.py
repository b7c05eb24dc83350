"""Another harness, with its own registry, trainer and loop, runs the trainers and tasks from here beside its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file
from transformers import AutoTokenizer

import iglue_plugins
from iglue_plugins.data.batching import Batcher
from iglue_plugins.data.processors.regions import RegionProcessor
from iglue_plugins.evaluation.evaluator import evaluate
from iglue_plugins.models.uniter import XUniterForVisionAndLanguage
from iglue_plugins.recipes.recipe import load_recipe
from iglue_plugins.runs import runner
from iglue_plugins.runs.folder import Run

LANGUAGES = ["en", "tr", "sw"]
SETTINGS = {"steps": 3, "support_size": 8, "query_size": 8, "learning_rate": 1e-2, "inner_lr": 0.1}


class Host:
    """A benchmark harness: registries that are filled by decorators, and a loop over recipes."""

    def __init__(self) -> None:
        self.trainers: dict[str, type] = {"plain": PlainFinetune}
        self.tasks: dict[str, type] = {}

    def register_trainer(self, name: str) -> Callable[[type], type]:
        return self._decorator(self.trainers, name)

    def register_task(self, name: str) -> Callable[[type], type]:
        return self._decorator(self.tasks, name)

    @staticmethod
    def _decorator(classes: dict[str, type], name: str) -> Callable[[type], type]:
        def decorate(cls: type) -> type:
            if name in classes:
                raise ValueError(f"{name} is taken")
            classes[name] = cls
            return cls

        return decorate

    def run(self, recipe: dict[str, Any], folder: Path) -> tuple[XUniterForVisionAndLanguage, dict[str, Any]]:
        """The trained model and its scores by language."""
        task, trainer = self.tasks[recipe["task"]](), self.trainers[recipe["trainer"]]
        model = XUniterForVisionAndLanguage.from_pretrained(recipe["checkpoint"])
        processor = RegionProcessor(AutoTokenizer.from_pretrained(recipe["checkpoint"]))
        settings = {**task.trainer_defaults.get(recipe["trainer"], {}), **recipe["settings"]}
        trainer(trainer.Settings(**settings)).fit(
            model, processor, task, source_languages=("en",), auxiliary_languages=("tr",), seed=5, folder=folder
        )
        return model, {language: evaluate(task, model, processor, "dev", language)[1] for language in LANGUAGES}


class PlainFinetune:
    """The host's own trainer: a plain loop over the auxiliary languages' examples."""

    @dataclass
    class Settings:
        steps: int
        learning_rate: float = 1e-2

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def fit(self, model, processor, task, *, source_languages, auxiliary_languages, seed, folder) -> None:
        torch.manual_seed(seed)
        model.set_head(task.head, task.num_labels)
        batchers = [Batcher(task.load("auxiliary", language), task, processor) for language in auxiliary_languages]
        optimiser = torch.optim.SGD(model.train().parameters(), lr=self.settings.learning_rate)
        for step in range(self.settings.steps):
            batch = batchers[step % len(batchers)].batch(range(8 * step, 8 * step + 8))
            loss = task.loss(model(**batch.inputs), batch)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()


@pytest.fixture(scope="module")
def own_run(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """What `iglue run` makes of the recipe that the hosts below run."""
    folder = tmp_path_factory.mktemp("own")
    recipe = {
        "task": "mini/xvnli",
        "model": {"name": "xuniter", "checkpoint": str(tiny_checkpoint)},
        "trainer": {"name": "xvl_maml", **SETTINGS},
        "start_from": "model",
        "auxiliary_languages": ["tr"],
        "seed": 5,
        "evaluation": {"splits": ["dev"], "languages": LANGUAGES},
        "runs": str(folder / "runs"),
    }
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    return runner.run(load_recipe(folder / "recipe.yaml"))


@pytest.mark.parametrize("style", ["decorators", "mappings"])
def test_a_host_runs_xvl_maml_beside_its_own_trainer(
    style: str, own_run: Run, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    host = Host()
    names = iglue_plugins.register(host if style == "decorators" else {"trainers": host.trainers, "tasks": host.tasks})
    assert host.trainers.keys() == {"plain", *names["trainers"]}
    assert host.tasks.keys() == set(names["tasks"])

    common = {"task": "mini/xvnli", "checkpoint": tiny_checkpoint}
    model, scores = host.run({**common, "trainer": "xvl_maml", "settings": SETTINGS}, tmp_path / "xvl_maml")
    _, plain_scores = host.run({**common, "trainer": "plain", "settings": {"steps": 3}}, tmp_path / "plain")

    own_scores = own_run.record()["scores"]["dev"]
    assert {language: {**of_language, "examples": 300} for language, of_language in scores.items()} == own_scores
    own_weights = load_file(own_run.model_dir / "model.safetensors")
    weights = model.state_dict()
    assert {name for name in own_weights if not torch.equal(own_weights[name], weights[name])} == set()
    assert {language: set(of_language) for language, of_language in plain_scores.items()} == {
        language: {"accuracy"} for language in LANGUAGES
    }


def test_the_equality_above_is_of_trained_weights(own_run: Run, tiny_checkpoint: Path) -> None:
    before = load_file(tiny_checkpoint / "model.safetensors")
    after = load_file(own_run.model_dir / "model.safetensors")
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert {name.partition(".")[0] for name in changed} == {"encoder", "contrastive"}


@pytest.mark.parametrize("configuration", [SETTINGS, {}, SimpleNamespace(training=SETTINGS)], ids=repr)
def test_a_hosts_configuration_is_not_taken_for_settings(configuration: object) -> None:
    """A host may make its trainers by `cls(configuration)`, with the configuration of everything."""
    host = Host()
    iglue_plugins.register(host)
    for cls in (*host.trainers.values(), *host.tasks.values()):
        if cls is not PlainFinetune:
            with pytest.raises(TypeError, match=f"^{cls.__name__} was given a .*{cls.__name__}.Settings"):
                cls(configuration)


def test_settings_of_another_trainer_are_refused() -> None:
    host = Host()
    iglue_plugins.register(host)
    finetune, xvl_maml = host.trainers["finetune"], host.trainers["xvl_maml"]
    with pytest.raises(TypeError, match="XVLMAML was given a FinetuneSettings"):
        xvl_maml(finetune.Settings())
    assert xvl_maml(xvl_maml.Settings(inner_lr=0.5)).settings.inner_lr == 0.5
