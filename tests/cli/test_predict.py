"""`iglue predict`: an answer as text and as JSON, and one sentence for what a user can get wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from iglue_plugins import registry
from iglue_plugins.mini import world
from iglue_plugins.recipes.recipe import load_recipe
from iglue_plugins.runs import runner
from iglue_plugins.runs.folder import Run

Iglue = Callable[..., Any]
TEXT = "ördek ve balon"


@pytest.fixture
def run(write: Callable[..., Path]) -> Run:
    """A run of a tiny xUNITER on mini/xvnli, scored in English."""
    return runner.run(load_recipe(write("tiny", evaluation={"splits": ["dev"], "languages": ["en"]})))


def test_an_answer(iglue: Iglue, run: Run) -> None:
    expected = run.read_predictions("dev", "en")[2]
    text = registry.tasks.load("mini/xvnli")().load("dev", "en")["text"][2]
    question = ("predict", run.folder, "--image", *expected["image_ids"], "--text", text, "--language", "en")
    ended = iglue(*question)
    label, *lines, meaning = ended.out.splitlines()
    assert (ended.code, label) == (0, expected["prediction"])
    assert [line.split()[1] for line in lines][0] == label and len(lines) == 3
    assert meaning.startswith("Each number is the probability of a label by itself")
    assert ended.err.startswith("iglue: in 'en' the run has accuracy ") and ended.err.count("\n") == 1

    found = json.loads(iglue(*question, "--json", "--top", 2).out)
    numbers = list(found["probabilities"].values())
    assert list(found["probabilities"])[0] == found["label"] == label
    assert [f"{number:.4f}" for number in numbers] == [line.split()[0] for line in lines[:2]]
    assert (found["text"], found["images"], found["language"]) == (text, expected["image_ids"], "en")
    assert found["run"] == str(run.folder) and len(found["notes"]) == 1


def test_pictures_are_ranked_for_a_text(iglue: Iglue, write: Callable[..., Path], tmp_path: Path) -> None:
    recipe = write(
        "pictures",
        task="mini/xflickrco",
        model="mini/siglip",
        evaluation={"splits": ["dev"], "languages": ["tr"]},
        trainer={"name": "finetune", "steps": 1, "batch_size": 4},
    )
    run = runner.run(load_recipe(recipe))
    task = registry.tasks.load("mini/xflickrco")()
    example = task.load("dev", "tr")[0]
    images = [example["image_ids"][0], "mini/xflickrco/dev/1/0", "mini/xflickrco/dev/2/0"]
    paths = [tmp_path / f"{i}.png" for i in range(3)]
    for path, image in zip(paths, images, strict=True):
        world.render(task.scene(image)).save(path)
    options = [part for path in reversed(paths) for part in ("--image", path)]
    ended = iglue("predict", run.folder, *options, "--text", example["text"], "--json")
    found = json.loads(ended.out)
    assert (found["label"], found["measure"], found["texts"]) == (str(paths[0]), "cosine", [example["text"]])
    assert (
        list(found["scores"].values()) == sorted(found["scores"].values(), reverse=True) and len(found["scores"]) == 3
    )
    assert "no probability" in iglue("predict", run.folder, *options, "--text", TEXT).out


def test_what_is_wrong_is_said_in_a_sentence(iglue: Iglue, run: Run, tmp_path: Path) -> None:
    question = ("--text", TEXT)
    assert "has no record.json" in iglue("predict", tmp_path, "--image", "a.jpg", *question).sentence()
    sentence = iglue("predict", run.folder, "--image", "a.jpg", *question).sentence()
    assert sentence.startswith("a.jpg: there is no such file, and task mini/xvnli has no such image")
    sentence = iglue("predict", run.folder, "--image", "a.jpg", "--preset", "iglue-36", *question).sentence()
    assert sentence.startswith("--preset: 'iglue-36' is of a detector")
    picture = tmp_path / "scene.png"
    world.render(registry.tasks.load("mini/xvnli")().scene("mini/xvnli/dev/0/0")).save(picture)
    sentence = iglue("predict", run.folder, "--image", picture, *question).sentence()
    assert sentence.startswith("task mini/xvnli has no region store that says what makes regions of a picture; give")
    assert iglue("predict", run.folder, *question).code == 2
