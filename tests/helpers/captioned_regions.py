"""A folder of a user's own captions of images that have region features."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import yaml

from iglue_plugins.data.conversion.converter import convert

SPLITS = ("train", "dev", "test")


def write_captions(folder: Path, feature_size: int, images: int = 6) -> Path:
    """Writes English captions of `images` images a split, their region store and task.yaml, for custom/retrieval."""
    rng, source = np.random.default_rng(0), folder / "features"
    source.mkdir(parents=True)
    rows = []
    for split in SPLITS:
        for number in range(images):
            name = f"{split}-{number}"
            np.save(source / f"{name}.npy", rng.normal(size=(3, feature_size)).astype(np.float32))
            boxes = np.asarray([[1, 2, 30, 40], [5, 6, 50, 60], [0, 0, 100, 80]])
            np.save(source / f"{name}_info.npy", {"bbox": boxes, "image_width": 100, "image_height": 80})
            rows.append({"id": name, "image": name, "text": f"{number} dogs", "language": "en", "split": split})
    convert([source], folder / "regions", "npy")
    (folder / "data.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    (folder / "task.yaml").write_text(yaml.safe_dump({"regions": "regions"}))
    return folder
