"""An annotation of each kind as files have it, and an empty cache for each test."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import pytest

Annotation = dict[str, Any]

ANNOTATIONS: dict[str, Annotation] = {
    "xvnli": {
        "gold_label": "neutral",
        "sentence1": "Una mujer ríe.",
        "sentence2": "Está contenta.",
        "captionID": "42.jpg#2",
        "pairID": "42.jpg#2r1c",
        "Flikr30kID": "42.jpg",
    },
    "marvl": {
        "concept": "39-Panci",
        "language": "id",
        "caption": "Ada dua panci.",
        "left_img": "39-0.jpg",
        "right_img": "39-12.jpg",
        "annotator_info": {"id": "id_01"},
        "chapter": "House",
        "id": "id-7",
        "label": False,
    },
    "nlvr2": {
        "sentence": "Two dogs.",
        "left_url": "http://left",
        "right_url": "http://right",
        "label": "True",
        "identifier": "dev-850-0-1",
    },
    "captions": {"sentences": ["Ein Hund.", "Ein Tier."], "id": 3, "img_path": "COCO_val2014_000000000042.jpg"},
    "gqa": {"imageId": "n161313", "question": "¿Está nublado?", "answer": "no", "fullAnswer": "No, it is not."},
}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Moves the cache to an empty folder, which the first reading makes."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    return tmp_path / "cache" / "iglue_plugins"


@pytest.fixture
def labels() -> tuple[str, ...]:
    return "contradiction", "neutral", "entailment"


@pytest.fixture
def annotation() -> Callable[..., Annotation]:
    """An annotation of a kind, with changes; a key whose value is `...` is left out."""

    def make(kind: str, **changes: Any) -> Annotation:
        return {key: value for key, value in (ANNOTATIONS[kind] | changes).items() if value is not ...}

    return make


@pytest.fixture
def json_lines(tmp_path: Path) -> Callable[..., Path]:
    """A file with an annotation a line."""

    def write(*annotations: Annotation) -> Path:
        path = tmp_path / "file.jsonl"
        path.write_text("".join(f"{json.dumps(values, ensure_ascii=False)}\n" for values in annotations), "utf-8")
        return path

    return write
