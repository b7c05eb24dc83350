"""Folders of runs that nothing has computed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from iglue_plugins.runs.folder import Run

SCORES = {"en": 80.0, "tr": 75.0, "de": 60.0, "ru": 50.0}


def record(**changes: Any) -> dict[str, Any]:
    recipe = {"task": {"name": "mini/xvnli"}, "model": {"name": "mini/xuniter"}, "trainer": {"name": "finetune"}}
    evaluation = {"splits": ["test"], "languages": list(SCORES), "precision": "float32", "compile": False}
    process = {"date": "2026-11-27T10:00:00+00:00", "host": "h", "device": "cpu", "command": "iglue run r.yaml"}
    return {
        "name": "english", "fingerprint": "0" * 12, "seed": 0, "task": "mini/xvnli", "trainer": "finetune",
        "source_language": "en", "training_languages": ["tr"], "labels_per_step": 8, "steps": 2,
        "main_metric": "accuracy", "start_from": None, "recipe": recipe | {"evaluation": evaluation},
        "scores": {"test": {language: {"accuracy": score, "examples": 4} for language, score in SCORES.items()}},
        "timings": {"training_seconds": 4.0, "evaluation_seconds": 2.0},
        "processes": [process | {"versions": {"torch": "2.13.0"}, "commits": {"iglue_plugins": "abc"}}],
    } | changes  # fmt: skip


def make_run(folder: Path, name: str = "english", fingerprint: str = "0" * 12, **changes: Any) -> Run:
    """Makes a finished run with a model and predictions."""
    run = Run(folder / f"{name}-{fingerprint}")
    run.model_dir.mkdir(parents=True)
    (run.model_dir / "config.json").write_text("{}")
    (run.model_dir / "model.safetensors").write_bytes(b"weights" * 100)
    run.recipe_path.write_text("task: mini/xvnli\nmodel: mini/xuniter\ntrainer: finetune\n")
    for language in SCORES:
        run.write_predictions("test", language, [{"id": language, "score": 1.0}])
    run.write_record(record(name=name, fingerprint=fingerprint, **changes))
    return run


def make_checkpoint(run: Run, step: int, steps: int, is_whole: bool = True) -> None:
    checkpoint = run.checkpoints_dir / f"checkpoint-{step}"
    checkpoint.mkdir(parents=True)
    (checkpoint / "trainer_state.json").write_text(json.dumps({"global_step": step, "max_steps": steps}))
    if is_whole:
        (checkpoint / ".finished").write_text("hash")


def start_from(run: Run) -> dict[str, Any]:
    return {"fingerprint": run.fingerprint, "path": str(run.model_dir), "settings": None}


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
