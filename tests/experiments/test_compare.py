"""Running what a comparison needs, and writing it down."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from made_runs import make_run

from iglue_plugins.experiments import compare, launcher, rows
from iglue_plugins.experiments.launcher import Launch
from iglue_plugins.recipes.recipe import load_recipe
from iglue_plugins.runs import runner
from iglue_plugins.runs.folder import Run
from iglue_plugins.utils.errors import UserError

Write = Callable[..., Path]
TRAINER = {"name": "auxiliary_finetune", "steps": 2, "batch_size": 8, "learning_rate": 1e-2}


# Seeds


def test_seeds() -> None:
    assert compare.parse_seeds("3") == [3]
    assert compare.parse_seeds("2,0, 1") == [2, 0, 1]


@pytest.mark.parametrize(
    ("text", "remedy"),
    [("", "such as 0,1,2"), ("0,", "such as"), ("0;1", "such as"), ("1.5", "such as"), ("0,1,0", "each seed once")],
)
def test_seeds_that_cannot_be_read(text: str, remedy: str) -> None:
    with pytest.raises(UserError, match=f"^--seeds: '{text}' .*{remedy}"):
        compare.parse_seeds(text)


def test_a_negative_seed_is_named(write: Write, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="override 'seed=-1': seed: found -1, expected greater than or equal to 0"):
        compare.compare([write("a")], [-1], "dev", Launch(), [], tmp_path)


# The comparison


def test_a_comparison_runs_its_rows_and_is_printed_and_written(
    write: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [write("plain"), write("faster")]
    output = tmp_path / "deep" / "comparison"
    compare.compare(rows, [0, 1], "dev", Launch(), ["trainer.steps=3"], output)
    assert sorted(path.name for path in output.iterdir()) == [
        f"comparison.{suffix}" for suffix in ("csv", "json", "md", "png", "tex")
    ]
    assert all(str(path) in capsys.readouterr().out for path in [output / "comparison.csv"])
    runs = [Run(folder).record() for folder in (tmp_path / "runs").iterdir()]
    assert sorted((record["seed"], record["steps"]) for record in runs) == [(0, 3), (1, 3)]

    with (output / "comparison.csv").open(newline="") as file:
        written = list(csv.DictReader(file))
    assert [(row["label"], row["seeds"], row["steps"]) for row in written] == [
        ("plain", "0 1", "3"),
        ("faster", "0 1", "3"),
    ]
    mean = sum(record["scores"]["dev"]["de"]["accuracy"] for record in runs) / 2
    assert [float(row["de"]) for row in written] == pytest.approx([mean, mean])
    assert json.loads((output / "comparison.json").read_text())["targets"] == ["de"]


def test_a_finished_run_can_be_a_row(write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = runner.run(load_recipe(write("plain")))
    other = write("other", trainer=TRAINER | {"learning_rate": 1e-3})
    compare.compare([run.folder, other], [0], "dev", Launch(), [], tmp_path / "one")
    written = json.loads((tmp_path / "one" / "comparison.json").read_text())
    assert [row["label"] for row in written["rows"]] == ["plain", "other"]

    monkeypatch.setattr(launcher, "_run", None)  # nothing is left to be run
    (_, other_run) = sorted((tmp_path / "runs").iterdir(), key=lambda folder: folder != run.folder)
    compare.compare([run.folder, other_run], [0], "dev", Launch(jobs=2), [], tmp_path / "two")
    assert json.loads((tmp_path / "two" / "comparison.json").read_text())["rows"] == written["rows"]


def test_what_cannot_be_compared_is_refused_before_anything_runs(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launcher, "_run", None)

    def refused(rows: list[Path], message: str, split: str = "dev", overrides: tuple[str, ...] = ()) -> None:
        with pytest.raises(UserError, match=message):
            compare.compare(rows, [0], split, Launch(), overrides, tmp_path / "comparison")

    plain = write("plain")
    refused([plain, plain], "plain.yaml: .*'plain'.* set another name")
    refused([plain, tmp_path / "runs"], "runs: .*record.json")
    refused([plain], "evaluation.splits.0: found 'tset', expected a split .*'test'", split="tset")
    refused([plain], "'plain': evaluation.languages leaves no target", overrides=("evaluation.languages=[tr]",))


def test_a_folder_of_recipes_is_a_row_for_each_with_the_baseline_first(write: Write, tmp_path: Path) -> None:
    for name in ("auxiliary", "finetune", "xvl_maml"):
        write(name)
    alone = write("zero")
    assert [path.stem for path in rows.expanded([tmp_path, alone])] == [
        "finetune",
        "auxiliary",
        "xvl_maml",
        "zero",
        "zero",
    ]


def test_a_folder_of_runs_is_its_finished_runs_with_the_baseline_first(tmp_path: Path) -> None:
    for number, (name, trainer) in enumerate((("auxiliary", "auxiliary_finetune"), ("plain", "finetune"))):
        make_run(tmp_path / "runs", name, f"{number:012x}", trainer=trainer)
    make_run(tmp_path / "runs", "smoke", "a" * 12, limit=2)
    make_run(tmp_path / "runs", "aside", "b" * 12).set_aside()
    (tmp_path / "runs" / f"stopped-{'c' * 12}" / "model").mkdir(parents=True)
    found = rows.expanded([tmp_path / "runs"])
    assert [path.name.partition("-")[0] for path in found] == ["plain", "auxiliary"]


def test_runs_of_one_name_and_different_settings_are_different_rows(write: Write, tmp_path: Path) -> None:
    slow, fast = ([f"seed={seed}", f"trainer.learning_rate={rate}"] for seed, rate in ((0, 1e-3), (0, 1e-2)))
    path = write("same")
    runs = [runner.run(load_recipe(path, overrides)).folder for overrides in (slow, fast)]
    compare.compare(runs, [0], "dev", Launch(), [], tmp_path / "comparison")
    rows = json.loads((tmp_path / "comparison" / "comparison.json").read_text())["rows"]
    assert [row["label"] for row in rows] == [
        "same, trainer.learning_rate=0.001",
        "same, trainer.learning_rate=0.01",
    ]
    other_seed = runner.run(load_recipe(path, ["seed=1", "trainer.learning_rate=1e-2"])).folder
    with pytest.raises(UserError, match="same, trainer.learning_rate=0.001"):  # seeds differ between the two rows
        compare.compare([runs[0], other_seed], [0], "dev", Launch(), [], tmp_path / "comparison")
    compare.compare([runs[1], other_seed], [0], "dev", Launch(), [], tmp_path / "two_seeds")
    (row,) = json.loads((tmp_path / "two_seeds" / "comparison.json").read_text())["rows"]
    assert (row["label"], len(row["runs"])) == ("same", 2)


def test_rows_of_two_tasks_make_two_tables_and_their_average(
    write: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for task in ("xvnli", "xgqa"):
        (tmp_path / "mini" / task).mkdir(parents=True)
    rows = [
        write(f"{task}/{name}", task=task, trainer=TRAINER | {"learning_rate": rate})
        for task in ("mini/xvnli", "mini/xgqa")
        for name, rate in (("slow", 1e-3), ("fast", 1e-2))
    ]
    output = tmp_path / "out"
    compare.compare(rows, [0, 1], "dev", Launch(), [], output)
    names = ["comparison.csv", "comparison.json", "comparison.md", "comparison.tex"]
    pictures = [f"comparison-{task}.png" for task in ("mini_xvnli", "mini_xgqa")]
    assert sorted(path.name for path in output.iterdir()) == sorted([*names, *pictures])
    content = json.loads((output / "comparison.json").read_text())
    assert [[row["label"] for row in table["rows"]] for table in content["tasks"]] == [["slow", "fast"]] * 2
    means = [[row["target_mean"]["mean"] for row in table["rows"]] for table in content["tasks"]]
    averages = [row["average"]["mean"] for row in content["average"]["rows"]]
    assert averages == pytest.approx([sum(of_row) / 2 for of_row in zip(*means, strict=True)])
    printed = capsys.readouterr().out
    assert [printed.count(f"{title}, dev split") for title in ("mini/xvnli", "mini/xgqa", "average over 2 tasks")] == [
        1,
        1,
        1,
    ]
