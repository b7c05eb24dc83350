"""Running what a comparison needs, in an order in which nothing is trained twice, and writing it down."""

from __future__ import annotations

import csv
import json
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from iglue_plugins import comparing, harness
from iglue_plugins.errors import UserError
from iglue_plugins.recipes import Recipe, load_recipe
from iglue_plugins.runs import Run, content_hash

Write = Callable[..., Path]
TRAINER = {"name": "auxiliary_finetune", "steps": 2, "batch_size": 8, "learning_rate": 1e-2}


@pytest.fixture
def write(tmp_path: Path, tiny_checkpoint: Path) -> Write:
    """Writes a recipe that takes a moment to run: <name>.yaml."""

    def make(name: str, **changes: Any) -> Path:
        recipe = {
            "task": "mini/xvnli",
            "model": {"name": "xuniter", "checkpoint": str(tiny_checkpoint)},
            "trainer": TRAINER,
            "start_from": "model",
            "evaluation": {"splits": ["dev"], "languages": ["en", "tr", "de"]},
            "runs": str(tmp_path / "runs"),
        }
        path = tmp_path / f"{name}.yaml"
        path.write_text(yaml.safe_dump(recipe | changes))
        return path

    return make


# Seeds


def test_seeds() -> None:
    assert comparing.parse_seeds("3") == [3]
    assert comparing.parse_seeds("2,0, 1") == [2, 0, 1]


@pytest.mark.parametrize(
    ("text", "expected"), [("", "whole numbers"), ("0,", "whole numbers"), ("0;1", "whole numbers"),
                           ("1.5", "whole numbers"), ("0,1,0", "each seed once")])  # fmt: skip
def test_seeds_that_cannot_be_read(text: str, expected: str) -> None:
    with pytest.raises(UserError, match=f"^--seeds: found '{text}', expected {expected}"):
        comparing.parse_seeds(text)


def test_a_negative_seed_is_named(write: Write, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="override 'seed=-1': seed: found -1, expected greater than or equal to 0"):
        comparing.compare([write("a")], [-1], "dev", 1, [], tmp_path)


# The order of the runs


def in_stages(recipes: list[Recipe]) -> list[list[tuple[str, int]]]:
    return [[(recipe.name, recipe.seed) for recipe in stage] for stage in comparing.stages(recipes)]


def test_recipes_that_start_from_nothing_are_one_stage(write: Write) -> None:
    recipes = [load_recipe(write(name)) for name in ("b", "a")]
    assert comparing.stages(recipes) == [recipes]
    assert comparing.stages([]) == [[]]


def test_a_shared_baseline_comes_first_and_once_for_each_seed(write: Write) -> None:
    paths = [write("finetune", trainer="finetune"), write("xvl_maml", trainer="xvl_maml", start_from="finetune"),
             write("control", start_from="finetune")]
    recipes = [load_recipe(path, [f"seed={seed}"]) for path in paths for seed in (0, 1)]
    before, rows = comparing.stages(recipes)
    assert rows == recipes
    assert [(recipe.trainer.name, recipe.seed) for recipe in before] == [("finetune", 0), ("finetune", 1)]


def test_a_chain_is_run_from_its_beginning(write: Write) -> None:
    write("first")
    write("second", start_from="first.yaml")
    third = write("third", start_from="second.yaml")
    beside = write("beside", start_from="first.yaml")
    assert in_stages([load_recipe(third), load_recipe(beside)]) == [
        [("first", 0)], [("second", 0), ("first", 0)], [("third", 0), ("beside", 0)]]


# Several processes


def run_all_of(
    monkeypatch: pytest.MonkeyPatch, run: Callable[[Any], Any], inputs: list[Any], jobs: int = 2
) -> list[Any]:
    """`run_all` with anything in the place of recipes, and another function that runs one."""
    monkeypatch.setattr(comparing, "_run", run)
    monkeypatch.setattr(comparing, "stages", lambda recipes: [recipes])
    return comparing.run_all(inputs, jobs)


@pytest.mark.parametrize("jobs", [1, 2])
def test_results_come_in_the_order_of_the_recipes(monkeypatch: pytest.MonkeyPatch, jobs: int) -> None:
    assert run_all_of(monkeypatch, abs, [-3, -1, -2], jobs) == [3, 1, 2]
    assert run_all_of(monkeypatch, abs, [-3], jobs) == [3]
    assert run_all_of(monkeypatch, abs, [], jobs) == []


def test_the_error_of_a_run_comes_through(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="none: found nothing, expected a checkpoint file or folder"):
        run_all_of(monkeypatch, content_hash, [tmp_path / "none", tmp_path / "none either"])


def test_a_killed_process_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="one of 2 processes was killed, .*; the same command resumes"):
        run_all_of(monkeypatch, os._exit, [9, 9])


def test_an_interrupt_ends_the_processes_at_once(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture) -> None:
    threading.Timer(1.0, os.kill, (os.getpid(), signal.SIGINT)).start()
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        run_all_of(monkeypatch, time.sleep, [30, 30, 30, 30])
    assert time.monotonic() - began < 15
    assert multiprocessing.active_children() == []
    assert capfd.readouterr().err == ""


def test_two_processes_train_what_one_does(write: Write, tmp_path: Path) -> None:
    write("first")
    changed = {"trainer": TRAINER | {"learning_rate": 3e-3}, "start_from": "first.yaml"}
    paths = [write("a", **changed), write("b", **changed | {"auxiliary_languages": ["de"]})]
    together = comparing.run_all([load_recipe(path, ["evaluation.languages=[en]"]) for path in paths], 2)
    folders = sorted(folder.name.rpartition("-")[0] for folder in (tmp_path / "runs").iterdir())
    assert folders == ["a", "b", "first"]
    for path, folder in zip(paths, together):
        run = harness.run(load_recipe(path, ["evaluation.languages=[en]", f"runs={tmp_path / 'alone'}"]))
        assert run.folder.name == folder.name
        assert (run.model_dir / "model.safetensors").read_bytes() == (folder / "model/model.safetensors").read_bytes()
        assert run.record()["scores"] == Run(folder).record()["scores"]


# The comparison


def test_a_comparison_runs_its_rows_and_is_printed_and_written(
    write: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [write("plain"), write("faster")]
    output = tmp_path / "deep" / "comparison"
    comparing.compare(rows, [0, 1], "dev", 1, ["trainer.steps=3"], output)
    assert sorted(path.name for path in output.iterdir()) == [
        f"comparison.{suffix}" for suffix in ("csv", "json", "md", "png", "tex")]
    assert all(str(path) in capsys.readouterr().out for path in [output / "comparison.csv"])
    runs = [Run(folder).record() for folder in (tmp_path / "runs").iterdir()]
    assert sorted((record["seed"], record["steps"]) for record in runs) == [(0, 3), (1, 3)]

    with (output / "comparison.csv").open(newline="") as file:
        written = list(csv.DictReader(file))
    assert [(row["label"], row["seeds"], row["steps"]) for row in written] == [
        ("plain", "0 1", "3"), ("faster", "0 1", "3")]
    mean = sum(record["scores"]["dev"]["de"]["accuracy"] for record in runs) / 2
    assert [float(row["de"]) for row in written] == pytest.approx([mean, mean])
    assert json.loads((output / "comparison.json").read_text())["targets"] == ["de"]


def test_a_finished_run_can_be_a_row(write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = harness.run(load_recipe(write("plain")))
    other = write("other", trainer=TRAINER | {"learning_rate": 1e-3})
    comparing.compare([run.folder, other], [0], "dev", 1, [], tmp_path / "one")
    written = json.loads((tmp_path / "one" / "comparison.json").read_text())
    assert [row["label"] for row in written["rows"]] == ["plain", "other"]

    monkeypatch.setattr(comparing, "_run", None)  # nothing is left to be run
    (_, other_run) = sorted((tmp_path / "runs").iterdir(), key=lambda folder: folder != run.folder)
    comparing.compare([run.folder, other_run], [0], "dev", 2, [], tmp_path / "two")
    assert json.loads((tmp_path / "two" / "comparison.json").read_text())["rows"] == written["rows"]


def test_what_cannot_be_compared_is_refused_before_anything_runs(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(comparing, "_run", None)

    def refused(rows: list[Path], message: str, split: str = "dev", overrides: tuple[str, ...] = ()) -> None:
        with pytest.raises(UserError, match=message):
            comparing.compare(rows, [0], split, 1, overrides, tmp_path / "comparison")

    plain = write("plain")
    refused([plain, plain], "plain.yaml: found the name 'plain' of an earlier row, expected another")
    refused([plain, tmp_path / "runs"], "runs: found neither a record.json nor recipes")
    refused([plain], "evaluation.splits.0: found 'tset', expected a split .*'test'", split="tset")
    refused([plain], "'plain': evaluation.languages leaves no target", overrides=("evaluation.languages=[tr]",))


def test_a_folder_of_recipes_is_a_row_for_each_with_the_baseline_first(write: Write, tmp_path: Path) -> None:
    for name in ("auxiliary", "finetune", "xvl_maml"):
        write(name)
    alone = write("zero")
    assert [path.stem for path in comparing.expanded([tmp_path, alone])] == [
        "finetune", "auxiliary", "xvl_maml", "zero", "zero"]
