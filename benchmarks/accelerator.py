r"""Checks on a GPU, then examples a second in training, pairs a second in retrieval, and their share of its peak.

    python benchmarks/accelerator.py                       # xUNITER at base size in bfloat16 on a GPU; minutes
    python benchmarks/accelerator.py --peak-tflops 989     # and the share of the peak that the maker states
    python benchmarks/accelerator.py --device cpu --dtype float32 --layers 2 --hidden 128 --words 1000 \
        --batch 8 --steps 8 --captions 8 --images 32 --seconds 0.5

Training is of XVNLI's shape: texts of 8 to 20 tokens (14 on average) padded to the batch's longest, 36 regions and
the global one, batches of 128. 'step' is forward, backward, clipping and fused AdamW on a batch that is on the
device; 'finetune' is the trainer of that name as a recipe runs it, with batches from a region store (float16, in
the page cache) and what the loop adds. Retrieval is match_all, by which xFlickr&Co is evaluated, over captions of
10 to 30 tokens and images from the store. Operations are counted by torch.utils.flop_counter; the measured peak is
that of one large matrix product.

The checks come first (`--no-checks` or `--no-rates` leaves one out): meta-gradients in bfloat16 beside float32, the
time and the peak memory of a meta-step by inner steps, storage and what autocast keeps, a training that is stopped
and resumed, and, where there are several GPUs, two jobs at a time.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerator_checks import check_all
from datasets import Dataset
from region_store import write_lmdb
from retrieval import WordNumbers
from torch import nn
from torch.utils.benchmark import Timer
from torch.utils.flop_counter import FlopCounterMode

from iglue_plugins.data.batching import Batch, Batcher
from iglue_plugins.data.conversion.converter import convert
from iglue_plugins.data.processors.regions import RegionProcessor
from iglue_plugins.data.stores.mapped_regions import MappedRegions
from iglue_plugins.evaluation.inference import match_all
from iglue_plugins.models.configuration import XUniterConfig
from iglue_plugins.models.uniter import XUniterForVisionAndLanguage
from iglue_plugins.tasks.base import Task
from iglue_plugins.tasks.xflickrco import XFlickrCO
from iglue_plugins.tasks.xvnli import XVNLI
from iglue_plugins.trainers.finetune import Finetune
from iglue_plugins.utils import distributed, notices

XVNLI_EXAMPLES, RETRIEVAL_PAIRS = 541_000, 4_000_000  # an epoch; 2,000 captions with 2,000 images
STORED, FIRST_WORD = 512, 5


class Random(Task):
    """Examples of random words on the stored images."""

    name = "random"
    regions = None
    lengths: tuple[int, int]  # fewest and most words of a text, without the two special tokens

    def __init__(self, store: MappedRegions, examples: int, words: int) -> None:
        super().__init__()
        rng = np.random.default_rng(0)
        self.regions = store
        texts = [
            rng.integers(FIRST_WORD, words, rng.integers(self.lengths[0], self.lengths[1] + 1)) for _ in range(examples)
        ]
        self._columns = {
            "id": [str(i) for i in range(examples)],
            "text": [" ".join(map(str, words)) for words in texts],
            "image_ids": [[str(i % STORED)] for i in range(examples)],
            "label": [self.labels[i % len(self.labels)] for i in range(examples)],
        }

    def load(self, split: str, language: str, shots: int | str | None = None) -> Dataset:
        return Dataset.from_dict(self._columns)

    def fingerprint(self) -> str:
        return ""


class RandomXVNLI(Random, XVNLI):
    lengths = 6, 18


class ClockedXVNLI(RandomXVNLI):
    """Notes when each loss was computed."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.losses: list[float] = []

    def loss(self, logits: torch.Tensor, batch: Batch) -> torch.Tensor:
        self.losses.append(time.perf_counter())
        return super().loss(logits, batch)


class RandomXFlickrCO(Random, XFlickrCO):
    lengths = 8, 28


@dataclass(frozen=True)
class Bench:
    """Prints a rate, how long a whole job takes at it, and the operations a second as shares of the peaks."""

    device: torch.device
    seconds: float
    nominal: float | None

    def time(self, run: Callable[[], object]) -> float:
        """Median seconds of a call; the first one, which may compile, is not counted."""
        run()
        return (
            Timer("run()", globals={"run": run}, num_threads=torch.get_num_threads())
            .blocked_autorange(min_run_time=self.seconds)
            .median
        )

    def peak(self, dtype: torch.dtype) -> float:
        """Operations a second of a product of two square matrices."""
        size = 8192 if self.device.type == "cuda" else 1024
        left, right = torch.rand(2, size, size, device=self.device, dtype=dtype)
        return 2 * size**3 / self.time(lambda: left @ right)

    def report(self, name: str, rate: float, what: str, job: int, operations: float, peak: float) -> None:
        """operations: of one example or pair."""
        shares = f"{operations * rate / peak:6.1%} of the measured peak"
        if self.nominal:
            shares += f", {operations * rate / (self.nominal * 1e12):.1%} of the nominal one"
        print(
            f"{name:20} {rate:10,.1f} {what}/s  {job:,} in {job / rate:,.1f} s  "
            f"{operations * rate / 1e12:8.3f} TFLOP/s {shares}",
            flush=True,
        )


def counted(run: Callable[[], object]) -> int:
    with FlopCounterMode(display=False) as counter:
        run()
    return counter.get_total_flops()


def make_model(options: argparse.Namespace, head: str, num_labels: int) -> XUniterForVisionAndLanguage:
    torch.manual_seed(0)
    config = XUniterConfig(
        vocab_size=options.words,
        hidden_size=options.hidden,
        num_hidden_layers=options.layers,
        num_attention_heads=max(1, options.hidden // 64),
        intermediate_size=4 * options.hidden,
        head=head,
        num_labels=num_labels,
    )
    return XUniterForVisionAndLanguage(config).to(options.device)


def make_step(
    model: XUniterForVisionAndLanguage, task: Task, options: argparse.Namespace
) -> tuple[nn.Module, Callable[[], None]]:
    """The objective of fine-tuning, and a step of it on one batch."""
    objective = Finetune(Finetune.Settings()).objective(model.train(), task)
    batcher = Batcher(task.load("train", "en"), task, RegionProcessor(WordNumbers()))
    batch = batcher.batch(range(options.batch)).to(model.device)
    parameters = list(objective.parameters())
    optimiser = torch.optim.AdamW(parameters, lr=1e-5, fused=True)
    lower = options.dtype != torch.float32

    def step() -> None:
        with torch.autocast(model.device.type, options.dtype if lower else None, enabled=lower):
            loss = objective(batch)["loss"]
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        optimiser.zero_grad()

    return objective, step


def by_the_trainer(task: ClockedXVNLI, options: argparse.Namespace, folder: Path) -> float:
    """Examples a second of `finetune`, its first steps left out."""
    settings = Finetune.Settings(
        steps=options.steps,
        batch_size=options.batch,
        precision=str(options.dtype).removeprefix("torch."),
        save_every=10 * options.steps,
    )
    Finetune(settings).fit(make_model(options, "classifier", 3), RegionProcessor(WordNumbers()), task, folder=folder)
    first = options.steps // 4
    return options.batch * (options.steps - 1 - first) / (task.losses[-1] - task.losses[first])


def training(bench: Bench, store: MappedRegions, options: argparse.Namespace, peak: float, folder: Path) -> None:
    task = RandomXVNLI(store, options.batch, options.words)
    objective, step = make_step(make_model(options, "classifier", 3), task, options)
    operations = counted(step) / options.batch
    for name in ("step", "step, compiled") if options.compile else ("step",):
        if name != "step":
            objective.compile()
        bench.report(name, options.batch / bench.time(step), "examples", XVNLI_EXAMPLES, operations, peak)
    if bench.device.type == distributed.init_distributed().device.type:  # the engine chooses for itself
        rate = by_the_trainer(ClockedXVNLI(store, 8 * options.batch, options.words), options, folder)
        bench.report("finetune", rate, "examples", XVNLI_EXAMPLES, operations, peak)


def retrieval(bench: Bench, store: MappedRegions, options: argparse.Namespace, peak: float) -> None:
    task = RandomXFlickrCO(store, options.captions, options.words)
    model = make_model(options, "image_text_matching", 1).eval().requires_grad_(False).to(options.dtype)
    batcher = Batcher(task.load("test", "en"), task, RegionProcessor(WordNumbers()))
    images = np.arange(options.images) % STORED
    pairs = options.captions * options.images

    def score() -> np.ndarray:
        return match_all(model, batcher, images, options.block)

    operations = counted(score) / pairs
    for name in ("match_all", "match_all, compiled") if options.compile else ("match_all",):
        if name != "match_all":
            model.compile(dynamic=True)  # as evaluation.compile does
        bench.report(name, pairs / bench.time(score), "pairs", RETRIEVAL_PAIRS, operations, peak)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", type=torch.device, default="cuda")
    parser.add_argument("--dtype", type=lambda name: getattr(torch, name), default="bfloat16", help="or float32")
    parser.add_argument("--peak-tflops", type=float, help="the device's nominal peak in this dtype")
    parser.add_argument("--compile", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--checks", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--rates", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--seconds", type=float, default=5.0, help="at least so long for each figure")
    for name, default, meaning in (
        ("layers", 12, None),
        ("hidden", 768, None),
        ("words", 250_002, "of the vocabulary"),
        ("batch", 128, "examples of training"),
        ("steps", 80, "of the trainer"),
        ("captions", 200, None),
        ("images", 2000, None),
        ("block", 256, "pairs at once, evaluation.batch_size"),
    ):
        parser.add_argument(f"--{name}", type=int, default=default, help=meaning)
    options = parser.parse_args()
    if options.device.type == "cuda" and not torch.cuda.is_available():
        print("no GPU here, so nothing is measured; --device cpu with smaller sizes, as in --help, tries the script")
        return
    notices.quiet_libraries()
    bench = Bench(options.device, options.seconds, options.peak_tflops)
    device = f"CPU, {torch.get_num_threads()} thread(s)"
    if options.device.type == "cuda":
        device = torch.cuda.get_device_name(options.device)
    print(
        f"{device}, torch {torch.__version__}, {options.layers} layers of {options.hidden}, {options.dtype}", flush=True
    )
    with tempfile.TemporaryDirectory() as folder:
        write_lmdb(Path(folder) / "lmdb", STORED)
        convert([Path(folder) / "lmdb"], Path(folder) / "store")
        store = MappedRegions(Path(folder) / "store")
        if options.checks:
            task, size = RandomXVNLI(store, 8 * options.batch, options.words), options.batch // 4
            precision = str(options.dtype).removeprefix("torch.")
            check_all(lambda: make_model(options, "classifier", 3), task, size, precision, Path(folder) / "checks")
        if not options.rates:
            return
        peak = bench.peak(options.dtype)
        print(f"a matrix product has {peak / 1e12:.3f} TFLOP/s", flush=True)
        training(bench, store, options, peak, Path(folder) / "run")
        retrieval(bench, store, options, peak)


if __name__ == "__main__":
    main()
