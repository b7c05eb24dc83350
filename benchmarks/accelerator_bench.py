"""How `accelerator.py` measures and prints a rate, and the tasks of random words that it measures on."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from torch import nn
from torch.utils.benchmark import Timer
from torch.utils.flop_counter import FlopCounterMode

from iglue_plugins.data.batching import Batch, Batcher
from iglue_plugins.data.pictures.folder import PictureFolder
from iglue_plugins.data.stores.mapped_regions import MappedRegions
from iglue_plugins.tasks.base import Task
from iglue_plugins.tasks.xflickrco import XFlickrCO
from iglue_plugins.tasks.xvnli import XVNLI

STORED, FIRST_WORD = 512, 5  # images, and the first number that is a word


class Random(Task):
    """Examples of random words on the stored images."""

    name = "random"
    regions = pictures = None
    lengths: tuple[int, int]  # fewest and most words of a text, without the two special tokens

    def __init__(self, images: MappedRegions | PictureFolder, examples: int, words: int) -> None:
        super().__init__()
        rng = np.random.default_rng(0)
        if isinstance(images, PictureFolder):
            self.pictures = images
        else:
            self.regions = images
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
    """Prints a rate, how long a whole job takes at it, and the operations a second as shares of the peaks.

    Attributes:
        device: Where it is computed.
        dtype: In what.
        seconds: How long each figure is measured at least.
        nominal: The peak that the device's maker states, TFLOP/s.
    """

    device: torch.device
    dtype: torch.dtype
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

    def peak(self) -> float:
        """Operations a second of a product of two square matrices."""
        size = 8192 if self.device.type == "cuda" else 1024
        left, right = torch.rand(2, size, size, device=self.device, dtype=self.dtype)
        return 2 * size**3 / self.time(lambda: left @ right)

    def report(self, name: str, rate: float, what: str, job: int, operations: float, peak: float) -> None:
        """operations: of one example or pair."""
        shares = f"{operations * rate / peak:6.1%} of the measured peak"
        if self.nominal:
            shares += f", {operations * rate / (self.nominal * 1e12):.1%} of the nominal one"
        print(
            f"{name:26} {rate:10,.1f} {what}/s  {job:,} in {job / rate:,.1f} s  "
            f"{operations * rate / 1e12:8.3f} TFLOP/s {shares}",
            flush=True,
        )

    def make_step(self, objective: nn.Module, item: dict[str, Any]) -> Callable[[], None]:
        """A training step on one item: forward, backward, clipping and AdamW."""
        trained = [value for value in objective.parameters() if value.requires_grad]
        optimizer = torch.optim.AdamW(trained, lr=1e-5, fused=True)
        lower = self.dtype != torch.float32

        def step() -> None:
            with torch.autocast(self.device.type, self.dtype if lower else None, enabled=lower):
                loss = objective(**item)["loss"]
            loss.backward()
            nn.utils.clip_grad_norm_(trained, 1.0)
            optimizer.step()
            optimizer.zero_grad()

        return step


def counted(run: Callable[[], object]) -> int:
    """The operations of a call."""
    with FlopCounterMode(display=False) as counter:
        run()
    return counter.get_total_flops()


def first_batch(task: Task, processor: Any, size: int, device: torch.device, start: int = 0) -> Batch:
    """A batch of training examples, on the device."""
    return Batcher(task.load("train", "en"), task, processor).batch(range(start, start + size)).to(device)
