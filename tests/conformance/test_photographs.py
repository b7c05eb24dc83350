"""Real photographs: all are read, and features that are extracted from them are read by a region model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from vision_towers import save_tower

from iglue_plugins.data.checking import check_store
from iglue_plugins.data.pictures.folder import PictureFolder
from iglue_plugins.data.regions import RegionLayout
from iglue_plugins.data.stores.region_stores import RegionStores
from iglue_plugins.models.configuration import XUniterConfig
from iglue_plugins.models.extraction.extractor import ExtractionOptions, extract
from iglue_plugins.models.uniter import XUniterForVisionAndLanguage

FLICKR8K = Path(__file__).parents[2].parent / "shared" / "flickr8k"

pytestmark = pytest.mark.skipif(
    not (FLICKR8K / "images").is_dir(), reason="Flickr8k's photographs are not there (shared/flickr8k)"
)


def test_every_photograph_is_read() -> None:
    pictures, names = PictureFolder(FLICKR8K), [path.stem for path in (FLICKR8K / "images").glob("*.jpg")]
    ids = [f"images/{name}" for name in sorted(names)]
    assert len(ids) == 1656
    assert pictures.missing(ids) == []
    for image_id in ids:
        picture = pictures.picture(image_id)
        assert (picture.mode, picture.size) == ("RGB", (224, 224))
        assert pictures.picture(image_id, least_side=100).size == (112, 112)


def test_a_region_model_reads_extracted_features(tmp_path: Path) -> None:
    photos = sorted((FLICKR8K / "images").glob("*.jpg"))[:30]
    (tmp_path / "photos").mkdir()
    for photo in photos:
        (tmp_path / "photos" / photo.name).symlink_to(photo)
    torch.manual_seed(0)
    save_tower(tmp_path / "vit", "vit")
    metadata, _ = extract(
        tmp_path / "photos",
        tmp_path / "regions" / "flickr8k",
        str(tmp_path / "vit"),
        options=ExtractionOptions(grid=3, device="cpu", batch_size=8),
    )
    assert (metadata.images, metadata.boxes, metadata.left_out, metadata.noted) == (30, 270, {}, {})
    assert check_store(tmp_path / "regions" / "flickr8k") == []
    stores = RegionStores(tmp_path / "regions")
    positions = stores.index([f"flickr8k/{photo.stem}" for photo in photos])
    regions = stores.gather(positions, RegionLayout())
    assert regions["region_features"].shape == (30, 10, 32)
    assert regions["region_features"][:, 1:].std(0).min() > 0  # photographs differ in every cell

    config = XUniterConfig(
        vocab_size=20,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        region_feature_size=32,
        pooler_size=16,
        classifier_hidden_size=16,
        contrastive_size=8,
    )
    model = XUniterForVisionAndLanguage(config).eval()
    model.set_head("image_text_matching", 1)
    text = {"input_ids": torch.full((30, 4), 5), "attention_mask": torch.ones(30, 4, dtype=torch.int64)}
    with torch.inference_mode():
        logits = model(**text, **regions)
    assert torch.isfinite(logits).all()


def test_the_boxes_are_where_the_cells_are(tmp_path: Path) -> None:
    """A photograph whose middle is painted over changes in the cell of that box more than anywhere else."""
    save_tower(tmp_path / "convnext", "convnext")
    (tmp_path / "photos").mkdir()
    photo = sorted((FLICKR8K / "images").glob("*.jpg"))[0]
    with Image.open(photo) as image:
        image.save(tmp_path / "photos" / "whole.png")
        painted = image.copy()
        painted.paste((255, 0, 0), (10, 120, 100, 214))
        painted.save(tmp_path / "photos" / "painted.png")
    options = ExtractionOptions(grid=2, device="cpu", dtype="float32")
    extract(tmp_path / "photos", tmp_path / "regions" / "s", str(tmp_path / "convnext"), options=options)
    store = RegionStores(tmp_path / "regions").store("s")
    features = [store.features(store.position(name))[1:] for name in ("whole", "painted")]
    boxes = store.boxes(0)
    changed = np.abs(features[0] - features[1]).mean(1).argmax()
    left, top, right, bottom = boxes[changed]
    assert left < 55 < right and top < 167 < bottom
