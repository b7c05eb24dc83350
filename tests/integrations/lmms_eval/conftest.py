"""Runs of tiny models, and the mini benchmark's tasks for lmms-eval."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import datasets
import pytest
import torch
import yaml
from transformers import AutoTokenizer

from iglue_plugins.integrations.lmms_eval.task_files import DataSource, write_tasks
from iglue_plugins.mini import ASSETS
from iglue_plugins.mini.world import FEATURE_SIZE
from iglue_plugins.recipes.recipe import load_recipe
from iglue_plugins.runs import plugins, runner
from iglue_plugins.runs.folder import Run
from iglue_plugins.tasks.settings import IGLUE_HOME

ROOT = Path(__file__).parents[3]
CONFIG = {
    "vocab_size": len(AutoTokenizer.from_pretrained(ASSETS / "tokenizer")),
    "region_feature_size": FEATURE_SIZE,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 32,
    "max_position_embeddings": 90,
    "pooler_size": 32,
    "classifier_hidden_size": 32,
    "contrastive_size": 8,
    "initializer_range": 0.5,
}


@pytest.fixture(scope="session", autouse=True)
def clean_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keeps tests from writing to the user's cache, and from finding data that they do not name."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path_factory.mktemp("cache"))
        patch.delenv(IGLUE_HOME, raising=False)
        yield


@pytest.fixture(scope="session")
def mini_tasks() -> Path:
    return write_tasks([], DataSource())


@pytest.fixture(scope="session")
def run_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Run]:
    """Gives a function that makes finished runs of tiny models, whose large random weights give varied answers."""
    runs = tmp_path_factory.mktemp("runs")

    def make(name: str, *languages: str) -> Run:
        recipe = load_recipe(
            ROOT / "recipes" / "mini" / name / "finetune.yaml",
            ["model.name=xuniter", f"model.config={CONFIG}", f"model.tokenizer={ASSETS / 'tokenizer'}"],
        )
        run, task = Run(runs / name), plugins.make_task(recipe)
        if not run.is_finished:
            torch.manual_seed(0)
            model, processor = plugins.load_model(recipe, None)
            model.set_head(task.head, task.num_labels)
            model.save_pretrained(run.model_dir)
            processor.save_pretrained(run.model_dir)
            run.recipe_path.write_text(yaml.safe_dump(recipe.to_dict()))
            run.write_record(
                {
                    "name": name,
                    "fingerprint": "0" * 12,
                    "seed": 0,
                    "task": task.name,
                    "trainer": "finetune",
                    "source_language": "en",
                    "training_languages": [],
                    "labels_per_step": 0,
                    "steps": 0,
                    "scores": {},
                    "timings": {},
                }
            )
        return runner.evaluate(run.folder, ["test"], languages)[0] if languages else run

    return make
