"""Folders of a user's own data, and tasks on them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
import yaml

from iglue_plugins import registry
from iglue_plugins.data.conversion.converter import convert
from iglue_plugins.tasks.custom.task import CustomTask


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    return folder


@pytest.fixture
def row() -> Callable[..., dict[str, Any]]:
    """A row that is right for custom/nli, with changes; None leaves a key out."""

    def make(number: int | str = 0, **changes: Any) -> dict[str, Any]:
        found = {
            "id": f"row {number}",
            "image": f"{number}.jpg",
            "text": f"text {number}",
            "label": "neutral",
            "language": "en",
            "split": "train",
        }
        return {key: value for key, value in (found | changes).items() if value is not None}

    return make


@pytest.fixture
def put(data: Path) -> Callable[..., Path]:
    """Writes rows to a file of the folder; a text or bytes stand for themselves as a line."""

    def write(*rows: dict[str, Any] | str | bytes, file: str = "data.jsonl") -> Path:
        path = data / file
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = [json.dumps(row, ensure_ascii=False) if isinstance(row, dict) else row for row in rows]
        path.write_bytes(b"".join((line if isinstance(line, bytes) else line.encode()) + b"\n" for line in lines))
        return path

    return write


@pytest.fixture
def describe(data: Path) -> Callable[..., Path]:
    """Writes task.yaml."""

    def write(text: str | None = None, **facts: Any) -> Path:
        path = data / "task.yaml"
        path.write_text(yaml.safe_dump({"pictures": "images"} | facts) if text is None else text, encoding="utf-8")
        return path

    return write


@pytest.fixture
def make(data: Path) -> Callable[..., CustomTask]:
    def task(kind: str = "nli", folder: Path = data, **settings: Any) -> CustomTask:
        cls = registry.tasks.load(f"custom/{kind}")
        return cls(cls.Settings(data=folder, **settings))

    return task


@pytest.fixture
def put_regions(data: Path, tmp_path: Path) -> Callable[..., Path]:
    """Makes a store of images with two boxes each, 8 random features a box."""

    def write(names: Iterable[str], seed: int = 0, store: str = "regions") -> Path:
        rng, source = np.random.default_rng(seed), tmp_path / "features" / f"{store}-{seed}"
        source.mkdir(parents=True)
        for name in names:
            np.save(source / f"{name}.npy", rng.normal(size=(2, 8)).astype(np.float32))
            info = {"bbox": np.asarray([[1, 2, 30, 40], [5, 6, 50, 60]]), "image_width": 100, "image_height": 80}
            np.save(source / f"{name}_info.npy", info)
        convert([source], data / store, "npy")
        return data / store

    return write
