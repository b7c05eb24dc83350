"""`iglue data check` and `iglue data show` on a user's own data."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from iglue_plugins.data.conversion.converter import convert


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with rows in two languages, a store that lacks image 2, and pictures that lack image 3."""
    data, features = tmp_path / "data", tmp_path / "features"
    features.mkdir()
    (data / "images").mkdir(parents=True)
    for number in (0, 1, 3):
        np.save(features / f"{number}.npy", np.full((2, 3), number, dtype=np.float32))
        info = {"bbox": np.asarray([[1, 2, 30, 40], [5, 6, 50, 60]]), "image_width": 100, "image_height": 80}
        np.save(features / f"{number}_info.npy", info)
    convert([features], data / "regions", "npy")
    for number in (0, 1, 2):
        Image.new("RGB", (8, 8), "red").save(data / "images" / f"{number}.png")
    write_rows(data, (0, "train", "en"), (1, "test", "en"), (2, "test", "de"))
    describe(data, regions="regions")
    return data


def write_rows(data: Path, *rows: tuple[int, str, str], **changes: Any) -> None:
    lines = (
        json.dumps(
            {
                "id": f"{split} {image}",
                "image": f"{image}.png",
                "text": f"text {image}",
                "label": "neutral",
                "split": split,
                "language": language,
            }
            | changes
        )
        for image, split, language in rows
    )
    (data / "data.jsonl").write_text("".join(f"{line}\n" for line in lines))


def describe(data: Path, **facts: Any) -> Path:
    path = data / "task.yaml"
    path.write_text(yaml.safe_dump(facts))
    return path


def check(iglue: Callable[..., Any], data: Path, *more: Any) -> Any:
    return iglue("data", "check", "custom/nli", "--data-root", data, *more)


def test_an_image_that_is_missing_in_one_language(iglue: Callable[..., Any], folder: Path) -> None:
    ended = check(iglue, folder)
    assert (ended.code, ended.err) == (1, "")
    assert ended.out.splitlines() == [
        "    train  test",
        "en      1     1",
        "de      -     1",
        "train en: images: 1 images, all have features",
        "test en: images: 1 images, all have features",
        "test de: images: 1 images, 1 image (2) without features",
        f"{folder / 'regions'}: nothing is damaged",
    ]
    write_rows(folder, (0, "train", "en"), (1, "test", "en"), (3, "test", "de"))
    assert check(iglue, folder).code == 0


def test_a_recipes_checks_name_the_language_too(iglue: Callable[..., Any], folder: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("task: custom/nli\nmodel: mini/xuniter\ntrainer: {name: finetune, steps: 2, batch_size: 1}\n")
    ended = iglue("data", "check", recipe, "--data-root", folder)
    assert (ended.code, ended.err) == (1, "")
    assert "task custom/nli, test/de: images: 1 images, 1 image (2) without features" in ended.out.splitlines()


def test_all_that_is_wrong_with_rows_and_facts(iglue: Callable[..., Any], folder: Path) -> None:
    write_rows(folder, (0, "train", "en"), (1, "tset", "en"), (0, "train", "en"), (3, "test", "de"), label="neutrl")
    ended = check(iglue, folder)
    file = folder / "data.jsonl"
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.splitlines() == [
        f"iglue: {file}: lines 1, 3, 4: found label 'neutrl', expected one of contradiction, entailment, neutral; did "
        "you mean 'neutral'?",
        f"{file}: line 2: found split 'tset', expected one of train, dev, test, few_shot, auxiliary; did you mean "
        "'test'?",
    ]
    facts = describe(folder, languages=["de"], region="regions")
    ended = check(iglue, folder)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.splitlines() == [
        f"iglue: {facts}: region: found an unknown key, expected a key of the data of task custom/nli; did you mean "
        "'regions'?"
    ]


def test_damage_in_the_store_and_a_store_that_is_not_there(iglue: Callable[..., Any], folder: Path) -> None:
    write_rows(folder, (0, "train", "en"))
    features = folder / "regions" / "features.bin"
    features.write_bytes(b"\x01" + features.read_bytes()[1:])
    ended = check(iglue, folder)
    assert ended.code == 1
    assert ended.out.splitlines()[-1].startswith(
        f"{folder / 'regions'}: 1 image (0) with regions other than those that"
    )
    describe(folder, regions="stores")
    ended = check(iglue, folder)
    assert ended.code == 2 and str(folder / "stores") in ended.err and ended.err.count("\n") == 1


def test_without_data(iglue: Callable[..., Any]) -> None:
    for command in ("check", "show"):
        sentence = iglue("data", command, "custom/vqa").sentence()
        assert sentence.startswith(
            "task custom/vqa needs data; set task.data in the recipe, or --data-root, to a folder"
        )


def test_pictures(iglue: Callable[..., Any], folder: Path, tmp_path: Path) -> None:
    describe(folder, pictures="images")
    write_rows(folder, (0, "train", "en"), (1, "test", "en"), (3, "test", "de"))
    ended = check(iglue, folder)
    assert (ended.code, ended.err) == (1, "")
    assert ended.out.splitlines()[-3:] == [
        "test en: images: 1 images, all have pictures",
        "test de: images: 1 images, 1 image (3) without pictures",
        "pictures: nothing is damaged",
    ]
    output = tmp_path / "shown.png"
    ended = iglue("data", "show", "custom/nli", "--data-root", folder, "--output", output)
    assert (ended.code, ended.out) == (0, f"1. text 1 -> neutral\n{output}\n")
    assert output.is_file()


def test_damaged_pictures_and_two_files_of_an_image(iglue: Callable[..., Any], folder: Path) -> None:
    describe(folder, pictures="images")
    write_rows(folder, (0, "train", "en"), (1, "test", "en"), (2, "test", "en"))
    (first,), (second,) = ([*(folder / "images").glob(f"{number}.*")] for number in (0, 1))
    first.write_text("no picture")
    (second.parent / f"{second.stem}.webp").write_bytes(second.read_bytes())
    ended = check(iglue, folder)
    assert (ended.code, ended.err) == (1, "")
    lines = ended.out.splitlines()
    assert "test en: images: 2 images, 1 image (1) without pictures" in lines, "the other one has a picture"
    assert lines[-2].startswith(f"{first}: the picture ") and "has 2 pictures" in lines[-1]


def test_scores_of_a_prediction_file(iglue: Callable[..., Any], folder: Path, tmp_path: Path) -> None:
    predictions = tmp_path / "de.jsonl"
    predictions.write_text(json.dumps({"id": "test 2", "prediction": "neutral"}) + "\n")
    ended = iglue("score", "custom/nli", predictions, "--language", "de", "--data-root", folder)
    assert ended.code == 0 and "100" in ended.out, ended
