"""Images a second, in random order: VOLTA's way, the memory-mapped store, a mapped array, and a column of datasets.

    python benchmarks/region_store.py                  # 3,000 images of 36 boxes with 2,048 features; 2.6 GB of disk
    python benchmarks/region_store.py --images 500     # a first impression
    python benchmarks/region_store.py --batch 128      # batches of more than 32 MiB

VOLTA's way: an LMDB of pickled items whose features and boxes are float32 in base64; an image's key is looked for
in the list of all keys, its item unpickled and decoded, locations and the mean region added, and a batch is a stack of
images. The store holds float16 and is converted from that very LMDB; `gather` returns the same batch. 'np.load' is the
features with their mean in a file of NumPy's, mapped into memory and indexed, without locations: float16 as stored, and
converted to the float32 that a model reads. The datasets column is a float16 array whose rows come as one torch tensor,
without locations and mean. The files are in the page cache. Rounds alternate; the figures are their medians, by the
seconds that the process computes on one thread.
"""

from __future__ import annotations

import argparse
import base64
import os
import pickle
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import lmdb
import numpy as np
import torch
from datasets import Array2D, Dataset, Features
from torch import Tensor

from iglue_plugins.data.conversion.converter import convert
from iglue_plugins.data.regions import RegionLayout
from iglue_plugins.data.stores.mapped_regions import MappedRegions
from iglue_plugins.utils.memory import keep_memory

BOXES, FEATURES, BATCH = 36, 2048, 64
WIDTH, HEIGHT = 640, 480

Reader = Callable[[Sequence[int]], Tensor]


def write_lmdb(path: Path, images: int) -> None:
    rng = np.random.default_rng(0)
    boxes = np.tile(np.asarray([[10, 20, 110, 220]], dtype=np.float32), (BOXES, 1))
    env = lmdb.open(str(path), map_size=2**40)
    keys = [str(number).encode() for number in range(images)]
    with env.begin(write=True) as transaction:
        for key in keys:
            item = {
                "img_id": key.decode(),
                "img_h": HEIGHT,
                "img_w": WIDTH,
                "num_boxes": BOXES,
                "features": base64.b64encode(rng.random((BOXES, FEATURES), dtype=np.float32)),
                "boxes": base64.b64encode(boxes),
            }
            transaction.put(key, pickle.dumps(item))
        transaction.put(b"keys", pickle.dumps(keys))
    env.close()


def volta_reader(path: Path) -> Reader:
    env = lmdb.open(str(path), readonly=True, lock=False, readahead=False, meminit=False)
    transaction = env.begin()
    keys: list[bytes] = pickle.loads(transaction.get(b"keys"))

    def image(number: int) -> tuple[np.ndarray, np.ndarray]:
        item = pickle.loads(transaction.get(keys[keys.index(str(number).encode())]))
        features = np.frombuffer(base64.b64decode(item["features"]), dtype=np.float32).reshape(-1, FEATURES)
        boxes = np.frombuffer(base64.b64decode(item["boxes"]), dtype=np.float32).reshape(-1, 4)
        locations = np.ones((1 + len(boxes), 5), dtype=np.float32)
        locations[0, :2] = 0
        locations[1:, :4] = boxes / np.asarray([item["img_w"], item["img_h"]] * 2, dtype=np.float32)
        locations[1:, 4] = np.prod(locations[1:, 2:4] - locations[1:, :2], axis=1)
        return np.concatenate([features.mean(0, keepdims=True), features]), locations

    def read(numbers: Sequence[int]) -> Tensor:
        features, locations = zip(*map(image, numbers), strict=True)
        torch.from_numpy(np.stack(locations))
        return torch.from_numpy(np.stack(features))

    return read


def store_reader(path: Path, as_stored: bool = False) -> Reader:
    store, layout = MappedRegions(path), RegionLayout(as_stored=as_stored)
    positions = store.index(str(number) for number in range(len(store)))  # which a training looks up once
    return lambda numbers: store.gather(positions[numbers], layout)["region_features"]


def array_reader(path: Path, store: MappedRegions) -> Callable[[Sequence[int]], np.ndarray]:
    """Rows of a mapped file, float16."""
    positions = store.index(str(number) for number in range(len(store)))
    shape = (len(store), 1 + BOXES, FEATURES)
    written = np.lib.format.open_memmap(path, mode="w+", dtype=np.float16, shape=shape)
    for number, position in enumerate(positions):
        written[number] = store.features(position)
    written.flush()
    mapped = np.load(path, mmap_mode="r")
    return lambda numbers: mapped[list(numbers)]


def column_reader(path: Path, store: MappedRegions) -> Reader:
    row = Features({"features": Array2D((BOXES, FEATURES), "float16")})

    def rows() -> Iterator[dict[str, np.ndarray]]:
        for position in store.index(str(number) for number in range(len(store))):
            yield {"features": store.features(position)[1:]}

    Dataset.from_generator(rows, features=row, cache_dir=str(path / "cache")).save_to_disk(path / "saved")
    dataset = Dataset.load_from_disk(path / "saved").with_format("torch")
    return lambda numbers: dataset[list(numbers)]["features"].float()


def measure(readers: dict[str, Reader], images: int, batch: int, rounds: int) -> dict[str, float]:
    """Images a second, medians of the rounds, each of 10 batches of a reader and then of the next."""
    rng = np.random.default_rng(1)
    rates: dict[str, list[float]] = {name: [] for name in readers}
    for _ in range(rounds):
        for name, read in readers.items():
            batches = [rng.choice(images, batch, replace=False).tolist() for _ in range(10)]
            start = time.process_time()
            for numbers in batches:
                read(numbers)
            rates[name].append(10 * batch / (time.process_time() - start))
    return {name: statistics.median(found) for name, found in rates.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=3000)
    parser.add_argument("--batch", type=int, default=BATCH)
    parser.add_argument("--rounds", type=int, default=9)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    keep_memory()
    print(f"load {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        write_lmdb(path / "lmdb", arguments.images)
        convert([path / "lmdb"], path / "store")
        rows = array_reader(path / "features.npy", MappedRegions(path / "store"))
        readers: dict[str, Reader] = {
            "VOLTA's LMDB": volta_reader(path / "lmdb"),
            "memory-mapped store": store_reader(path / "store"),
            "np.load, as float32": lambda numbers: torch.from_numpy(rows(numbers)).float(),
            "np.load, float16": lambda numbers: torch.from_numpy(rows(numbers)),
            "store, float16": store_reader(path / "store", as_stored=True),
            "datasets column": column_reader(path / "column", MappedRegions(path / "store")),
        }
        numbers = range(arguments.batch)
        slow, fast, array = (read(numbers) for read in list(readers.values())[:3])
        torch.testing.assert_close(slow, fast, rtol=1e-3, atol=1e-3)  # the same batch, but for float16
        torch.testing.assert_close(array, fast, rtol=0, atol=0)
        found = measure(readers, arguments.images, arguments.batch, arguments.rounds)
    for name, rate in found.items():
        print(f"{name:20} {rate:8.0f} images/s {rate / next(iter(found.values())):6.1f} times")
    print(f"load {os.getloadavg()[0]:.1f} at the end")


if __name__ == "__main__":
    main()
