"""A package of somebody else's adds a trainer, a task and a model by entry points, and `iglue` runs them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from PIL import Image
from safetensors.torch import load_file

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


def run_stages(
    shared: dict[str, Any], environment: dict[str, str], folder: Path, **meta: Any
) -> tuple[Path, dict[str, Any]]:
    """Fine-tune, meta-train by second order and evaluate; the folder of the last run, and its record."""
    finetune = {"name": "finetune", "steps": 3, "batch_size": 8, "learning_rate": 0.01, "validate_every": 2}
    meta = {"name": "xvl_maml", "steps": 3, "support_size": 6, "query_size": 6, "learning_rate": 0.01, **meta}
    (folder / "finetune.yaml").write_text(yaml.safe_dump({**shared, "trainer": finetune}))
    (folder / "meta.yaml").write_text(yaml.safe_dump({**shared, "trainer": meta, "start_from": "finetune.yaml"}))
    ended = iglue("run", "meta.yaml", environment=environment, folder=folder)
    assert ended.returncode == 0, ended.stderr
    run = folder / ended.stdout.splitlines()[-1]
    record = json.loads((run / "record.json").read_text())
    assert record["recipe"]["trainer"]["algorithm"] == "maml"
    return run, record


def test_a_model_that_reads_pixels_takes_at_most_80_lines() -> None:
    assert len((SOURCE / "patches.py").read_text().splitlines()) <= 80


def test_a_model_that_reads_pixels_trains_on_drawn_scenes_and_is_loaded_again(
    environment: dict[str, str], tmp_path: Path
) -> None:
    evaluation = {"splits": ["dev"], "languages": ["en", "tr", "id"]}
    shared = {"task": "mini/xvnli", "model": "patches", "auxiliary_languages": ["tr"], "evaluation": evaluation}
    run, record = run_stages(shared, environment, tmp_path)
    assert {language: scores["examples"] for language, scores in record["scores"]["dev"].items()} == {
        "en": 300,
        "tr": 300,
        "id": 300,
    }
    learned = [load_file(path) for path in sorted(tmp_path.glob("runs/*/model/model.safetensors"))]
    assert len(learned) == 2
    assert not any(value.equal(learned[1][name]) for name, value in learned[0].items())
    # Another process loads the saved model and its processor, and predicts the same.
    predictions = run / "predictions" / "dev" / "id.jsonl"
    shutil.copytree(run, tmp_path / "copy")
    record["scores"]["dev"].pop("id")
    (tmp_path / "copy" / "record.json").write_text(json.dumps(record))
    ended = iglue("evaluate", "copy", "--languages", "id", environment=environment, folder=tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert json.loads((tmp_path / "copy" / "record.json").read_text())["scores"]["dev"].keys() == {"en", "tr", "id"}
    assert (tmp_path / "copy" / "predictions" / "dev" / "id.jsonl").read_text() == predictions.read_text()


def test_a_model_that_reads_pixels_trains_on_retrieval_over_a_folder_of_pictures(
    environment: dict[str, str], tmp_path: Path
) -> None:
    pictures = tmp_path / "data" / "images"
    pictures.mkdir(parents=True)
    rows = []
    for number, name in enumerate(("red", "green", "blue", "white", "black", "orange", "purple", "brown") * 2):
        kind = "small" if number < 8 else "large"
        Image.new("RGB", (20, 30) if number < 8 else (40, 20), name).save(pictures / f"{kind}-{name}.png")
        for language, split in (("en", "train"), ("de", "auxiliary"), ("en", "dev"), ("en", "test"), ("de", "test")):
            text = f"a {kind} {name} one" if language == "en" else f"{name}, {kind}"
            row = {"id": str(number), "image": f"{kind}-{name}", "text": text, "language": language, "split": split}
            rows.append(json.dumps(row))
    (tmp_path / "data" / "data.jsonl").write_text("\n".join(rows))
    (tmp_path / "data" / "task.yaml").write_text("pictures: images\nauxiliary_languages: [de]\n")
    shared = {"task": {"name": "custom/retrieval", "data": "data"}, "model": "patches"}
    _, record = run_stages(shared, environment, tmp_path, pairs="all")
    assert record["scores"]["test"].keys() == {"en", "de"}
    assert all(scores["examples"] == 16 for scores in record["scores"]["test"].values())


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
