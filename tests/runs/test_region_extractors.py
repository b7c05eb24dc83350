"""Answers for pictures of a user's own by models that read regions, which are made as those of the task were."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from answered_runs import DETECTION, ColorDetector, model_section, write_store
from fake_detector import NOTHING_THERE, TOO_SMALL
from PIL import Image
from tiny_detectors import ASSETS, write_tiny
from vision_towers import save_tower

import iglue_plugins
from iglue_plugins import registry
from iglue_plugins.data.conversion.converter import convert
from iglue_plugins.models.detector.loading import load_detector
from iglue_plugins.models.extraction.extractor import ExtractionOptions, extract
from iglue_plugins.recipes.recipe import load_recipe
from iglue_plugins.runs import region_extractors, runner
from iglue_plugins.runs.folder import Run
from iglue_plugins.runs.region_extractors import ExtractorChoice, choose_extractor
from iglue_plugins.utils.errors import UserError

CPU = torch.device("cpu")


@pytest.fixture
def photos(tmp_path: Path) -> list[Path]:
    """Pictures of noise, '0' to '3'."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(4):
        noise = np.random.default_rng(number).integers(0, 256, (2 + number % 2, 3, 3), dtype=np.uint8)
        Image.fromarray(noise).resize((60 + 10 * number, 50), Image.Resampling.NEAREST).save(folder / f"{number}.png")
    return sorted(folder.iterdir())


@pytest.fixture
def run_of(tmp_path: Path, photos: list[Path]) -> Callable[..., Run]:
    """Gives a function that makes a run of a tiny xUNITER on a user's own data.

    Its region store is of `ColorDetector`, unless `regions` names another one.
    """

    def make(
        kind: str, images: Sequence[str] = ("0", "1", "2"), dtype: Any = "float32", size: int = 64, **facts: Any
    ) -> Run:
        data = tmp_path / "data"
        data.mkdir()
        if "regions" not in facts:
            write_store(data / "regions", photos[0].parent, ColorDetector(), dtype)
        label = {"nli": "neutral", "image_pair": "True", "vqa": "blue"}.get(kind)
        rows = [
            {"id": f"{split} {i}", "text": "a lion" * (i + 1), "language": "en", "split": split}
            | ({"images": [name, images[i - 1]]} if kind == "image_pair" else {"image": name})
            | ({"label": label} if label else {})
            for split in ("train", "test")
            for i, name in enumerate(images)
        ]
        (data / "data.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
        (data / "task.yaml").write_text(yaml.safe_dump({"regions": "regions"} | facts))
        recipe = {
            "task": {"name": f"custom/{kind}", "data": str(data)},
            "model": model_section("xuniter", tmp_path, size),
            "trainer": {"name": "finetune", "steps": 1, "batch_size": 2, "learning_rate": 1e-4, "validate_every": None},
            "runs": str(tmp_path / "runs"),
        }
        (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe))
        return runner.run(load_recipe(tmp_path / "recipe.yaml"))

    return make


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """Puts `ColorDetector` in the place of those of a store or of a name; gives the arguments of each call."""
    calls: list[tuple[Any, ...]] = []

    def load_extractor(settings: Any, *arguments: Any) -> ColorDetector:
        calls.append((settings, *arguments))
        return ColorDetector(settings.model_copy(update={"options": {"a": (1,)}}))

    def load_detector(name: str, *arguments: Any) -> ColorDetector:
        calls.append((name, *arguments))
        return ColorDetector(size=int(arguments[0] or 64))

    monkeypatch.setattr(region_extractors, "load_extractor", load_extractor)
    monkeypatch.setattr(region_extractors, "load_detector", load_detector)
    return calls


@pytest.mark.parametrize(("dtype", "error"), [("float32", 1e-6), ("float16", 5e-3)])
def test_a_picture_is_read_as_the_image_of_the_store_that_it_became(
    dtype: str, error: float, run_of: Callable[..., Run], photos: list[Path], loaded: list[Any]
) -> None:
    predictor = iglue_plugins.load_run(run_of("nli", dtype=dtype).folder)
    by_id = predictor("1", text="a lion")
    found = predictor(photos[1], text="a lion")
    assert found.probabilities == pytest.approx(by_id.probabilities, abs=error)
    assert found.probabilities != pytest.approx(predictor(photos[3], text="a lion").probabilities, abs=error)
    assert loaded == [(DETECTION, None, CPU)], "once"
    assert found.notes == ()


def test_a_picture_beside_an_image_of_the_task(
    run_of: Callable[..., Run], photos: list[Path], loaded: list[Any]
) -> None:
    predictor = iglue_plugins.load_run(run_of("image_pair").folder)
    expected = predictor("2", "1", text="a").probabilities
    for images in ([photos[2], "1"], ["2", photos[1]], [photos[2], photos[1]]):
        assert predictor.predict(images, "a").probabilities == pytest.approx(expected, abs=1e-6)
    assert predictor(photos[1], photos[2], text="a").probabilities != pytest.approx(expected, abs=1e-3)


def test_pictures_of_several_sizes_are_ranked(
    run_of: Callable[..., Run], photos: list[Path], loaded: list[Any]
) -> None:
    predictor = iglue_plugins.load_run(run_of("retrieval").folder)
    found = predictor(*photos, "0", text="a")
    assert found.scores["0"] == pytest.approx(found.scores[str(photos[0])], abs=1e-5)
    assert len(set(found.scores.values())) >= 4


def test_a_named_detector(run_of: Callable[..., Run], photos: list[Path], loaded: list[Any]) -> None:
    run = run_of("nli")
    expected = iglue_plugins.load_run(run.folder)("1", text="a").probabilities
    found = iglue_plugins.load_run(run.folder, detector="colors", weights="file.bin", weights_revision="main", boxes=9)
    assert found(photos[1], text="a").probabilities == pytest.approx(expected, abs=1e-6)
    assert loaded == [("colors", None, "file.bin", "main", "float32", CPU, 9)]
    with pytest.raises(UserError, match=r"^--detector: colors \(.* makes 32 features of a region, but the model of"):
        iglue_plugins.load_run(run.folder, detector="colors", preset="32")(photos[1], text="a")
    with pytest.raises(UserError, match="^--preset: '32' is of a detector; name it by --detector$"):
        iglue_plugins.load_run(run.folder, preset="32")


def test_the_model_of_a_grid_is_loaded_from_its_folder(
    run_of: Callable[..., Run], photos: list[Path], tmp_path: Path
) -> None:
    tower, other = tmp_path / "tower", tmp_path / "other"
    for seed, folder in enumerate((tower, other)):
        torch.manual_seed(seed)
        save_tower(folder, "siglip")
    options = ExtractionOptions(grid=2, dtype="float32", device="cpu", jobs=1)
    extract(photos[0].parent, tmp_path / "store", str(tower), options=options)
    run = run_of("nli", size=32, regions=str(tmp_path / "store"))
    predictor = iglue_plugins.load_run(run.folder, weights=str(tower))
    expected = predictor("1", text="a").probabilities
    assert predictor(photos[1], text="a").probabilities == pytest.approx(expected, abs=1e-5)
    with pytest.raises(UserError, match="^--weights is missing: .* a file or folder 'tower', but not where"):
        iglue_plugins.load_run(run.folder)(photos[1], text="a")
    with pytest.raises(UserError, match="^--weights: the regions in .*store were made by tower at .*, but the weights"):
        iglue_plugins.load_run(run.folder, weights=str(other))(photos[1], text="a")


def test_the_detector_of_visual_genome_with_weights_of_a_folder(run_of: Callable[..., Run], tmp_path: Path) -> None:
    folder = str(write_tiny(tmp_path / "tiny"))
    detector, pictures = load_detector("vg-r101", weights=folder), tmp_path / "pictures"
    pictures.mkdir()
    shutil.copyfile(ASSETS / "img2.png", pictures / "img2.png")
    write_store(tmp_path / "store", pictures, detector)
    run = run_of("nli", ("img2",) * 2, size=detector.feature_size, regions=str(tmp_path / "store"))
    expected = iglue_plugins.load_run(run.folder)("img2", text="a").probabilities
    for chosen in ({"weights": folder}, {"detector": "vg-r101", "weights": folder}):
        found = iglue_plugins.load_run(run.folder, **chosen)(pictures / "img2.png", text="a")
        assert (found.probabilities, found.notes) == (pytest.approx(expected, abs=1e-5), ())
    other = iglue_plugins.load_run(run.folder, preset="caffe-36", detector="vg-r101", weights=folder)
    assert other(pictures / "img2.png", text="a").probabilities != pytest.approx(expected, abs=1e-5)


def test_other_weights_than_those_of_the_store(
    run_of: Callable[..., Run], photos: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = run_of("nli")
    other = DETECTION.model_copy(update={"revision": "d" * 40})
    monkeypatch.setattr(region_extractors, "load_extractor", lambda *_: ColorDetector(other))
    with pytest.raises(UserError, match=r"^--weights: the regions in .*regions were made by .*cccc.*, but .*dddd"):
        iglue_plugins.load_run(run.folder, weights="other")(photos[1], text="a")
    resized = DETECTION.model_copy(update={"weights": "elsewhere", "options": {"a": (2,)}})
    monkeypatch.setattr(region_extractors, "load_extractor", lambda *_: ColorDetector(resized))
    (note,) = iglue_plugins.load_run(run.folder)(photos[1], text="a").notes
    assert note.startswith("options: {'a': [2]} makes the regions of the picture, but {'a': [1]} made those in ")


def test_pictures_of_which_no_regions_can_be_made(
    run_of: Callable[..., Run], tmp_path: Path, loaded: list[Any]
) -> None:
    predictor = iglue_plugins.load_run(run_of("nli").folder)
    for size, reason in (((30, 30), NOTHING_THERE), ((9, 30), TOO_SMALL)):
        path = tmp_path / f"{size[0]}.png"
        Image.new("RGB", size).save(path)
        with pytest.raises(UserError, match=f"^{path}: has no regions \\({reason}\\)"):
            predictor(path, text="a")


def test_a_store_that_does_not_say_what_made_it(
    run_of: Callable[..., Run], photos: list[Path], tmp_path: Path, loaded: list[Any]
) -> None:
    source = tmp_path / "features"
    source.mkdir()
    for name in "012":
        np.save(source / f"{name}.npy", np.ones((2, 64), np.float32))
        info = {"bbox": np.asarray([[0, 0, 9, 9]] * 2), "image_width": 10, "image_height": 10}
        np.save(source / f"{name}_info.npy", info)
    convert([source], tmp_path / "store", "npy")
    run = run_of("nli", regions=str(tmp_path / "store"))
    with pytest.raises(UserError, match="store: does not say what made its regions, .*--preset iglue-36"):
        iglue_plugins.load_run(run.folder)(photos[0], text="a")
    assert loaded == []


def test_a_task_whose_regions_come_from_no_store(photos: list[Path]) -> None:
    with pytest.raises(UserError, match="^task mini/xvnli has no region store that says what makes regions of a pict"):
        choose_extractor(registry.tasks.load("mini/xvnli")(), ExtractorChoice(), CPU)


def test_the_store_of_the_training_examples_comes_first(tmp_path: Path, photos: list[Path], loaded: list[Any]) -> None:
    cls = registry.tasks.load("marvl")
    task = cls(cls.Settings(data_root=str(tmp_path), regions=str(tmp_path)))
    with pytest.raises(UserError, match="^task marvl has no region store"):
        choose_extractor(task, ExtractorChoice(), CPU)
    for store in ("other", "marvl-id", "nlvr2"):
        settings = DETECTION.model_copy(update={"preset": store})
        write_store(tmp_path / store, photos[0].parent, ColorDetector(settings))
        if store != "other":
            extractor, notes = choose_extractor(task, ExtractorChoice(weights="w"), CPU)
            assert (loaded[-1], notes) == ((settings, "w", CPU), [])
            assert isinstance(extractor, ColorDetector)
