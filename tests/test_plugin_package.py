"""A package of somebody else's adds a trainer, a task and a model by entry points, and `iglue` runs them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import iglue_plugins

SOURCE = Path(__file__).parent / "outside_package"


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Environment variables under which Python finds the installed package."""
    source, site = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("site")
    shutil.copytree(SOURCE, source, dirs_exist_ok=True)  # since a build leaves files in the tree
    options = ["--quiet", "--no-index", "--no-deps", "--no-build-isolation", "--target", site]
    subprocess.run([sys.executable, "-m", "pip", "install", *options, source], check=True)
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
