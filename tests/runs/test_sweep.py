"""The runs of a sweep, and the files that it writes."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import pytest

from iglue_plugins.experiments import sweep
from iglue_plugins.experiments.launcher import Launch
from iglue_plugins.recipes.recipe import Recipe
from iglue_plugins.runs.folder import Run


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_each_auxiliary_language_is_run_with_each_seed_and_the_stage_before_once(
    recipe: Callable[..., Recipe], fits: list[str], tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    recipe({"trainer": "auxiliary_finetune", "evaluation": {"languages": ["en", "tr", "de"]}}, file="row")
    output = tmp_path / "deep" / "sweep"
    sweep.sweep(tmp_path / "row.yaml", [], [0, 1], "test", [], output, Launch())
    records = {run.folder: run.record() for run in map(Run, (tmp_path / "runs").iterdir())}
    assert sorted((record["name"], record["seed"]) for record in records.values()) == [
        ("finetune", 0),
        ("finetune", 1),
        ("row_de", 0),
        ("row_de", 1),
        ("row_tr", 0),
        ("row_tr", 1),
    ]
    assert sorted(fits) == ["AuxiliaryFinetune"] * 4 + ["Finetune"] * 2

    assert sorted(file.name for file in output.iterdir()) == ["matrix.csv", "matrix.md", "matrix.png", "scores.csv"]
    matrix = rows(output / "matrix.csv")
    assert [(row["label"], row["auxiliary_languages"], row["trained_on"]) for row in matrix] == [
        ("finetune", "", ""),
        ("tr", "tr", "tr"),
        ("de", "de", "de"),
    ]
    lines = rows(output / "scores.csv")
    assert len(lines) == 3 * 2 * 3
    for line in lines:
        score = records[Path(line["run"])]["scores"]["test"][line["language"]]["accuracy"]
        assert float(line["score"]) == pytest.approx(score)
    said = capsys.readouterr().out
    assert "best of 2 rows by the difference to finetune over the target languages that a row was not" in said
    assert all(str(output / name) in said for name in ("matrix.csv", "scores.csv", "matrix.md", "matrix.png"))

    fits.clear()
    sweep.sweep(
        tmp_path / "row.yaml", ["auxiliary_languages=de"], [1], "test", ["evaluation.languages=[tr]"], output, Launch()
    )
    assert (fits, [row["label"] for row in rows(output / "matrix.csv")]) == ([], ["finetune", "de"])
