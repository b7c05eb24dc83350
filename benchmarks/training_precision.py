"""Training steps in bfloat16, under autocast, against float32: how much faster, and how far their gradients are apart.

    python benchmarks/training_precision.py                  # three minutes on one core
    python benchmarks/training_precision.py --layers 12

`precision: auto` picks bfloat16 where the processor multiplies it itself, which the first line says. 4 layers of 768,
250,002 words, 8 examples of support and 8 of query with 20 tokens and 37 regions; without dropout, which the two draw
in other ways; a contrastive inner loss and both losses outside; the optimizer left out. Seconds are those that the
process computes, the two precisions in turn.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable

import torch
from maml_step import build, make_step
from torch import Tensor

from iglue_plugins.trainers.meta_objective import MetaObjective
from iglue_plugins.trainers.settings.xvl_maml import XVLMAMLSettings
from iglue_plugins.utils.bfloat16 import multiplies_bfloat16
from iglue_plugins.utils.memory import keep_memory

PRECISIONS = ("float32", "bfloat16")


def dot(one: Tensor, other: Tensor) -> float:
    return float(torch.dot(one.flatten().double(), other.flatten().double()))


def norm(gradient: list[Tensor]) -> float:
    return sum(dot(value, value) for value in gradient) ** 0.5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)
    keep_memory()
    print(f"this processor multiplies bfloat16 itself: {multiplies_bfloat16('cpu')}; load {os.getloadavg()[0]:.1f}\n")
    losses, support, query = build(options.layers)
    losses.eval()
    episodes = [{"language": "tr", "support": support, "query": query}]

    def meta_step(algorithm: str) -> Callable[[], None]:
        objective = MetaObjective(losses, XVLMAMLSettings(algorithm=algorithm))
        objective.is_logging = False
        return lambda: objective(episodes)["loss"].backward()

    steps = {
        "fine-tuning": make_step("fine-tuning", losses, support, query, argparse.Namespace(order=1)),
        "meta-step, first order": meta_step("fomaml"),
        "meta-step, second order": meta_step("maml"),
    }

    def gradient(step: Callable[[], None], precision: str) -> tuple[float, list[Tensor]]:
        losses.zero_grad(set_to_none=True)
        began = time.process_time()
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
            step()
        seconds = time.process_time() - began
        return seconds, [value.grad for value in losses.parameters() if value.grad is not None]

    print("| | float32, s | bfloat16, s | times as fast | gradient: relative difference | cosine |")
    print("|---|---:|---:|---:|---:|---:|")
    for name, step in steps.items():
        exact, low = (gradient(step, precision)[1] for precision in PRECISIONS)  # which also warms up
        apart = norm([a - b for a, b in zip(low, exact, strict=True)]) / norm(exact)
        cosine = sum(dot(a, b) for a, b in zip(low, exact, strict=True)) / (norm(low) * norm(exact))
        measured = [[gradient(step, precision)[0] for precision in PRECISIONS] for _ in range(options.rounds)]
        one, other = (statistics.median(column) for column in zip(*measured, strict=True))
        ratios = [a / b for a, b in measured]
        faster = f"{one / other:.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
        print(f"| {name} | {one:.2f} | {other:.2f} | {faster} | {apart:.4f} | {cosine:.5f} |", flush=True)
    print(f"\nload {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
