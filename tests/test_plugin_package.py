"""A package of somebody else's adds a trainer through an entry point, and `iglue` runs it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import iglue_plugins

FILES = {
    "pyproject.toml": """
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"
""",
    "setup.cfg": """
[metadata]
name = worst-language
version = 1.0

[options]
py_modules = worst_language

[options.entry_points]
iglue_plugins.trainers =
    worst_language = worst_language:WorstLanguage
    broken = worst_language:NoSuchTrainer
""",
    "worst_language.py": '''
"""Training on a batch of each auxiliary language at a time, by the loss of the language that does worst."""

import torch
from pydantic import Field
from torch import nn

from iglue_plugins.data.episodes import ShuffledExamples, Steps
from iglue_plugins.trainers.base import Trainer, TrainerSettings


class WorstLanguageSettings(TrainerSettings):
    batch_size: int = Field(32, ge=1, description="examples a language")


class WorstLanguageObjective(nn.Module):
    def __init__(self, model, task):
        super().__init__()
        self.model = model
        self.task = task

    def forward(self, batches):
        """batches: a batch for each language. Returns the largest loss, and all of them to log."""
        losses = {f"loss_{language}": self.task.loss(self.model(**batch), batch) for language, batch in batches.items()}
        return {"loss": torch.stack(list(losses.values())).max(), **losses}


class WorstLanguage(Trainer):
    Settings = WorstLanguageSettings
    starts_from = "finetune"
    trains_on = "auxiliary"

    def steps(self, data):
        size = self.settings.batch_size
        examples = {language: ShuffledExamples(batcher, size, (data.seed, i))
                    for i, (language, batcher) in enumerate(data.batchers(self.trains_on).items())}

        def make_step(step):
            return {"batches": {language: own.split_batches(step, size)[0] for language, own in examples.items()}}

        return Steps(make_step, self.settings.steps * self.settings.accumulation)

    def objective(self, model, task):
        return WorstLanguageObjective(model, task)

    def labels_per_step(self, task, languages):
        return languages * self.settings.accumulation * self.settings.batch_size
''',
}


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Environment variables under which Python finds the installed package."""
    source, site = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("site")
    for name, text in FILES.items():
        (source / name).write_text(text.lstrip())
    subprocess.run(
        [
            sys.executable,
            "-m",
            "pip",
            "install",
            "--quiet",
            "--no-index",
            "--no-deps",
            "--no-build-isolation",
            "--target",
            site,
            source,
        ],
        check=True,
    )
    ours = Path(iglue_plugins.__file__).parents[1]
    return os.environ | {"PYTHONPATH": os.pathsep.join([str(site), str(ours)]), "OMP_NUM_THREADS": "1"}


def iglue(*arguments: str | Path, environment: dict[str, str], folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "iglue_plugins", *map(str, arguments)]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


def test_a_recipe_trains_with_a_trainer_of_another_package(
    environment: dict[str, str], tiny_checkpoint: Path, tmp_path: Path
) -> None:
    recipe = {
        "task": "mini/xvnli",
        "model": {"name": "xuniter", "checkpoint": str(tiny_checkpoint)},
        "trainer": {"name": "worst_language", "steps": 2, "batch_size": 4, "learning_rate": 1e-3},
        "start_from": "model",
        "auxiliary_languages": ["tr", "sw"],
        "evaluation": {"splits": ["dev"], "languages": ["en", "id"]},
    }
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    ended = iglue("run", "recipe.yaml", environment=environment, folder=tmp_path)
    assert ended.returncode == 0, ended.stderr
    folder = tmp_path / ended.stdout.splitlines()[-1]
    record = json.loads((folder / "record.json").read_text())
    assert (record["trainer"], record["training_languages"], record["labels_per_step"]) == (
        "worst_language",
        ["tr", "sw"],
        8,
    )
    assert {language: scores["examples"] for language, scores in record["scores"]["dev"].items()} == {
        "en": 300,
        "id": 300,
    }


def test_a_broken_trainer_beside_it_is_listed_with_the_reason_and_takes_nothing_down(
    environment: dict[str, str], tmp_path: Path
) -> None:
    ended = iglue("list", environment=environment, folder=tmp_path)
    assert ended.returncode == 0, ended.stderr
    trainers, reason = ended.stdout.splitlines()[:2]
    names = trainers.removeprefix("trainers: ").split(", ")
    assert {"worst_language", "xvl_maml"} <= set(names) and "broken" not in names
    origin = "entry point 'broken = worst_language:NoSuchTrainer' of worst-language 1.0"
    assert reason.startswith(f"  broken is broken: {origin}")
