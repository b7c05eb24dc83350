"""`iglue run` on a user's own data: mini's examples and regions, written to a folder, give mini's scores."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from iglue_plugins import registry
from iglue_plugins.data.conversion.converter import convert
from iglue_plugins.mini import world
from iglue_plugins.mini.feature_cache import cached_region_features
from iglue_plugins.runs.folder import Run
from iglue_plugins.runs.plugins import _make_task
from iglue_plugins.runs.sharing.public_files import public_files

LANGUAGES = ("en", "tr", "de")
SPLITS = {"train": "train", "dev": "dev", "test": "test", "auxiliary": "auxiliary", "few_shot": "auxiliary"}
SIZES = {"train": 48, "auxiliary": 24, "dev": 24, "test": 40}


@pytest.fixture
def no_task_made_before() -> Iterator[None]:
    """Runs of one process share their tasks; those of other tests have other sizes."""
    _make_task.cache_clear()
    yield
    _make_task.cache_clear()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a part of mini/xvnli: rows in three languages, a region store, and a YAML file."""
    cls = registry.tasks.load("mini/xvnli")
    monkeypatch.setattr(cls, "sizes", SIZES)
    mini, data, features = cls(), tmp_path / "data", tmp_path / "features"
    data.mkdir()
    features.mkdir()
    for split in SIZES:
        scenes = [scene for example in mini.examples(split) for scene in example.scenes]
        for scene, (found, boxes) in zip(scenes, cached_region_features(scenes), strict=True):
            np.save(features / f"{_name(scene.id)}.npy", found)
            size = {"image_width": int(world.CANVAS), "image_height": int(world.CANVAS)}
            np.save(features / f"{_name(scene.id)}_info.npy", {"bbox": boxes, **size})
    convert([features], data / "regions", "npy", "float32")
    for language in LANGUAGES:
        rows = [row for split, source in SPLITS.items() for row in _rows(mini.load(source, language), split)]
        (data / f"{language}.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    facts = {"files": "{language}.jsonl", "regions": "regions", "auxiliary_languages": ["tr"]}
    facts |= {"columns": {"text": "hypothesis"}}
    (data / "task.yaml").write_text(yaml.safe_dump(facts))
    return data


def _name(image_id: str) -> str:
    return image_id.removeprefix("mini/xvnli/").replace("/", "-")


def _rows(examples: Any, split: str) -> list[dict[str, Any]]:
    return [
        {
            "id": example["id"],
            "image": f"{_name(example['image_ids'][0])}.png",
            "hypothesis": example["text"],
            "label": example["label"],
            "caption": example["caption"],
            "split": split,
            **({"shots": number} if split == "few_shot" else {}),
        }
        for number, example in enumerate(examples, 1)
    ]


TRAINERS: dict[str, dict[str, Any]] = {
    "finetune": {"steps": 4, "batch_size": 16, "learning_rate": 3e-4, "validate_every": 2},
    "xvl_maml": {"steps": 2, "support_size": 8, "query_size": 8, "learning_rate": 3e-4, "pairs": "caption"},
    "few_shot": {"shots": 8, "epochs": 1, "batch_size": 4, "learning_rates": [1e-4, 3e-4]},
}


@pytest.mark.usefixtures("no_task_made_before")
def test_the_scores_are_those_of_mini_on_the_same_examples(iglue: Callable[..., Any], folder: Path) -> None:
    tasks = {"mini": {"name": "mini/xvnli"}, "custom": {"name": "custom/nli", "data": str(folder)}}
    for trainer, settings in TRAINERS.items():
        scores, losses = {}, {}
        for name, task in tasks.items():
            recipe = folder.parent / f"{name}-{trainer}.yaml"
            content: dict[str, Any] = {
                "task": task,
                "model": "mini/xuniter",
                "trainer": {"name": trainer, **settings},
                "evaluation": {"languages": list(LANGUAGES)},
                "runs": str(folder.parent / "runs"),
            }
            if trainer != "finetune":
                content["start_from"] = f"{name}-finetune.yaml"
            recipe.write_text(yaml.safe_dump(content))
            ended = iglue("run", recipe)
            assert ended.code == 0, ended
            run = Path(ended.out.splitlines()[-1])
            record = json.loads((run / "record.json").read_text())
            scores[name] = {language: found["accuracy"] for language, found in record["scores"]["test"].items()}
            predictions = (run / "predictions" / "test" / "de.jsonl").read_text().splitlines()
            losses[name] = [json.loads(line)["prediction"] for line in predictions]
            assert record["task"] == task["name"]
        assert set(scores["custom"]) == set(LANGUAGES)
        assert scores["custom"] == scores["mini"], trainer
        assert losses["custom"] == losses["mini"], trainer


@pytest.mark.usefixtures("no_task_made_before")
def test_a_shared_run_takes_the_data_from_where_its_reader_has_them(iglue: Callable[..., Any], folder: Path) -> None:
    recipe = {
        "task": {"name": "custom/nli", "data": str(folder)},
        "model": "mini/xuniter",
        "trainer": {"name": "finetune", **TRAINERS["finetune"]},
        "evaluation": {"languages": ["en"]},
        "runs": str(folder.parent / "runs"),
    }
    (folder.parent / "r.yaml").write_text(yaml.safe_dump(recipe))
    run = Run(iglue("run", folder.parent / "r.yaml").out.splitlines()[-1])
    shared = folder.parent / "shared"
    shared.mkdir()
    for file in public_files(run, "me/nli").files:
        content = file.content if isinstance(file.content, bytes) else file.content.read_bytes()
        (shared / file.name).write_bytes(content)
    elsewhere = folder.rename(folder.with_name("elsewhere"))
    expected = run.read_predictions("test", "en")[0]
    question = ("predict", shared, "--image", *expected["image_ids"], "--text", expected["text"], "--json")
    assert "task custom/nli" in iglue(*question).sentence()
    found = json.loads(iglue(*question, "--set", f"task.data={elsewhere}").out)
    assert found["label"] == expected["prediction"]
