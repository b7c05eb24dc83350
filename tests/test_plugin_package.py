"""A package of somebody else's adds a trainer, a task and a model by entry points, and `iglue` runs them."""

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
py_modules =
    colors
    colors_spec
    pooled
    worst_language

[options.entry_points]
iglue_plugins.trainers =
    worst_language = worst_language:WorstLanguage
    broken = worst_language:NoSuchTrainer
iglue_plugins.tasks =
    colors = colors_spec:ColorsSpec
iglue_plugins.models =
    pooled = pooled:Pooled
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
            return {"batches": {key: shuffled.split_batches(step, size)[0] for key, shuffled in examples.items()}}

        return Steps(make_step, self.settings.steps * self.settings.accumulation)

    def objective(self, model, task):
        return WorstLanguageObjective(model, task)

    def labels_per_step(self, task, languages):
        return languages * self.settings.accumulation * self.settings.batch_size
''',
    "colors_spec.py": '''
"""What a recipe has to know of the task `colors`; it imports no PyTorch."""

from iglue_plugins.tasks.settings import TaskSettings
from iglue_plugins.tasks.spec import TaskSpec


class ColorsSettings(TaskSettings):
    examples: int = 24


class ColorsSpec(TaskSpec):
    name = "colors"
    languages = ("en", "fr", "tr")
    default_auxiliary_languages = ("fr",)
    splits = ("train", "dev", "test", "auxiliary")
    Settings = ColorsSettings
    implementation = "colors:Colors"
''',
    "colors.py": '''
"""Is the image, a single region, of the color that the text names?"""

import numpy as np
from colors_spec import ColorsSpec
from datasets import Dataset

from iglue_plugins.data.regions import InMemoryRegions
from iglue_plugins.tasks.base import Task

WORDS = {"en": ("red", "blue"), "fr": ("rouge", "bleu"), "tr": ("kırmızı", "mavi")}


class Colors(ColorsSpec, Task):
    head = "classifier"
    labels = ("no", "yes")
    default_pairs = "aligned"

    def __init__(self, settings=None):
        super().__init__(settings)
        self._regions = InMemoryRegions(2, max_boxes=1)
        box = np.array([[0, 0, 1, 1]], np.float32)
        self._regions.add({word: (np.eye(2, dtype=np.float32)[[i]], box) for i, word in enumerate(WORDS["en"])}, 1, 1)

    @property
    def regions(self):
        return self._regions

    def load(self, split, language, shots=None):
        self.check_split_language(split, language)
        rows = [(i % 2, i // 2 % 2) for i in range(self.settings.examples)]
        return Dataset.from_list([
            {"id": f"{split}/{i}", "image_ids": [WORDS["en"][image]], "text": WORDS[language][word],
             "language": language, "label": self.labels[image == word]}
            for i, (image, word) in enumerate(rows)
        ])

    def is_aligned(self, labels):
        return labels == self.labels.index("yes")

    def fingerprint(self):
        return f"colors {self.settings.examples}"
''',
    "pooled.py": '''
"""The mean of the token embeddings times the mean of the regions."""

import string

import torch
from pydantic import BaseModel, ConfigDict
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from torch import nn
from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerFast


class PooledConfig(PreTrainedConfig):
    model_type = "pooled_of_another_package"
    hidden_size: int = 8
    head: str = "classifier"
    region_location_size: int = 5
    global_region: bool = True


class PooledModel(PreTrainedModel):
    config_class = PooledConfig

    def __init__(self, config):
        super().__init__(config)
        self.tokens = nn.Embedding(256, config.hidden_size)
        self.regions = nn.Linear(2, config.hidden_size)
        self.head = nn.Linear(config.hidden_size, config.num_labels)
        self.post_init()

    def get_input_embeddings(self):
        return self.tokens

    def _sides(self, input_ids, attention_mask, region_features, region_mask):
        mask = attention_mask.unsqueeze(-1)
        text = (self.tokens(input_ids) * mask).sum(1) / mask.sum(1)
        mask = region_mask.unsqueeze(-1)
        return text, (self.regions(region_features) * mask).sum(1) / mask.sum(1)

    def forward(self, input_ids, attention_mask, region_features, region_mask, **_):
        text, image = self._sides(input_ids, attention_mask, region_features, region_mask)
        return self.head(text * image)

    def embed_pairs(self, input_ids, attention_mask, region_features, region_mask, joint=False, **_):
        return self._sides(input_ids, attention_mask, region_features, region_mask)

    def set_head(self, kind, num_labels):
        if self.config.num_labels != num_labels:
            self.config.num_labels = num_labels
            self.head = nn.Linear(self.config.hidden_size, num_labels)


class Pooled:
    class Settings(BaseModel):
        model_config = ConfigDict(extra="forbid")
        checkpoint: str | None = None

    def __init__(self, settings):
        self.settings = settings

    def load(self):
        bytes_ = Tokenizer(models.BPE(vocab={chr(i): i for i in range(256)}, merges=[], unk_token="?"))
        bytes_.pre_tokenizer = pre_tokenizers.Whitespace()
        tokenizer = PreTrainedTokenizerFast(tokenizer_object=bytes_, pad_token="!", unk_token="?")
        if self.settings.checkpoint:
            return PooledModel.from_pretrained(self.settings.checkpoint).eval(), tokenizer
        return PooledModel(PooledConfig()).eval(), tokenizer
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


def test_a_recipe_trains_a_model_of_another_package_on_its_task(environment: dict[str, str], tmp_path: Path) -> None:
    shared = {"task": {"name": "colors", "examples": 40}, "model": "pooled"}
    english = {**shared, "trainer": {"name": "finetune", "steps": 40, "learning_rate": 0.1, "batch_size": 8}}
    meta = {"name": "xvl_maml", "steps": 40, "learning_rate": 0.1, "support_size": 8, "query_size": 8}
    (tmp_path / "english.yaml").write_text(yaml.safe_dump(english))
    (tmp_path / "meta.yaml").write_text(yaml.safe_dump({**shared, "trainer": meta, "start_from": "english.yaml"}))
    ended = iglue("run", "meta.yaml", environment=environment, folder=tmp_path)
    assert ended.returncode == 0, ended.stderr
    record = json.loads((tmp_path / ended.stdout.splitlines()[-1] / "record.json").read_text())
    assert record["training_languages"] == ["fr"]
    scores = record["scores"]["test"]
    assert {language: score["examples"] for language, score in scores.items()} == {"en": 40, "fr": 40, "tr": 40}
    assert scores["fr"]["accuracy"] == 100


def test_names_of_a_light_package_import_no_torch(environment: dict[str, str]) -> None:
    code = """
import sys
from iglue_plugins import registry
assert registry.tasks.get("colors").Settings().examples == 24
print({"torch", "datasets"} & sys.modules.keys())
"""
    ended = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert ended.stdout == "set()\n", ended.stderr


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
