"""Region stores of photographs: features and boxes of cells, interruptions, and what is left out."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from PIL import Image
from torch.nn.functional import adaptive_avg_pool2d
from vision_towers import make_model, make_processor

from iglue_plugins.data.checking import check_store
from iglue_plugins.data.conversion import store_writer
from iglue_plugins.data.regions import RegionLayout
from iglue_plugins.data.stores.mapped_regions import MappedRegions
from iglue_plugins.models.extraction import grid
from iglue_plugins.models.extraction.extractor import ExtractionOptions, extract
from iglue_plugins.models.extraction.grid import GridExtractor, load_grid_extractor, pool_cells
from iglue_plugins.models.extraction.views import View
from iglue_plugins.utils.errors import UserError

EXACT = ExtractionOptions(grid=2, dtype="float32", device="cpu")


@pytest.mark.parametrize("kind", ["vit", "dinov2", "clip", "siglip", "resnet", "convnext"])
def test_the_store_of_each_model(kind: str, photos: Path, tower_folder: Callable, tmp_path: Path) -> None:
    folder = tower_folder(kind)
    metadata, is_new = extract(photos, tmp_path / "store", str(folder), options=EXACT)
    assert is_new
    assert (metadata.images, metadata.boxes, metadata.feature_size, metadata.left_out) == (7, 28, 32, {})
    store = MappedRegions(tmp_path / "store")
    assert store.ids == list("0123456")
    assert check_store(store.folder) == []

    torch.manual_seed(0)
    model, processor = make_model(kind), make_processor(kind)
    for position in range(7):
        with Image.open(photos / f"{position}.png") as picture, torch.inference_mode():
            pixels = processor(images=picture, return_tensors="pt")["pixel_values"]
            hidden = getattr(model, "vision_model", model)(pixel_values=pixels).last_hidden_state
            size = picture.size
        if hidden.dim() == 3:
            hidden = hidden[:, -16:].transpose(1, 2).unflatten(2, (4, 4))
        expected = adaptive_avg_pool2d(hidden, 2)[0].flatten(1).T
        np.testing.assert_allclose(store.features(position)[1:], expected, atol=1e-5)
        assert store.size(position) == size


@pytest.mark.parametrize("kind", ["vit", "clip", "resnet", "swin"])
def test_the_model_is_asked_for_the_size_of_its_features(kind: str, tower_folder: Callable) -> None:
    extractor = load_grid_extractor(str(tower_folder(kind)), grid=2)
    (regions,) = extractor.extract([extractor.prepare(Image.new("RGB", (50, 40), "red"))])
    assert extractor.feature_size == regions.features.shape[1]


def test_boxes_tile_the_picture(photos: Path, tower_folder: Callable, tmp_path: Path) -> None:
    extract(photos, tmp_path / "store", str(tower_folder("siglip")), options=EXACT)
    boxes = MappedRegions(tmp_path / "store").boxes(0)
    np.testing.assert_array_equal(boxes, [[0, 0, 60, 40], [60, 0, 120, 40], [0, 40, 60, 80], [60, 40, 120, 80]])


def test_boxes_of_a_model_that_sees_the_centre(photos: Path, tower_folder: Callable, tmp_path: Path) -> None:
    """120 x 80 becomes 108 x 72, of which 64 x 64 are cut out: 22 to 86 and 4 to 68 of these, in pixels of the "
    "picture."""
    extract(photos, tmp_path / "store", str(tower_folder("clip")), options=EXACT)
    boxes = MappedRegions(tmp_path / "store").boxes(0) * 72 / 80
    np.testing.assert_allclose(boxes, [[22, 4, 54, 36], [54, 4, 86, 36], [22, 36, 54, 68], [54, 36, 86, 68]], rtol=1e-6)


def test_pixel_values_of_several_shapes(photos: Path, tower_folder: Callable, tmp_path: Path) -> None:
    processor = transformers.BitImageProcessorPil(size={"shortest_edge": 64}, do_center_crop=False)
    extract(photos, tmp_path / "store", str(tower_folder("dinov2", processor)), options=EXACT)
    store = MappedRegions(tmp_path / "store")
    assert store.box_counts(range(7)).tolist() == [4] * 7
    np.testing.assert_array_equal(store.boxes(1)[[0, -1]], [[0, 0, 40, 60], [40, 60, 80, 120]])


def test_cells_overlap_where_the_grid_does_not_divide_the_map() -> None:
    features = torch.arange(12.0).reshape(1, 2, 6)
    pooled, boxes = pool_cells(features[:, :, :5], View(0, 0, 50, 20), (50, 20), 2)
    np.testing.assert_array_equal(boxes, [[0, 0, 30, 10], [20, 0, 50, 10], [0, 10, 30, 20], [20, 10, 50, 20]])
    np.testing.assert_array_equal(pooled, [[1], [3], [7], [9]])


def test_cells_of_padding_are_no_regions() -> None:
    pooled, boxes = pool_cells(torch.arange(4.0).reshape(1, 2, 2), View(-30, 0, 30, 40), (30, 40), 2)
    np.testing.assert_array_equal(boxes, [[0, 0, 30, 20], [0, 20, 30, 40]])
    np.testing.assert_array_equal(pooled, [[1], [3]])


def test_a_region_models_batch(photos: Path, tower_folder: Callable, tmp_path: Path) -> None:
    extract(photos, tmp_path / "store", str(tower_folder("vit")), options=ExtractionOptions(grid=3, device="cpu"))
    store = MappedRegions(tmp_path / "store")
    batch = store.gather(store.index(["3", "0"]), RegionLayout())
    assert batch["region_features"].shape == (2, 10, 32)
    torch.testing.assert_close(
        batch["region_features"][:, 0], batch["region_features"][:, 1:].mean(1), atol=2e-3, rtol=0
    )


def test_the_metadata_say_how_the_store_was_made(photos: Path, tower_folder: Callable, tmp_path: Path) -> None:
    extract(photos, tmp_path / "store", str(tower_folder("clip")), options=EXACT)
    metadata = json.loads((tmp_path / "store" / "store.json").read_text())
    made = metadata["extraction"]
    assert metadata["sources"] == [{"name": "photos", "size": 7}]
    assert (made["model"], made["grid"], made["precision"], len(made["revision"])) == ("tower-clip", 2, "float32", 64)
    assert made["image_backend"] in ("pil", "torchvision")
    assert made["image_processor"]["crop_size"] == {"height": 64, "width": 64}
    assert str(tmp_path) not in json.dumps(metadata)


def test_damaged_pictures_are_left_out_and_named(photos: Path, tower_folder: Callable, tmp_path: Path) -> None:
    (photos / "1.png").write_bytes((photos / "1.png").read_bytes()[:300])
    (photos / "3.png").write_text("no picture")
    (photos / "5.png").write_bytes((photos / "5.png").read_bytes()[:200])
    Image.new("RGB", (15, 300)).save(photos / "8.png")
    Image.new("RGB", (990, 30)).save(photos / "9.jpg")
    metadata, _ = extract(photos, tmp_path / "store", str(tower_folder("vit")), options=EXACT)
    assert MappedRegions(tmp_path / "store").ids == ["0", "2", "4", "6"]
    assert {reason[:25]: images for reason, images in metadata.left_out.items()} == {
        "the picture is damaged or": ("1", "5"),
        "the picture has no format": ("3",),
        "a side of fewer than 16 p": ("8", "9"),
    }


KILLED = """
import os, signal, sys
from pathlib import Path
from iglue_plugins.data.conversion import store_writer
from iglue_plugins.models.extraction import pictures
from iglue_plugins.models.extraction.extractor import ExtractionOptions, extract

def read(path):
    if path.name == "5.png":
        os.kill(os.getpid(), signal.SIGKILL)
    return read_picture(path)

store_writer.IMAGES_PER_TABLE, read_picture, pictures.read_picture = 2, pictures.read_picture, read
options = ExtractionOptions(grid=2, dtype="float32", device="cpu", batch_size=2)
extract(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], options=options)
"""


def test_a_killed_extraction_resumes(
    photos: Path, tower_folder: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, store = str(tower_folder("vit")), tmp_path / "store"
    (photos / "1.png").write_text("no picture")
    assert subprocess.run([sys.executable, "-c", KILLED, photos, store, model]).returncode == -9
    with pytest.raises(UserError, match="`iglue data convert`, `extract` or `detect`"):
        MappedRegions(store)
    read = []
    process = GridExtractor._process

    def record(self: object, picture: Image.Image) -> np.ndarray:
        read.append(picture.size)
        return process(self, picture)

    monkeypatch.setattr(GridExtractor, "_process", record)
    options = dataclasses.replace(EXACT, batch_size=2)
    metadata, _ = extract(photos, store, model, options=options)
    assert read[-1] == (33, 47)
    assert (100, 100) not in read
    assert list(metadata.left_out.values()) == [("1",)]
    extract(photos, tmp_path / "at once", model, options=options)
    files = {path.name: path.read_bytes() for path in store.iterdir()}
    assert files == {path.name: path.read_bytes() for path in (tmp_path / "at once").iterdir()}


def test_a_finished_extraction_is_not_repeated(
    photos: Path, tower_folder: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, store = str(tower_folder("clip")), tmp_path / "store"
    first, _ = extract(photos, store, model, options=EXACT)
    monkeypatch.setattr(grid, "load_tower", None)
    assert extract(photos, store, model, options=EXACT) == (first, False)


@pytest.mark.parametrize("change", ["grid", "model", "pictures"])
@pytest.mark.parametrize("finished", [True, False])
def test_a_store_of_something_else_is_refused(
    change: str, finished: bool, photos: Path, tower_folder: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, store, options = str(tower_folder("vit")), tmp_path / "store", EXACT
    if finished:
        extract(photos, store, model, options=options)
    else:
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(store_writer.StoreWriter, "add", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
            extract(photos, store, model, options=options)
    if change == "grid":
        options = ExtractionOptions(grid=3, dtype="float32", device="cpu")
    elif change == "model":
        model = str(tower_folder("siglip"))
    else:
        (photos / "0.png").unlink()
    with pytest.raises(UserError) as error:
        extract(photos, store, model, options=options)
    assert str(error.value).startswith(f"{store}: found a store of float32 from photos (size 7) by tower-vit at ")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("jobs", [1, 2])
def test_several_processes_read_the_same(jobs: int, photos: Path, tower_folder: Callable, tmp_path: Path) -> None:
    (photos / "3.png").write_text("no picture")
    options = ExtractionOptions(grid=2, batch_size=3, device="cpu", jobs=jobs)
    metadata, _ = extract(photos, tmp_path / "store", str(tower_folder("vit")), options=options)
    expected, _ = extract(photos, tmp_path / "other", str(tower_folder("vit")), options=ExtractionOptions(grid=2))
    assert metadata.fingerprint == expected.fingerprint
    assert metadata.left_out == expected.left_out


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_picture_that_vanishes_ends_the_extraction(
    jobs: int, photos: Path, tower_folder: Callable, tmp_path: Path
) -> None:
    """It is not left out: the pictures are not those that the store is made from."""
    (photos / "7.png").symlink_to(tmp_path / "nothing.png")
    with pytest.raises(UserError) as error:
        extract(photos, tmp_path / "store", str(tower_folder("vit")), options=ExtractionOptions(grid=2, jobs=jobs))
    assert str(error.value).startswith(f"{photos / '7.png'}: the picture cannot be read (No such file or directory)")
    assert str(error.value).endswith("what is extracted is kept, and the same command continues")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"grid": 5}, "--grid: 5 is too fine, since the model sees a picture as 4 rows of 4 places; choose at most 4"),
        ({"device": "abacus"}, "--device: 'abacus' cannot be used ("),
        ({"device": "cuda:99"}, "--device: 'cuda:99' cannot be used ("),
        ({"precision": "bfloat61"}, "--precision: found 'bfloat61'; did you mean 'bfloat16'?"),
        ({"dtype": "float61"}, "--dtype: found 'float61'; did you mean 'float16'?"),
    ],
)
def test_options_that_do_not_fit(
    options: dict, message: str, photos: Path, tower_folder: Callable, tmp_path: Path
) -> None:
    with pytest.raises(UserError) as error:
        extract(photos, tmp_path / "store", str(tower_folder("vit")), options=ExtractionOptions(**options))
    assert str(error.value).startswith(message)


def test_folders_that_do_not_fit(photos: Path, tower_folder: Callable, tmp_path: Path) -> None:
    def refused(folder: Path, model: object, revision: str | None = None) -> str:
        with pytest.raises(UserError) as error:
            extract(folder, tmp_path / "store", str(model), revision, EXACT)
        return str(error.value)

    model = tower_folder("vit")
    assert "the revision 'main' is of a hub id" in refused(photos, model, "main")
    assert f"there is no folder '{tmp_path}/none'" in refused(photos, tmp_path / "none")
    (tmp_path / "deep" / "inner").mkdir(parents=True)
    assert refused(tmp_path / "deep", model).startswith(f"{tmp_path / 'deep'}: holds no pictures")
    assert refused(tmp_path / "none", model).startswith(f"{tmp_path / 'none'}: cannot be read (No such file")
    (model / "preprocessor_config.json").unlink()
    assert "no image processor can be loaded" in refused(photos, model)
    Image.new("RGB", (50, 50)).save(photos / "0.jpg")
    assert "0.jpg and 0.png are both of image '0'" in refused(photos, model)


def test_bfloat16(photos: Path, tower_folder: Callable, tmp_path: Path) -> None:
    model = str(tower_folder("vit"))
    options = ExtractionOptions(grid=2, device="cpu", precision="bfloat16", dtype="float32")
    extract(photos, tmp_path / "half", model, options=options)
    extract(photos, tmp_path / "full", model, options=EXACT)
    half, full = (MappedRegions(tmp_path / name)._features for name in ("half", "full"))
    assert not torch.equal(half, full)
    torch.testing.assert_close(half, full, atol=0.1, rtol=0.1)
