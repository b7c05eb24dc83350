"""How many pictures a second are read in full, with a least side, and from a compact copy, and how much they differ.

    python benchmarks/pictures.py FOLDER --size 224 --enlarge 1600

FOLDER holds photographs. With --enlarge they are first made larger, since no larger ones may be at hand. One process
reads; the times are medians of the rounds, in which the ways take turns. With a least side of twice --size, as models
from pixels read, JPEGs are decoded at a part of their size where that leaves so many pixels. The difference is that of
the resized pictures from those read in full, in levels of 255. Last come the milliseconds of making pixel values of a
picture, by SigLIP's image processor on Pillow alone and as models from pixels do, which gives the same numbers.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from transformers import SiglipImageProcessorPil

from iglue_plugins.data.pictures.copying import copy_pictures
from iglue_plugins.data.pictures.reading import read_picture
from iglue_plugins.data.processors.pixel_values import process_pictures

ROUNDS = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--size", type=int, default=224, help="the shorter side that is needed")
    parser.add_argument("--enlarge", type=int, help="the longer side of the pictures that are read")
    parser.add_argument("--pictures", type=int, default=100)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        originals = Path(folder) / "originals"
        originals.mkdir()
        for path in sorted(options.folder.glob("*.jpg"))[: options.pictures]:
            picture = read_picture(path)
            if options.enlarge:
                scale = options.enlarge / max(picture.size)
                picture = picture.resize([round(side * scale) for side in picture.size], Image.Resampling.BICUBIC)
            picture.save(originals / path.name, quality=90)
        start = time.perf_counter()
        copy_pictures(originals, Path(folder) / "copy", options.size)
        print(f"copying: {options.pictures / (time.perf_counter() - start):.0f} pictures/s")
        measure(originals, Path(folder) / "copy", options.size)
        for place in (originals, Path(folder) / "copy"):
            measure_values(place, options.size)


def measure(originals: Path, copy: Path, size: int) -> None:
    ways = {
        "in full": (originals, None),
        f"with least_side={2 * size}": (originals, 2 * size),
        f"with least_side={size}": (originals, size),
        f"from a copy of size {size}": (copy, None),
    }
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    found: dict[str, np.ndarray] = {}
    for _ in range(ROUNDS):
        for way, (folder, least_side) in ways.items():
            paths = sorted(folder.glob("*.jpg"))
            start = time.perf_counter()
            read = [read_picture(path, least_side).resize((size, size), Image.Resampling.BICUBIC) for path in paths]
            seconds[way].append((time.perf_counter() - start) / len(paths))
            found[way] = np.stack(read).astype(np.float32)
    for way, times in seconds.items():
        difference = np.abs(found[way] - found["in full"])
        print(
            f"{way}: {1 / statistics.median(times):.0f} pictures/s; difference: mean {difference.mean():.2f}, "
            f"99 % within {np.percentile(difference, 99):.0f}, largest {difference.max():.0f}"
        )


def measure_values(folder: Path, size: int) -> None:
    image_processor = SiglipImageProcessorPil(size={"height": size, "width": size})
    pictures = [read_picture(path) for path in sorted(folder.glob("*.jpg"))]
    ways = {
        "image processor alone": lambda: image_processor(images=pictures, return_tensors="pt")["pixel_values"],
        "with values looked up": lambda: process_pictures(image_processor, pictures, ["a picture"])["pixel_values"],
    }
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    found: dict[str, torch.Tensor] = {}
    for _ in range(ROUNDS):
        for way, make in ways.items():
            start = time.process_time()
            found[way] = make()
            seconds[way].append((time.process_time() - start) / len(pictures))
    assert torch.equal(*found.values())
    for way, times in seconds.items():
        print(f"pixel values of the {folder.name}, {way}: {1000 * statistics.median(times):.2f} ms a picture")


if __name__ == "__main__":
    main()
