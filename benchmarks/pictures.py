"""How many pictures a second are read: in full, with a least side, and from a compact copy; for docs/pictures.md.

    python benchmarks/pictures.py FOLDER --size 224 --enlarge 1600

FOLDER holds photographs. With --enlarge they are first made larger, since no larger ones may be at hand. One process
reads; the times are medians of the rounds, in which the ways take turns.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

from PIL import Image

from iglue_plugins.data.pictures.copying import copy_pictures
from iglue_plugins.data.pictures.reading import read_picture

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


def measure(originals: Path, copy: Path, size: int) -> None:
    ways = {
        "in full": (originals, None),
        f"with least_side={size}": (originals, size),
        f"from a copy of size {size}": (copy, None),
    }
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(ROUNDS):
        for way, (folder, least_side) in ways.items():
            paths = sorted(folder.glob("*.jpg"))
            start = time.perf_counter()
            for path in paths:
                read_picture(path, least_side).resize((size, size), Image.Resampling.BICUBIC)
            seconds[way].append((time.perf_counter() - start) / len(paths))
    for way, times in seconds.items():
        print(f"{way}: {1 / statistics.median(times):.0f} pictures/s")


if __name__ == "__main__":
    main()
