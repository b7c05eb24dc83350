"""Finished runs with given scores."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

RunMaker = Callable[..., Path]


@pytest.fixture
def make_run(tmp_path: Path) -> RunMaker:
    """Write a finished run whose predictions have the given scores, '1101' per language, and return its folder.

    `images` gives each example its images, one letter each, such as 'a b ab', per language, and `facts` each example
    more keys and values.
    """

    def make(
        trainer: str,
        seed: int,
        hits_by_language: dict[str, str],
        split: str = "test",
        images: dict[str, str] | None = None,
        facts: dict[str, list[dict[str, Any]]] | None = None,
        **record: Any,
    ) -> Path:
        folder = tmp_path / f"{trainer}-{seed}-{len(list(tmp_path.iterdir()))}"
        predictions = folder / "predictions" / split
        predictions.mkdir(parents=True)
        for language, hits in hits_by_language.items():
            lines = [
                {"id": f"{language}-{index}", "prediction": int(hit), "label": 1, "score": float(hit)}
                for index, hit in enumerate(hits)
            ]
            for line, of_example in zip(lines, (images or {}).get(language, "").split(), strict=False):
                line["image_ids"] = list(of_example)
            for line, of_example in zip(lines, (facts or {}).get(language, []), strict=False):
                line |= of_example
            (predictions / f"{language}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        content = {
            "format": 1,
            "name": trainer,
            "fingerprint": f"{seed:016x}",
            "seed": seed,
            "task": "mini/xvnli",
            "trainer": trainer,
            "source_language": "en",
            "training_languages": [],
            "labels_per_step": 64,
            "steps": 150,
            "scores": {
                split: {
                    language: {"accuracy": 100 * hits.count("1") / len(hits), "examples": len(hits)}
                    for language, hits in hits_by_language.items()
                }
            },
            "main_metric": "accuracy",
            "timings": {"train": 1.5, "evaluate": 0.5},
            "versions": {"torch": "2.13.0"},
            "parameters": 751234,
            "recipe": {"task": "mini/xvnli", "trainer": trainer, "seed": seed},
            "start_from": None,
        } | record
        (folder / "recipe.yaml").write_text(f"task: mini/xvnli\ntrainer: {trainer}\nseed: {seed}\n")
        (folder / "record.json").write_text(json.dumps(content))
        return folder

    return make


FINETUNE = [
    {"en": "1111", "tr": "0000", "ar": "1100", "ru": "10000"},
    {"en": "1110", "tr": "1000", "ar": "1000", "ru": "11000"},
]
XVL_MAML = [
    {"en": "0000", "tr": "1111", "ar": "1110", "ru": "11100"},
    {"en": "0000", "tr": "1111", "ar": "1111", "ru": "11110"},
]


@pytest.fixture
def two_rows(make_run: RunMaker) -> list[tuple[str, list[Path]]]:
    """Fine-tuning and XVL-MAML on Turkish, two seeds each.

    Target means (ar, ru): 50, 20 -> 35 and 25, 40 -> 32.5; 75, 60 -> 67.5 and 100, 80 -> 90.
    """
    return [
        ("finetune", [make_run("finetune", seed, scores) for seed, scores in enumerate(FINETUNE)]),
        (
            "xvl_maml",
            [
                make_run("xvl_maml", seed, scores, training_languages=["tr"], labels_per_step=32, steps=300)
                for seed, scores in enumerate(XVL_MAML)
            ],
        ),
    ]
