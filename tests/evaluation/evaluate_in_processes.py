"""Evaluate tiny models by one, by two and by three processes, and save the results of each process.

    python evaluate_in_processes.py CHECKPOINT FOLDER

One process imports everything and is then forked, since imports take most of the time.
"""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

import torch
from accelerate import PartialState
from torch import multiprocessing
from transformers import AutoTokenizer
from two_towers import TwoTowers

from iglue_plugins.data.batching import Batcher
from iglue_plugins.data.processors.regions import RegionProcessor
from iglue_plugins.evaluation import evaluator
from iglue_plugins.evaluation.inference import classify, match_all
from iglue_plugins.mini.tasks import MiniMaRVL, MiniTask, MiniXFlickrCO
from iglue_plugins.models.configuration import XUniterConfig
from iglue_plugins.models.uniter import XUniterForVisionAndLanguage


def evaluate(rank: int, processes: int, port: int, checkpoint: str, folder: str) -> None:
    torch.set_num_threads(1)
    if processes > 1:  # the variables that a launcher sets
        os.environ.update(
            RANK=str(rank),
            LOCAL_RANK=str(rank),
            WORLD_SIZE=str(processes),
            OMP_NUM_THREADS="1",
            LOCAL_WORLD_SIZE=str(processes),
            MASTER_ADDR="127.0.0.1",
            MASTER_PORT=str(port),
        )
    state = PartialState(cpu=True)
    rows: list[int] = []
    marvl, model = batcher_and_model(MiniMaRVL, 11, "image_pair", 2, checkpoint, rows)
    found = {f"classify {size}": classify(model, marvl, size) for size in (3, 100)}
    pairs, model = batcher_and_model(MiniXFlickrCO, 7, "image_text_matching", 1, checkpoint, rows)
    found |= {
        f"match {size}": torch.from_numpy(match_all(model, pairs, pairs.images[:, 0], size)) for size in (3, 10, 100)
    }
    found["evaluate"] = evaluator.evaluate(pairs.task, model, pairs.processor, "test", "ta", 5)
    towers = TwoTowers.random(checkpoint).eval()
    for size in (3, 100):
        scores = match_all(towers, pairs, pairs.images[:, 0], size)
        found |= {f"towers {size}": torch.from_numpy(scores), f"embedded {size}": (towers.texts[:], towers.images[:])}
        towers.texts.clear(), towers.images.clear()
    torch.save(found | {"rows": rows, "processes": state.num_processes}, Path(folder) / f"{processes}-{rank}.pt")
    state.destroy_process_group()


def batcher_and_model(
    cls: type[MiniTask], examples: int, head: str, num_labels: int, checkpoint: str, rows: list[int]
) -> tuple[Batcher, XUniterForVisionAndLanguage]:
    """Make a batcher of a number of examples, and a model that appends the size of each batch to `rows`."""
    cls.sizes = {"test": examples}
    task = cls()
    config = XUniterConfig.from_pretrained(checkpoint, initializer_range=0.5, head=head, num_labels=num_labels)
    torch.manual_seed(1)
    model = XUniterForVisionAndLanguage(config)
    model.register_forward_pre_hook(lambda _, args, kwargs: rows.append(len(kwargs["region_mask"])), with_kwargs=True)
    processor = RegionProcessor(AutoTokenizer.from_pretrained(checkpoint))
    return Batcher(task.load("test", "ta"), task, processor), model


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


if __name__ == "__main__":
    for processes in (1, 2, 3):
        multiprocessing.start_processes(
            evaluate, (processes, free_port(), *sys.argv[1:]), processes, start_method="fork"
        )
