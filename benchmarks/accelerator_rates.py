"""Training on a GPU: plain steps, the trainer, meta-steps with and without an adapter, and a SigLIP from JPEGs.

`accelerator.py` calls these.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import siglip
import torch
from accelerator_bench import STORED, Bench, ClockedXVNLI, RandomXVNLI, counted, first_batch
from retrieval import WordNumbers
from torch import nn

from iglue_plugins.data.pictures.folder import PictureFolder
from iglue_plugins.data.processors.base import Processor
from iglue_plugins.data.processors.regions import RegionProcessor
from iglue_plugins.data.stores.mapped_regions import MappedRegions
from iglue_plugins.models.adapters import add_adapter
from iglue_plugins.recipes.adapter import AdapterSettings
from iglue_plugins.trainers.finetune import Finetune
from iglue_plugins.trainers.xvl_maml import XVLMAML
from iglue_plugins.utils import distributed

XVNLI_EXAMPLES = 541_000  # an epoch


class Reader(NamedTuple):
    """A kind of model, and what it reads.

    Attributes:
        name: What is printed before its rates.
        make_model: Makes it on the device.
        processor: Its processor.
        images: The images.
    """

    name: str
    make_model: Callable[[], nn.Module]
    processor: Processor
    images: MappedRegions | PictureFolder


def fine_tuning(reader: Reader, bench: Bench, options: argparse.Namespace, peak: float, folder: Path) -> None:
    """Print examples a second of a step on a batch that is there, and of `finetune` as a recipe runs it."""
    size, (name, make_model, processor, images) = options.batch, reader
    model, task = make_model().train(), RandomXVNLI(images, size, options.words)
    model.set_head(task.head, task.num_labels)
    model.to(bench.device)
    objective = Finetune(Finetune.Settings()).objective(model, task)
    step = bench.make_step(objective, {"batch": first_batch(task, processor, size, bench.device)})
    operations, alone = counted(step) / size, 0.0
    for kind in ("step", "step, compiled") if options.compile else ("step",):
        if kind != "step":
            objective.compile()
        seconds = bench.time(step)
        alone = alone or seconds
        bench.report(f"{name}{kind}", size / seconds, "examples", XVNLI_EXAMPLES, operations, peak)
    if bench.device.type != distributed.init_distributed().device.type:  # the engine chooses for itself
        return
    del model, objective, step
    clocked = ClockedXVNLI(images, 8 * size, options.words)
    precision = str(bench.dtype).removeprefix("torch.")
    settings = Finetune.Settings(steps=options.steps, batch_size=size, precision=precision, save_every=10**6)
    Finetune(settings).fit(make_model(), processor, clocked, folder=folder)
    first = options.steps // 4  # those before are left out
    each = (clocked.losses[-1] - clocked.losses[first]) / (options.steps - 1 - first)
    bench.report(f"{name}finetune", size / each, "examples", XVNLI_EXAMPLES, operations, peak)
    print(f"{name}finetune leaves the device idle for {max(0.0, 1 - alone / each):.1%} of its time", flush=True)


def meta_steps(
    bench: Bench,
    make_model: Callable[[], nn.Module],
    store: MappedRegions,
    options: argparse.Namespace,
    peak: float,
) -> None:
    """Print examples a second of meta-steps of both orders, of all weights and of an adapter."""
    size = options.batch // 2  # of support, and of query
    processor = RegionProcessor(WordNumbers())
    for adapter in ("", "LoRA, "):
        for order in (1, 2):
            model, task = make_model(), RandomXVNLI(store, 2 * size, options.words)
            if adapter:
                add_adapter(model, AdapterSettings(type="lora", r=8))
            model.to(bench.device).train()
            support, query = (first_batch(task, processor, size, bench.device, start) for start in (0, size))
            settings = XVLMAML.Settings(first_order=order == 1, pairs="all")
            objective = XVLMAML(settings).objective(model, task)
            objective.is_logging = False
            step = bench.make_step(objective, {"episodes": [{"language": "en", "support": support, "query": query}]})
            operations = counted(step) / (2 * size)
            if bench.device.type == "cuda":
                torch.cuda.reset_peak_memory_stats()
            rate = 2 * size / bench.time(step)
            bench.report(f"{adapter}meta-step, order {order}", rate, "examples", XVNLI_EXAMPLES, operations, peak)
            if bench.device.type == "cuda":
                print(f"its peak is {torch.cuda.max_memory_allocated() / 2**30:.2f} GiB", flush=True)


def pictures(bench: Bench, options: argparse.Namespace, peak: float, folder: Path) -> None:
    """Print the rates of `fine_tuning` for a SigLIP of 224 pixels that reads JPEGs of 500 x 375."""
    (folder / "pictures").mkdir()
    for number in range(STORED):
        siglip.photograph(number).save(folder / "pictures" / f"{number}.jpg", quality=90)
    reader = Reader(
        "SigLIP, ",
        lambda: siglip.make_model(options.hidden, options.layers).to(bench.device),
        siglip.make_processor(),
        PictureFolder(folder / "pictures"),
    )
    smaller = vars(options) | {"words": min(options.words, siglip.WORDS), "compile": False}
    fine_tuning(reader, bench, argparse.Namespace(**smaller), peak, folder / "SigLIP")
