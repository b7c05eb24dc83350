"""`iglue data convert` and `iglue data check`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from datasets import Dataset
from pydantic import BaseModel, ConfigDict

from iglue_plugins import registry
from iglue_plugins.data.conversion import npy_source
from iglue_plugins.data.stores.mapped_regions import MappedRegions
from iglue_plugins.data.stores.region_stores import RegionStores
from iglue_plugins.utils.errors import UserError


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Images '0' to '4' of two boxes, as .npy files."""
    folder = tmp_path / "npy"
    folder.mkdir()
    for number in range(5):
        np.save(folder / f"{number}.npy", np.full((2, 3), number, dtype=np.float32))
        info = {"bbox": np.asarray([[1, 2, 30, 40], [5, 6, 50, 60]]), "image_width": 100, "image_height": 80}
        np.save(folder / f"{number}_info.npy", info)
    return folder


def test_convert(iglue: Callable, source: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    ended = iglue("data", "convert", source, store)
    assert (ended.code, ended.out, ended.err) == (0, f"{store}: 5 images, 10 boxes of 3 features, float16\n", "")
    assert len(MappedRegions(store)) == 5
    ended = iglue("data", "convert", source, store)
    assert (ended.code, ended.out) == (0, f"{store}: already converted, 5 images, 10 boxes of 3 features, float16\n")


def test_convert_several_sources_to_float32(iglue: Callable, source: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    for name in ("4", "4_info"):
        (source / f"{name}.npy").rename(other / f"{name}.npy")
    ended = iglue("data", "convert", source, other, tmp_path / "store", "--dtype", "float32", "--format", "npy")
    assert (ended.code, ended.out) == (0, f"{tmp_path / 'store'}: 5 images, 10 boxes of 3 features, float32\n")


def test_convert_says_what_it_left_out(iglue: Callable, source: Path, tmp_path: Path) -> None:
    for name in "12":
        np.save(source / f"{name}.npy", np.full((2, 3), np.nan, dtype=np.float32))
    (source / "3_info.npy").unlink()
    np.save(source / "4_info.npy", {"bbox": np.full((2, 4), 300), "image_width": 100, "image_height": 80})
    ended = iglue("data", "convert", source, tmp_path / "store")
    assert (ended.code, ended.out) == (0, f"{tmp_path / 'store'}: 2 images, 4 boxes of 3 features, float16\n")
    assert ended.err.splitlines() == [
        "iglue: left out 2 images (1, 2): features or boxes that are not finite numbers",
        "iglue: left out 1 image (3): a .npy without its _info.npy",
        "iglue: 1 image with boxes more than a pixel outside of it, kept as they are",
    ]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--format", "h6"], "--format: found 'h6'; did you mean 'h5'?"),
        (["--dtype", "float61"], "--dtype: found 'float61'; did you mean 'float16'?"),
        (["--format", "h5"], "{source}: cannot be read"),
    ],
)
def test_convert_with_other_options(
    options: list[str], message: str, iglue: Callable, source: Path, tmp_path: Path
) -> None:
    sentence = iglue("data", "convert", source, tmp_path / "store", *options).sentence()
    assert sentence.startswith(message.format(source=source))


def test_ctrl_c_and_the_same_command(
    iglue: Callable, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load_npy, loaded = npy_source.load_npy, []

    def load(path: Path) -> np.ndarray:
        if path.name == "3.npy":
            raise KeyboardInterrupt
        loaded.append(path.name)
        return load_npy(path)

    with monkeypatch.context() as patch:
        patch.setattr(npy_source, "load_npy", load)
        ended = iglue("data", "convert", source, tmp_path / "store")
    assert (ended.code, ended.err) == (130, "iglue: interrupted; the same command resumes\n")
    assert loaded == ["0.npy", "0_info.npy", "1.npy", "1_info.npy", "2.npy", "2_info.npy"]
    assert iglue("data", "convert", source, tmp_path / "store").out.startswith(f"{tmp_path / 'store'}: 5 images")


class Shelf:
    """A task whose train split is in English only; its test split is in every language."""

    splits = ("train", "test")
    languages = ("en", "id", "tr")
    image_kinds = ("regions",)
    images = {"train": ["shelf/0", "shelf/1", "shelf/0"], "test": ["shelf/2", "shelf/3"]}

    class Settings(BaseModel):
        model_config = ConfigDict(extra="forbid")
        data_root: str | None = None

    def __init__(self, settings: Settings | None = None) -> None:
        self.regions = RegionStores(Path(settings.data_root) / "regions")

    def available_splits(self) -> list[tuple[str, str, tuple[None]]]:
        return [(split, language, (None,)) for split in self.splits for language in self.languages]

    def count_table(self) -> list[str]:
        return []

    def load(self, split: str, language: str) -> Dataset:
        if split == "train" and language != "en":
            raise UserError(f"train/{language}.jsonl: found no such file, expected annotations")
        return Dataset.from_dict({"image_ids": [[image] for image in self.images[split]]})


@pytest.fixture
def shelf(monkeypatch: pytest.MonkeyPatch) -> type[Shelf]:
    """The only task there is."""

    class Own(Shelf):
        images = dict(Shelf.images)

    fresh = registry.Registry("task", "no.such.group", [])
    fresh.register("shelf")(Own)
    monkeypatch.setattr(registry, "tasks", fresh)
    return Own


@pytest.fixture
def check(iglue: Callable, tmp_path: Path, source: Path, shelf: type[Shelf]) -> Callable:
    """Checks the task, whose store is whole."""
    iglue("data", "convert", source, tmp_path / "regions" / "shelf")
    return lambda: iglue("data", "check", "shelf", "--data-root", tmp_path)


def test_check_where_all_is_well(check: Callable) -> None:
    ended = check()
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.splitlines() == [
        "train en: shelf: 2 images, all have features",
        "train id: not there: train/id.jsonl: found no such file, expected annotations",
        "train tr: not there: train/tr.jsonl: found no such file, expected annotations",
        "test en id tr: shelf: 2 images, all have features",
        "shelf: nothing is damaged",
    ]


def test_check_names_images_without_features(check: Callable, shelf: type[Shelf]) -> None:
    shelf.images["test"] = ["shelf/2", "shelf/x", "other/1"]
    ended = check()
    assert ended.code == 1
    test, other, store = ended.out.splitlines()[3:]
    assert test == "test en id tr: shelf: 2 images, 1 image (shelf/x) without features"
    assert other.startswith("test en id tr: other: 1 images, none has features: ")
    assert store == "shelf: nothing is damaged"


def test_check_names_what_is_damaged(check: Callable, tmp_path: Path) -> None:
    features = tmp_path / "regions" / "shelf" / "features.bin"
    features.write_bytes(b"x" + features.read_bytes()[1:])
    ended = check()
    assert ended.code == 1
    assert ended.out.splitlines()[-1] == (
        f"{features.parent}: 1 image (0) with regions other than those that were converted"
    )
    features.write_bytes(features.read_bytes()[1:])
    ended = check()
    assert ended.code == 1
    assert "has 89 bytes instead of 90" in ended.out


def test_check_a_full_scale_task(iglue: Callable, source: Path, tmp_path: Path) -> None:
    """Splits have some of the languages only, and few-shot examples by their number."""
    annotations = tmp_path / "datasets" / "XVNLI" / "annotations"
    for file, images in {"en/test": "01", "ar/train_1": "2", "ar/train_5": "23"}.items():
        path = annotations / f"{file}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(
            "".join(
                json.dumps(
                    {"gold_label": "neutral", "sentence1": "a", "sentence2": "b", "pairID": image, "Flikr30kID": image}
                )
                + "\n"
                for image in images
            )
        )
    iglue("data", "convert", source, tmp_path / "regions" / "flickr30k")
    ended = iglue("data", "check", "xvnli", "--data-root", tmp_path)
    lines = ended.out.splitlines()
    assert ended.code == 0
    assert [line for line in lines if "not there" not in line] == [
        "few_shot ar: flickr30k: 2 images, all have features",
        "test en: flickr30k: 2 images, all have features",
        "flickr30k: nothing is damaged",
    ]
    assert all("no such file" in line for line in lines if "not there" in line)


def test_check_without_any_annotations(check: Callable, shelf: type[Shelf]) -> None:
    shelf.splits, shelf.languages = ("train",), ("id",)
    assert check().code == 1


def test_check_a_task_that_brings_its_data(iglue: Callable) -> None:
    assert (
        iglue("data", "check", "mini/xvnli", "--data-root", "x")
        .sentence()
        .startswith("--data-root: the task mini/xvnli")
    )


def test_check_a_recipe(iglue: Callable, tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(f"task: mini/xvnli\nmodel: mini/xuniter\ntrainer: xvl_maml\nruns: {tmp_path}/runs\n")
    ended = iglue("data", "check", recipe)
    assert (ended.code, ended.out.splitlines()) == (
        0,
        [
            "to do: finetune (finetune on mini/xvnli)",
            "to do: recipe (xvl_maml on mini/xvnli)",
            "nothing is lacking",
        ],
    )
    recipe.write_text("task: xvnli\nmodel: {name: xuniter, checkpoint: ./none}\ntrainer: finetune\n")
    ended = iglue("data", "check", recipe, "--data-root", tmp_path / "data")
    assert ended.code == 1
    for lacking in ("'./none'", "data/XVNLI/annotations/en/train.jsonl", "data/regions/flickr30k"):
        assert sum(lacking in line for line in ended.out.splitlines()) == 1
