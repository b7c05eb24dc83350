"""`iglue compare --published`: published figures beside finished runs, refused before anything is run."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from iglue_plugins import published
from iglue_plugins.experiments import launcher


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., Path]:
    """Writes a finished run of a full-scale task, evaluated on two examples of each language."""

    def write(task: str, languages: list[str], metric: str = "accuracy", split: str = "test") -> Path:
        folder = tmp_path / "finished"
        predictions = folder / "predictions" / split
        predictions.mkdir(parents=True)
        for language in languages:
            lines = ({"id": str(i), "prediction": "x", "label": "x", "score": float(i)} for i in range(2))
            (predictions / f"{language}.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
        record = {
            "format": 1,
            "name": "finetune",
            "fingerprint": "0" * 12,
            "seed": 0,
            "task": task,
            "trainer": "finetune",
            "source_language": "en",
            "training_languages": [],
            "labels_per_step": 1,
            "steps": 1,
            "main_metric": metric,
            "scores": {split: {language: {metric: 50.0, "examples": 2} for language in languages}},
        }
        (folder / "record.json").write_text(json.dumps(record))
        return folder

    return write


def rows(folder: Path) -> dict[str, dict[str, str]]:
    with (folder / "comparison.csv").open(encoding="utf-8", newline="") as file:
        return {row["label"]: row for row in csv.DictReader(file)}


def test_published_rows_stand_beside_the_runs(iglue: Any, run: Callable[..., Path], tmp_path: Path) -> None:
    folder = run("xgqa", ["en", "bn", "zh"])
    ended = iglue("compare", folder, "--published", "--output", tmp_path / "out")
    assert (ended.code, ended.err) == (0, "")
    written = rows(tmp_path / "out")
    assert list(written)[1:] == [f"{model} zero-shot" for model in ("ctrl_muniter", "ctrl_xuniter", "uc2", "m3p")]
    (uc2,) = published.select("xgqa", "test", published.PublishedFilter(("uc2",)))
    assert float(written["uc2 zero-shot"]["zh"]) == pytest.approx(uc2.languages["zh"], rel=1e-11)
    mean = (uc2.languages["bn"] + uc2.languages["zh"]) / 2
    assert float(written["uc2 zero-shot"]["mean"]) == pytest.approx(mean)
    assert f"published by\n{published.SOURCE}" in "\n".join(line.strip() for line in ended.out.splitlines())
    assert f"{mean:.1f}" in ended.out


def test_models_and_settings_are_chosen(iglue: Any, run: Callable[..., Path], tmp_path: Path) -> None:
    folder = run("xflickrco", ["en", "de", "ja", "tr"], "recall@1")
    ended = iglue(
        "compare",
        folder,
        "--published",
        "--published-models",
        "uc2",
        "--published-settings",
        "zero_shot,translate_train",
        "--output",
        tmp_path / "out",
    )
    assert ended.code == 0
    written = rows(tmp_path / "out")
    assert list(written)[1:] == ["uc2 zero-shot", "uc2 translate-train"]
    assert (written["uc2 translate-train"]["tr"], written["uc2 translate-train"]["mean"]) == ("", "")
    assert float(written["uc2 zero-shot"]["de"]) == (28.6 + 23.9) / 2


def test_without_the_option_there_are_none(iglue: Any, run: Callable[..., Path], tmp_path: Path) -> None:
    ended = iglue("compare", run("xgqa", ["en", "bn"]), "--output", tmp_path / "out")
    assert "published" not in ended.out.lower()
    assert list(rows(tmp_path / "out")) == ["finetune"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--published",), "--published: there are no published figures for task 'mini/xvnli'"),
        (("--published-models", "uc2"), "--published-models needs the option --published"),
    ],
)
def test_a_task_without_figures_is_refused_before_anything_runs(
    iglue: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], sentence: str
) -> None:
    monkeypatch.setattr(launcher, "_run", None)
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("{task: mini/xvnli, model: mini/xuniter, trainer: finetune}\n")
    assert iglue("compare", recipe, *arguments, "--output", tmp_path / "out").sentence().startswith(sentence)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--split", "dev"), "--published: the published figures are of split 'test', but the runs' is 'dev'"),
        (("--published-models", "uc"), "--published-models: 'uc' is not published for xgqa in the "),
        (
            ("--published-settings", "zero-shot"),
            "--published-settings: 'zero-shot' is not published for xgqa; did you mean 'zero_shot'?",
        ),
    ],
)
def test_figures_that_are_not_there(
    iglue: Any, run: Callable[..., Path], tmp_path: Path, arguments: tuple[str, ...], sentence: str
) -> None:
    ended = iglue("compare", run("xgqa", ["en", "bn"], split="dev"), "--published", *arguments)
    assert ended.sentence().startswith(sentence)
