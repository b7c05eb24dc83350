"""`iglue lmms-eval-tasks`, and `iglue compare --lmms-eval`."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import pytest
import typer

from iglue_plugins.cli.lmms_eval import lmms_eval_tasks
from iglue_plugins.experiments import launcher
from iglue_plugins.tasks.settings import IGLUE_HOME


def test_the_folder_is_printed_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.delenv(IGLUE_HOME, raising=False)
    app = typer.Typer()
    app.command()(lmms_eval_tasks)
    app(["mini/marvl"], standalone_mode=False)
    printed = capsys.readouterr()
    assert printed.err == ""
    folder = Path(printed.out.removesuffix("\n"))
    assert folder.is_relative_to(tmp_path / "cache")
    assert len(list(folder.glob("mini_marvl*.yaml"))) == 16


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A finished run on two examples of each language."""
    folder = tmp_path / "finished"
    predictions = folder / "predictions" / "test"
    predictions.mkdir(parents=True)
    for language in ("en", "ar", "ru"):
        lines = ({"id": str(i), "prediction": "x", "label": "x", "score": float(i)} for i in range(2))
        (predictions / f"{language}.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    record = {
        "format": 1,
        "name": "finetune",
        "fingerprint": "0" * 12,
        "seed": 0,
        "task": "mini/xvnli",
        "trainer": "finetune",
        "source_language": "en",
        "training_languages": [],
        "labels_per_step": 1,
        "steps": 1,
        "main_metric": "accuracy",
        "scores": {"test": {language: {"accuracy": 50.0, "examples": 2} for language in ("en", "ar", "ru")}},
    }
    (folder / "record.json").write_text(json.dumps(record))
    return folder


@pytest.fixture
def put_results(tmp_path: Path) -> Callable[..., Path]:
    """Writes a result file with these accuracies, over two documents of each language."""

    def write(name: str, accuracies: dict[str, float], task: str = "mini/xvnli") -> Path:
        tasks = {f"some_{language}": language for language in accuracies}
        path = tmp_path / f"{name}_results.json"
        path.write_text(
            json.dumps(
                {
                    "results": {own: {"accuracy,none": accuracies[language]} for own, language in tasks.items()},
                    "configs": {
                        own: {"metadata": {"iglue_task": task, "language": language}} for own, language in tasks.items()
                    },
                    "n-samples": {own: {"original": 2, "effective": 2} for own in tasks},
                    "config": {"model": name},
                    "model_name": f"org/{name}-2B",
                }
            )
        )
        return path

    return write


def test_results_stand_beside_the_runs(iglue: Any, run: Path, put_results: Callable[..., Path], tmp_path: Path) -> None:
    files = [put_results("one", {"en": 1.0, "ar": 0.5, "ru": 1.0}), put_results("two", {"ar": 0.0})]
    ended = iglue("compare", run, "--lmms-eval", files[0], "--lmms-eval", files[1], "--output", tmp_path / "out")
    assert (ended.code, ended.err) == (0, "")
    assert "lmms-eval" in ended.out and "one one-2B" in ended.out
    with (tmp_path / "out" / "comparison.csv").open(encoding="utf-8", newline="") as file:
        rows = {row["label"]: row for row in csv.DictReader(file)}
    assert list(rows) == ["finetune", "one one-2B", "two two-2B"]
    assert [rows["one one-2B"][key] for key in ("en", "ar", "ru", "mean", "lmms_eval")] == [
        "100.0",
        "50.0",
        "100.0",
        "75.0",
        str(files[0]),
    ]
    assert (rows["two two-2B"]["ar"], rows["two two-2B"]["mean"]) == ("0.0", "")


def test_results_of_another_task_are_refused_before_anything_runs(
    iglue: Any, put_results: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launcher, "_run", None)
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("{task: mini/xvnli, model: mini/xuniter, trainer: finetune}\n")
    file = put_results("one", {"ar": 1.0}, task="xvnli")
    sentence = iglue("compare", recipe, "--lmms-eval", file, "--output", tmp_path / "out").sentence()
    assert sentence == f"{file}: has results of xvnli, but the rows are of task mini/xvnli"
    assert not (tmp_path / "out").exists()


def test_result_files_without_the_option_are_no_rows(
    iglue: Any, run: Path, put_results: Callable[..., Path], tmp_path: Path
) -> None:
    """A shell's * gives several files after one --lmms-eval."""
    files = [put_results(name, {"ar": 1.0}) for name in ("one", "two")]
    sentence = iglue("compare", run, "--lmms-eval", *files, "--output", tmp_path / "out").sentence()
    assert sentence.startswith(f"{files[1]}: ") and f"--lmms-eval {files[1]}" in sentence
