"""Regions of three real photographs by the detector's network at tiny widths, from the command line to xUNITER."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from tiny_detectors import write_tiny

from iglue_plugins.data.checking import check_store
from iglue_plugins.data.regions import RegionLayout
from iglue_plugins.data.stores.region_stores import RegionStores
from iglue_plugins.models.configuration import XUniterConfig
from iglue_plugins.models.uniter import XUniterForVisionAndLanguage

FLICKR8K = Path(__file__).parents[2].parent / "shared" / "flickr8k"
PHOTOGRAPHS = 3

pytestmark = pytest.mark.skipif(
    not (FLICKR8K / "images").is_dir(), reason="Flickr8k's photographs are not there (shared/flickr8k)"
)

DETECT = """
import sys
from iglue_plugins import cli
from iglue_plugins.data.conversion import store_writer

store_writer.IMAGES_PER_TABLE = 1
sys.argv[0] = "iglue"
cli.main()
"""


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for photo in sorted((FLICKR8K / "images").glob("*.jpg"))[:PHOTOGRAPHS]:
        (folder / photo.name).symlink_to(photo)
    return folder


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    return write_tiny(tmp_path / "tiny")


def detect(photos: Path, store: Path, weights: Path, jobs: int) -> subprocess.Popen:
    arguments = ["data", "detect", photos, store, "--weights", weights, "--jobs", jobs, "--device", "cpu"]
    return subprocess.Popen([sys.executable, "-c", DETECT, *map(str, arguments)])


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_one_process_and_two_and_a_killed_one_make_the_same_store(photos: Path, weights: Path, tmp_path: Path) -> None:
    stores = [tmp_path / "regions" / name for name in ("one", "two", "killed")]
    assert detect(photos, stores[0], weights, 1).wait(timeout=300) == 0
    assert detect(photos, stores[1], weights, 2).wait(timeout=300) == 0
    killed = detect(photos, stores[2], weights, 2)
    while not list((stores[2] / "unfinished").glob("*.parquet")):
        assert killed.poll() is None
        time.sleep(0.005)
    killed.kill()
    assert killed.wait(timeout=60) == -9
    assert not (stores[2] / "store.json").exists()
    assert detect(photos, stores[2], weights, 1).wait(timeout=300) == 0
    assert files(stores[0]) == files(stores[1]) == files(stores[2])

    assert check_store(stores[0]) == []
    regions = RegionStores(tmp_path / "regions")
    batch = regions.gather(regions.index([f"one/{photo.stem}" for photo in sorted(photos.iterdir())]), RegionLayout())
    assert batch["region_features"].shape == (PHOTOGRAPHS, 37, 128)
    config = XUniterConfig(
        vocab_size=20,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        region_feature_size=128,
        pooler_size=16,
        classifier_hidden_size=16,
        contrastive_size=8,
    )
    model = XUniterForVisionAndLanguage(config).eval()
    model.set_head("image_text_matching", 1)
    text = {
        "input_ids": torch.full((PHOTOGRAPHS, 4), 5),
        "attention_mask": torch.ones(PHOTOGRAPHS, 4, dtype=torch.int64),
    }
    with torch.inference_mode():
        logits = model(**text, **batch)
    assert torch.isfinite(logits).all() and len(logits.unique()) == PHOTOGRAPHS
