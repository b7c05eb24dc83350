"""What torch.compile saves at base size, and the time that compiling takes first: scoring pairs, and a training step.

    python benchmarks/compiled.py                            # ten minutes on one core
    python benchmarks/compiled.py --layers 2 --rounds 1      # a trial

Scoring is the forward of the encoder and the head on 16 pairs, as evaluation does it; training is forward and backward
of the task's loss on 16 examples with dropout, without the optimizer. float32, and bfloat16: weights of that type in
scoring, autocast in training. Each row is measured in a process of its own, on one thread: compiled and not in turn,
in seconds that the process computes, with an empty cache of compiled code, whose making is timed by the clock. The last
column says how many batches it takes until compiling has paid.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time

from child_process import measure_in_process

ROWS = [(work, dtype) for work in ("scoring", "training") for dtype in ("float32", "bfloat16")]


def measure(options: argparse.Namespace) -> None:
    import torch

    from iglue_plugins.utils.memory import keep_memory

    torch.set_num_threads(1)
    keep_memory()
    with tempfile.TemporaryDirectory() as cache:
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = cache
        plain, compiled = (make(options.measure, getattr(torch, options.dtype), options.layers) for _ in range(2))
        compiled[0].compile(dynamic=True)
        began = time.perf_counter()
        for size in (0, 1):  # the second batch has another length
            compiled[1](size)
        first = time.perf_counter() - began
        for size in (0, 1):
            plain[1](size)
        seconds: list[list[float]] = [[], []]
        for turn in range(2 * options.rounds):
            for (_, run), taken in zip((plain, compiled), seconds, strict=True):
                began = time.process_time()
                run(turn % 2)
                taken.append(time.process_time() - began)
    print(json.dumps({"seconds": seconds, "first": first}))


def make(work: str, dtype, layers: int) -> tuple:
    """A module, and what runs it on one of two batches."""
    import torch
    from random_batches import random_batch, random_task

    from iglue_plugins.models.configuration import XUniterConfig
    from iglue_plugins.models.uniter import XUniterForVisionAndLanguage
    from iglue_plugins.trainers.objectives import BatchLoss, BatchObjective
    from iglue_plugins.trainers.settings.base import ContrastiveSettings

    torch.manual_seed(0)
    model = XUniterForVisionAndLanguage(XUniterConfig(head="classifier", num_labels=3, num_hidden_layers=layers))
    batches = [random_batch(1, examples=16, tokens=tokens) for tokens in (16, 20)]
    if work == "training":
        losses = BatchLoss(model.train(), random_task(), ContrastiveSettings())
        return training(BatchObjective(losses, "task"), batches, dtype)
    model = model.eval().requires_grad_(False).to(dtype)

    def score(number: int) -> None:
        with torch.inference_mode():
            model(**batches[number].inputs)

    return model, score


def training(objective, batches: list, dtype) -> tuple:
    """An objective, and what computes its gradient on one of two batches."""
    import torch

    def step(number: int) -> None:
        objective.zero_grad(set_to_none=True)
        with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
            loss = objective(batches[number])["loss"]
        loss.backward()

    return objective, step


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--measure", choices=("scoring", "training"), help=argparse.SUPPRESS)
    parser.add_argument("--dtype", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        measure(options)
        return
    print(f"{options.layers} layers, load {os.getloadavg()[0]:.1f}")
    print(
        f"{'':18} {'plain, s':>9} {'compiled':>9} {'times as fast':>21} {'compiling, s':>13} {'batches':>8}", flush=True
    )
    for work, dtype in ROWS:
        arguments = ["--measure", work, "--dtype", dtype, "--layers", options.layers, "--rounds", options.rounds]
        found = measure_in_process(__file__, arguments, exact_peak=False)
        plain, compiled = map(statistics.median, found["seconds"])
        ratios = [slow / fast for slow, fast in zip(*found["seconds"], strict=True)]
        times = f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
        compiling = found["first"] - 2 * compiled
        pays = f"{compiling / (plain - compiled):,.0f}" if compiled < plain else "never"
        print(
            f"{work + ', ' + dtype:18} {plain:9.2f} {compiled:9.2f} {times:>21} {compiling:13.0f} {pays:>8}", flush=True
        )


if __name__ == "__main__":
    main()
