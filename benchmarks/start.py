"""Seconds and memory from a task's examples to the first training batch, against tokenizing all texts at once.

    python benchmarks/start.py                                          # 541,000 rows, as many as XVNLI's
    python benchmarks/start.py --tokenizer FOLDER                       # another tokenizer than the mini benchmark's
    python benchmarks/start.py --rows 20000 --rounds 2                  # a trial

A row has a text and a caption, both of 12 to 20 random words of the tokenizer and no two alike, and one of as many
images as make 18 rows each. The rows are memory-mapped, as a task's annotations are. A batch has 128 of them, drawn
from a shuffle. Ways:

    plain              `tokenizer(texts, truncation=True, max_length=80)` of both columns, kept as lists
    captions           `Batcher` where a loss reads captions; its cache is empty
    captions, cached   the same again
    texts              `Batcher` where no loss reads captions; its cache is empty
    texts, cached      the same again

Each is measured in a process of its own, in rounds in which they take turns: seconds that all its threads compute, and
the peak of its memory beyond what it held with everything imported, the rows mapped and the tokenizer loaded. The peak
counts the pages of mapped files that have been read. The first batches of all ways are compared.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from child_process import in_rounds, measure_in_process
from datasets import Dataset
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from iglue_plugins.data.batching import Batcher
from iglue_plugins.data.episodes import batch_steps
from iglue_plugins.data.processors.regions import RegionProcessor
from iglue_plugins.data.regions import InMemoryRegions
from iglue_plugins.mini import ASSETS
from iglue_plugins.tasks.xvnli import XVNLI

WAYS = ("plain", "captions", "captions, cached", "texts", "texts, cached")
BATCH_SIZE, MAX_LENGTH, ROWS_PER_IMAGE = 128, 80, 18
GIB = 2**30


def resident() -> int:
    """The bytes of memory that this process holds now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def make_rows(count: int, tokenizer: PreTrainedTokenizerBase) -> Iterator[dict[str, Any]]:
    rng = random.Random(0)
    words = sorted(token[1:] for token in tokenizer.get_vocab() if token[0] == "▁" and token[3:].isalpha())
    for number in range(count):
        text, caption = (" ".join(rng.choices(words, k=rng.randint(12, 20))) for _ in range(2))
        label = XVNLI.labels[number % len(XVNLI.labels)]
        yield {"text": text, "caption": caption, "label": label, "image_ids": [str(number // ROWS_PER_IMAGE)]}


def make_task(images: int) -> XVNLI:
    store = InMemoryRegions(feature_size=1, max_boxes=1)
    region = np.zeros((1, 1), np.float32), np.ones((1, 4), np.float32)
    store.add({str(number): region for number in range(images)}, 10, 10)

    class RandomXVNLI(XVNLI):
        name = "random"
        regions = store

        def load(self, split: str, language: str, shots: int | str | None = None) -> Dataset:
            return Dataset.from_list([])

        def fingerprint(self, split: str, language: str, shots: int | str | None = None) -> str:
            return ""

    return RandomXVNLI()


def plain_batch(rows: Dataset, tokenizer: PreTrainedTokenizerBase) -> torch.Tensor:
    columns = [tokenizer(rows[name][:], truncation=True, max_length=MAX_LENGTH) for name in ("text", "caption")]
    chosen = np.random.default_rng((0, 0, 0)).permutation(len(rows))[:BATCH_SIZE]
    text, _ = (tokenizer.pad({"input_ids": [ids.input_ids[i] for i in chosen]}, return_tensors="pt") for ids in columns)
    return text["input_ids"]


def measure(way: str, folder: Path, source: str) -> dict[str, Any]:
    rows, tokenizer = Dataset.from_file(str(folder / "rows.arrow")), AutoTokenizer.from_pretrained(source)
    task, processor = make_task(-(-len(rows) // ROWS_PER_IMAGE)), RegionProcessor(tokenizer)
    before, start = resident(), time.process_time()
    if way == "plain":
        ids = plain_batch(rows, tokenizer)
    else:
        batcher = Batcher(rows, task, processor, captions=way.startswith("captions"))
        ids = batch_steps([batcher], BATCH_SIZE, 1, seed=0)[0]["batch"].text["input_ids"]
    seconds = time.process_time() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    batch = hashlib.sha256(ids.numpy().tobytes()).hexdigest()
    return {"seconds": [seconds], "peak": peak - before, "before": before, "batch": batch}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=541_000)
    parser.add_argument("--tokenizer", default=str(ASSETS / "tokenizer"))
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.way:
        print(json.dumps(measure(options.way, options.folder, options.tokenizer)))
        return
    with tempfile.TemporaryDirectory() as name:
        folder, cache = Path(name), Path(name) / "cache"
        os.environ["HF_DATASETS_CACHE"] = str(cache)
        made = Dataset.from_generator(
            make_rows,
            gen_kwargs={"count": options.rows, "tokenizer": AutoTokenizer.from_pretrained(options.tokenizer)},
            cache_dir=name,
        )
        Path(made.cache_files[0]["filename"]).replace(folder / "rows.arrow")
        found: dict[str, list[dict[str, Any]]] = {way: [] for way in WAYS}

        def run(row: tuple[str]) -> dict[str, Any]:
            if not row[0].endswith("cached"):
                shutil.rmtree(cache, ignore_errors=True)
            arguments = ["--way", row[0], "--folder", folder, "--tokenizer", options.tokenizer]
            found[row[0]].append(measure_in_process(__file__, arguments, exact_peak=False))
            return found[row[0]][-1]

        seconds = in_rounds([(way,) for way in WAYS], options.rounds, run)
        sizes = sorted(path.stat().st_size for path in cache.rglob("*.tokens"))
    before = [result["before"] for results in found.values() for result in results]
    print(f"{options.rows:,} rows, {options.tokenizer}; load {os.getloadavg()[0]:.1f}")
    print(f"each process held {min(before) / GIB:.2f} to {max(before) / GIB:.2f} GiB before it began")
    print(f"{'':18} seconds   GiB beyond")
    for way in WAYS:
        peak = max(result["peak"] for result in found[way])
        print(f"{way:18} {seconds[(way,)]:7.2f}   {peak / GIB:10.2f}")
    print(f"the cache of the texts takes {sum(sizes) / 2**20:.0f} MiB")
    if len({result["batch"] for results in found.values() for result in results}) > 1:
        sys.exit("the first batches differ")


if __name__ == "__main__":
    main()
