"""Agreement with the reference implementation: the same images in each format, and what VOLTA's reader returns."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch.nn.functional import normalize

from iglue_plugins.data.conversion.converter import convert
from iglue_plugins.data.regions import RegionLayout
from iglue_plugins.data.stores.mapped_regions import MappedRegions

FEATURES = Path(__file__).parents[3].parent / "shared" / "features"
SOURCES = ("boxes36.h5", "from_h5.lmdb", "from_npy.lmdb", "npy", "obj36.tsv")
IMAGES = ["1007129816", "39-n-5", "COCO_val2014_000000000042", "dev-850-0-img0", "dev-850-0-img1", "n161313"]
LAYOUTS = {
    "xuniter": RegionLayout(),
    "uc2": RegionLayout(global_region=False, location_size=7),
    "m3p": RegionLayout(global_region=False),
}
TOLERANCES = {"float32": {"rtol": 1e-6, "atol": 1e-6}, "float16": {"rtol": 1e-3, "atol": 1e-6}}

pytestmark = pytest.mark.skipif(not FEATURES.is_dir(), reason=f"no features and VOLTA's reading of them in {FEATURES}")


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("dtype", TOLERANCES)
def test_regions_are_those_of_voltas_reader(source: str, dtype: str, tmp_path: Path) -> None:
    expected = load_file(FEATURES / "expected.safetensors")
    convert([FEATURES / source], tmp_path / "store", dtype=dtype)
    store = MappedRegions(tmp_path / "store")
    assert sorted(store.ids) == IMAGES
    for model, layout in LAYOUTS.items():
        batch = store.gather(store.index(IMAGES), layout)
        for row, image in enumerate(IMAGES):
            kept = batch["region_mask"][row].bool()
            for name, tolerance in (("features", TOLERANCES[dtype]), ("locations", TOLERANCES["float32"])):
                found = batch[f"region_{name}"][row][kept]
                found = normalize(found, dim=-1) if model == "m3p" else found  # M3P itself reads unit vectors
                torch.testing.assert_close(found, expected[f"{model}/{image}/{name}"], **tolerance)


@pytest.mark.parametrize("dtype", TOLERANCES)
def test_all_formats_make_the_same_store(dtype: str, tmp_path: Path) -> None:
    made = [convert([FEATURES / source], tmp_path / source, dtype=dtype)[0] for source in SOURCES]
    assert len({metadata.fingerprint for metadata in made}) == 1
