"""A step at base size where the process keeps the memory that it frees, as trainings do, and where it does not.

    python benchmarks/kept_memory.py                    # ten minutes on one core
    python benchmarks/kept_memory.py --layers 2 --rounds 1

The steps are those of maml_step.py: fine-tuning on 16 examples, and meta-steps of first and second order on 8 and 8,
without the optimizer. Each is measured in processes of its own, in turn with `keep_memory` and with glibc's defaults,
on one thread; seconds are those that the process computes after two steps that warm up, peaks those of the process.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import time

import maml_step
from child_process import measure_in_process

STEPS = {"fine-tuning": ("fine-tuning", 1), "first order": ("xvl_maml", 1), "second order": ("xvl_maml", 2)}


def measure(options: argparse.Namespace) -> None:
    import torch

    from iglue_plugins.utils.memory import keep_memory

    torch.set_num_threads(1)
    if options.keeps:
        keep_memory()
    losses, support, query = maml_step.build(options.layers)
    contender, order = STEPS[options.measure]
    settings = argparse.Namespace(inner_steps=1, storage="graphs", order=order)
    step = maml_step.make_step(contender, losses, support, query, settings)
    seconds = []
    for _ in range(2 + options.repeats):
        losses.zero_grad(set_to_none=True)
        began = time.process_time()
        step()
        seconds.append(time.process_time() - began)
    gib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(json.dumps({"seconds": seconds[2:], "gib": gib}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--repeats", type=int, default=3, help="timed steps of a process")
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--measure", choices=STEPS, help=argparse.SUPPRESS)
    parser.add_argument("--keeps", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        measure(options)
        return
    print(f"{options.layers} layers, load {os.getloadavg()[0]:.1f}")
    print(f"{'':14} {'given back':>11} {'kept':>7} {'times':>22} {'GiB':>6} {'kept':>6}")
    for step in STEPS:
        found: dict[int, list[dict]] = {0: [], 1: []}
        for _ in range(options.rounds):
            for keeps, rounds in found.items():
                arguments = ["--measure", step, "--keeps", keeps, "--layers", options.layers]
                arguments += ["--repeats", options.repeats]
                rounds.append(measure_in_process(__file__, arguments, exact_peak=False))
        seconds = {keeps: [statistics.median(one["seconds"]) for one in rounds] for keeps, rounds in found.items()}
        ratios = [slow / fast for slow, fast in zip(seconds[0], seconds[1], strict=True)]
        median = {keeps: statistics.median(taken) for keeps, taken in seconds.items()}
        peak = {keeps: max(one["gib"] for one in rounds) for keeps, rounds in found.items()}
        print(
            f"{step:14} {median[0]:11.2f} {median[1]:7.2f} "
            f"{statistics.median(ratios):6.2f} ({min(ratios):.2f} to {max(ratios):.2f}) {peak[0]:6.2f} {peak[1]:6.2f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
