"""Training batches a second with and without worker processes or a thread: region features, and pictures from JPEGs.

    python benchmarks/loader.py                                 # 600 MB of disk
    python benchmarks/loader.py --only pictures --workers 0 4 8 --step 0.1     # on a machine with more cores
    python benchmarks/loader.py --only regions --workers 0 thread --step 0.05  # the thread that a GPU gets
    python benchmarks/loader.py --images 64 --batches 4 --rounds 1             # a trial

Regions: batches of XVNLI for an xUNITER, 128 rows of 36 boxes of 2,048 features and a global region, from a store in
the page cache. Pictures: batches of 32 and 128 rows for a SigLIP of 224 pixels, from generated JPEGs of 500 x 375 and
quality 90, and from a copy of size 224 (`iglue data pictures --size 224`). Each row has an image of its own.

A step takes the batch from the loader that training uses, and then either nothing ('alone') or a sleep of --step
seconds, which stands for a GPU that computes while the processor is free. Rates are by the wall clock, since workers
are processes of their own: medians of rounds, in which all settings take turns. A round's clock starts when the
workers have made what they make ahead. Other programs count in full: the load is printed. 'times' divides by the rate
of the first of --workers. 'computed' are the seconds that this process computes for a batch, which other programs
hardly change.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import islice, product
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from datasets import Dataset
from region_store import write_lmdb
from siglip import captions, make_processor, photograph

from iglue_plugins.data.batching import Batch, Batcher
from iglue_plugins.data.conversion.converter import convert
from iglue_plugins.data.loading import PREFETCHED_BATCHES, MadeItems, loader
from iglue_plugins.data.pictures.copying import copy_pictures
from iglue_plugins.data.pictures.folder import PictureFolder
from iglue_plugins.data.processors.base import Processor
from iglue_plugins.data.processors.regions import RegionProcessor
from iglue_plugins.data.stores.mapped_regions import MappedRegions
from iglue_plugins.data.thread_loading import AHEAD, ThreadedItems
from iglue_plugins.tasks.xvnli import XVNLI
from iglue_plugins.utils.memory import keep_memory

REGION_BATCH, PICTURE_BATCHES, SIZE = 128, (32, 128), 224


class Way(NamedTuple):
    """What a rate is measured of."""

    source: str
    batch_size: int
    workers: int | Literal["thread"]
    step: float


class Rate(NamedTuple):
    """Batches a second, and the seconds that this process computes for one."""

    batches: float
    computed: float


def make_batcher(processor: Processor, images: int, **facts: Any) -> Batcher:
    """Examples of XVNLI, one for each image, with `regions` or `pictures`."""

    class RandomXVNLI(XVNLI):
        name = "random"
        regions = facts.get("regions")
        pictures = facts.get("pictures")

        def load(self, split: str, language: str, shots: int | str | None = None) -> Dataset:
            return Dataset.from_list([])

        def fingerprint(self) -> str:
            return ""

    task = RandomXVNLI()
    rows = {
        "text": captions(images),
        "image_ids": [[str(number)] for number in range(images)],
        "label": [task.labels[number % len(task.labels)] for number in range(images)],
    }
    return Batcher(Dataset.from_dict(rows), task, processor)


def make_sources(folder: Path, options: argparse.Namespace) -> dict[str, Batcher]:
    """Write what is read, and read it once."""
    sources: dict[str, Batcher] = {}
    texts = make_processor()
    if "regions" in options.only:
        write_lmdb(folder / "lmdb", options.images)
        convert([folder / "lmdb"], folder / "store")
        store = MappedRegions(folder / "store")
        sources["regions"] = make_batcher(RegionProcessor(texts.tokenizer), options.images, regions=store)
    if "pictures" in options.only:
        (folder / "originals").mkdir()
        for number in range(options.images):
            photograph(number).save(folder / "originals" / f"{number}.jpg", quality=90)
        copy_pictures(folder / "originals", folder / "copy", SIZE)
        for source, place in (("JPEGs of 500 x 375", "originals"), (f"copy of size {SIZE}", "copy")):
            sources[source] = make_batcher(texts, options.images, pictures=PictureFolder(folder / place))
            size = sum(path.stat().st_size for path in (folder / place).glob("*.jpg")) / options.images
            print(f"{source}: {size / 1000:.0f} kB each")
    return sources


def rate(batcher: Batcher, way: Way, batches: int) -> Rate:
    """The rate after those batches that are made ahead."""
    processes = 0 if way.workers == "thread" else way.workers
    ahead = 1 + (AHEAD if way.workers == "thread" else processes * PREFETCHED_BATCHES)
    draw = np.random.default_rng(0)
    rows = [draw.permutation(len(batcher))[: way.batch_size] for _ in range(ahead + batches)]
    make: Callable[[int], Batch] = lambda number: batcher.batch(rows[number])  # noqa: E731
    items = MadeItems(make, len(rows))
    made = iter(loader(ThreadedItems(items) if way.workers == "thread" else items, processes))
    for _ in islice(made, ahead):
        time.sleep(way.step)
    began, computed = time.perf_counter(), time.process_time()
    for _ in made:
        time.sleep(way.step)
    return Rate(batches / (time.perf_counter() - began), (time.process_time() - computed) / batches)


def workers_of(text: str) -> int | Literal["thread"]:
    return "thread" if text == "thread" else int(text)


def measure(sources: dict[str, Batcher], options: argparse.Namespace) -> None:
    ways = [
        Way(source, size, workers, step)
        for source in sources
        for size, step, workers in product(
            (REGION_BATCH,) if source == "regions" else PICTURE_BATCHES, (0.0, options.step), options.workers
        )
        if size <= options.images
    ]
    rates: dict[Way, list[Rate]] = {way: [] for way in ways}
    for _ in range(options.rounds):
        for way in ways:
            rates[way].append(rate(sources[way.source], way, options.batches))
            print(f"{way}: {rates[way][-1].batches:.2f} batches/s", file=sys.stderr)
    print(
        f"{'':20} {'batch':>5} {'step':>6} {'workers':>7} {'batches/s':>10} {'rows/s':>8} {'times':>6} {'computed':>8}"
    )
    for way, found in rates.items():
        each = statistics.median(one.batches for one in found)
        alone = statistics.median(one.batches for one in rates[way._replace(workers=options.workers[0])])
        step = f"{way.step:g} s" if way.step else "alone"
        print(
            f"{way.source:20} {way.batch_size:5} {step:>6} {way.workers:7} {each:10.2f} {each * way.batch_size:8.0f} "
            f"{each / alone:6.2f} {statistics.median(one.computed for one in found):8.4f}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", choices=("regions", "pictures"), default=["regions", "pictures"])
    parser.add_argument(
        "--workers",
        type=workers_of,
        nargs="*",
        default=[0, 1, 2],
        help="numbers or 'thread'; the first is compared with",
    )
    parser.add_argument("--step", type=float, default=0.2, help="seconds of a step's stand-in")
    parser.add_argument("--images", type=int, default=512)
    parser.add_argument("--batches", type=int, default=12, help="of a round")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    keep_memory()
    print(f"{len(os.sched_getaffinity(0))} cores, load {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory() as folder:
        measure(make_sources(Path(folder), options), options)
    print(f"load {os.getloadavg()[0]:.1f} at the end")


if __name__ == "__main__":
    main()
