"""`iglue slices`: from runs, which are trained for a moment, to what is printed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from iglue_plugins.recipes.recipe import load_recipe
from iglue_plugins.runs import runner


@pytest.fixture
def runs(write: Callable[..., Path]) -> list[Path]:
    """Two rows of mini/xvnli, and one of mini/xflickrco."""
    trainer = {"name": "auxiliary_finetune", "steps": 1, "batch_size": 8}
    recipes = [
        write("a", trainer=trainer | {"learning_rate": 1e-2}),
        write("b", trainer=trainer | {"learning_rate": 1e-3}),
        write("c", task="mini/xflickrco", trainer=trainer | {"learning_rate": 1e-2}),
    ]
    return [runner.run(load_recipe(recipe)).folder for recipe in recipes]


def test_each_task_has_a_block_and_each_quantity_a_table(iglue, runs: list[Path]) -> None:
    ended = iglue("slices", *runs, "--split", "dev")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.count("mini/xvnli, dev split: accuracy (%)") == 1
    assert ended.out.count("mini/xflickrco, dev split: recall@1 (%)") == 1
    assert ended.out.count("by objects of the images") == ended.out.count("by length of the text") == 2
    assert ended.out.count("b's difference to a ") == 2
    content = json.loads(iglue("slices", *runs, "--split", "dev", "--by", "objects, regions", "--json").out)
    xvnli, retrieval = content["tasks"]
    (of_objects,) = xvnli["quantities"]
    assert [each["name"] for each in of_objects["slices"]] == ["2", "3"]
    assert sum(each["examples"]["de"] for each in of_objects["slices"]) == 300
    assert xvnli["left_out"].keys() == {"regions"}
    assert (retrieval["metric"], retrieval["labels"]) == ("recall@1", ["c"])
    markdown = iglue("slices", runs[0], "--split", "dev", "--by", "length", "--markdown").out
    assert markdown.startswith("**mini/xvnli, dev split: accuracy (%), by length of the text**\n\n| slice |")


def test_an_earlier_run_gets_what_it_lacks_by_being_evaluated_again(iglue, runs: list[Path]) -> None:
    folder = runs[0]
    for path in folder.glob("predictions/dev/*.jsonl"):
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        kept = ("id", "image_ids", "prediction", "label", "score")
        path.write_text("".join(json.dumps({key: row[key] for key in kept}) + "\n" for row in rows))
    out = " ".join(iglue("slices", folder, "--split", "dev").out.split())
    assert out.count("they were written by an earlier version; `iglue evaluate RUN --again` writes them anew") == 3
    assert iglue("evaluate", folder, "--again").code == 0
    assert "by objects of the images" in iglue("slices", folder, "--split", "dev").out


def test_nothing_is_written(iglue, runs: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
    assert iglue("slices", *runs, "--split", "dev").code == 0
    assert before == {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--by", "colors"], "--by: there are no slices by 'colors'; choose from length, objects, regions, unseen"),
        (["--by", ""], "--by: there are no slices by ''; choose from length, objects, regions, unseen"),
        (["--by", "object"], "--by: there are no slices by 'object'; did you mean 'objects'?"),
        (["--json", "--markdown"], "--markdown: it was given with --json; choose one of the two"),
        (["--seeds", "x"], "--seeds: 'x' is not a list of whole numbers such as 0,1,2"),
    ],
)
def test_a_wrong_option_is_named(iglue, tmp_path: Path, arguments: list[str], sentence: str) -> None:
    assert iglue("slices", tmp_path, *arguments).sentence() == sentence


def test_a_run_that_is_not_there_is_named(iglue, runs: list[Path], tmp_path: Path) -> None:
    shutil.rmtree(runs[1])
    assert iglue("slices", *runs).sentence().startswith(f"{runs[1]}: there is neither a record.json nor a recipe")
    recipe = tmp_path / "b.yaml"
    assert "`iglue compare" in iglue("slices", recipe, "--split", "dev").sentence()
