"""Annotation files whose texts name their file, and tasks that read them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest

from iglue_plugins import registry
from iglue_plugins.data.conversion.converter import convert
from iglue_plugins.tasks.iglue.task import IGLUETask
from iglue_plugins.tasks.settings import IGLUE_HOME

ANSWERS = ["no", "yes", *(f"answer {i}" for i in range(1840))]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.delenv(IGLUE_HOME, raising=False)


@pytest.fixture
def data_root(tmp_path: Path) -> Path:
    return tmp_path / "iglue"


@pytest.fixture
def put(data_root: Path) -> Callable[..., Path]:
    """Writes a file below datasets/, in the form that files of its name have. Its texts are '<file> 0', '<file> 1' ...

    changes: of every annotation. ids: default 0, 1 ...; images are named after them.
    """

    def write(file: str, count: int = 3, *, ids: Iterable[int] | None = None, **changes: Any) -> Path:
        rows = {str(i): _annotation(file, i) | changes for i in ids or range(count)}
        path = data_root / "datasets" / file
        path.parent.mkdir(parents=True, exist_ok=True)
        by_id = "qa" in file.lower() and path.suffix == ".json"
        path.write_text(json.dumps(rows) if by_id else "".join(f"{json.dumps(row)}\n" for row in rows.values()))
        return path

    return write


def _annotation(file: str, i: int) -> dict[str, Any]:
    if file.startswith("XVNLI"):
        return {
            "gold_label": "neutral",
            "sentence1": f"caption {i}",
            "sentence2": f"{file} {i}",
            "pairID": f"{i}",
            "Flikr30kID": f"{i}.jpg",
        }
    if file.startswith("marvl"):
        return {
            "caption": f"{file} {i}",
            "left_img": f"9-{i}.jpg",
            "right_img": f"9-{i + 1}.jpg",
            "id": f"{i}",
            "label": False,
        }
    if file.startswith("nlvr2"):
        return {"sentence": f"{file} {i}", "label": "True", "identifier": f"dev-{i}-0-0"}
    if file.startswith(("gqa", "xGQA")):
        return {"imageId": f"n{i}", "question": f"{file} {i}", "answer": "no"}
    return {"sentences": [f"{file} {i}", f"another {i}"], "img_path": f"{i}.jpg"}


@pytest.fixture
def put_answers(data_root: Path) -> Callable[[list[str]], Path]:
    """Writes GQA's answers."""

    def write(answers: list[str] = ANSWERS) -> Path:
        path = data_root / "datasets" / "gqa" / "annotations" / "trainval_label2ans.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(answers))
        return path

    return write


@pytest.fixture
def put_regions(data_root: Path, tmp_path: Path) -> Callable[..., Path]:
    """Makes a store of images with 40 boxes each, 64 random features a box."""

    def write(store: str, names: Iterable[str], seed: int = 0) -> Path:
        rng, source = np.random.default_rng(seed), tmp_path / "features" / f"{store}-{seed}"
        source.mkdir(parents=True)
        boxes = np.tile(np.asarray([[10, 20, 30, 40]], dtype=np.float32), (40, 1))
        for name in names:
            np.save(source / f"{name}.npy", rng.normal(size=(40, 64)).astype(np.float32))
            np.save(source / f"{name}_info.npy", {"bbox": boxes, "image_width": 100, "image_height": 100})
        convert([source], data_root / "regions" / store, "npy")
        return data_root / "regions" / store

    return write


@pytest.fixture
def make(data_root: Path) -> Callable[..., IGLUETask]:
    def task(name: str, **settings: Any) -> IGLUETask:
        cls = registry.tasks.load(name)
        given = {"data_root": str(data_root)} | settings
        return cls(cls.Settings.model_validate_json(json.dumps(given), strict=True))

    return task
