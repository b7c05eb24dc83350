"""Time and peak memory of a meta-step of each algorithm, against plain fine-tuning on the same examples.

    python benchmarks/algorithms.py                  # ten minutes on one core
    python benchmarks/algorithms.py --layers 12

The rows are the recipes of recipes/ablations/algorithms, with their settings of the trainer; what they are worth is in
docs/results/ablations_algorithms.md. 4 layers of 768, 250,002 words, float32, dropout 0.1; 8 examples of support and 8
of query with 20 tokens and 37 regions; gradients of all parameters, the optimizer left out. A row that anneals is
measured at its first step and at its last one. Each runs in processes of its own, in turn with the others; seconds are
those that the process computes, and the peak is the process's, with freed memory given back at once.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import time
from pathlib import Path

from child_process import in_rounds, measure_in_process

from iglue_plugins.recipes.recipe import load_recipe

FOLDER = Path(__file__).parents[1] / "recipes" / "ablations" / "algorithms"
BASELINE = "finetune"
ANNEALED = ("second_order_after", "multi_step")  # settings that count steps


def rows() -> list[tuple[str, int]]:
    """Each recipe with the number of the meta-step that is measured."""
    found = [(BASELINE, 0)]
    for path in sorted(FOLDER.glob("*.yaml")):
        if path.stem != BASELINE:
            settings = load_recipe(path).trainer.settings
            found += [(path.stem, step) for step in {0, *(settings[key] for key in ANNEALED)}]
    return found


def measure(row: str, step: int, layers: int, repeats: int) -> None:
    """In a process of its own: the seconds of the step, after one to warm up, and the peak; printed as JSON."""
    import torch
    from maml_step import build, make_step

    from iglue_plugins.trainers.meta_objective import MetaObjective

    torch.set_num_threads(1)
    losses, support, query = build(layers)
    if row == BASELINE:
        take = make_step("fine-tuning", losses, support, query, argparse.Namespace(order=1))
    else:
        _, settings = load_recipe(FOLDER / f"{row}.yaml").plugin("trainer")
        losses.model.set_context(settings.context_size)  # type: ignore[attr-defined]
        objective = MetaObjective(losses, settings)  # type: ignore[arg-type]  # the rows are of xvl_maml
        objective.is_logging = False
        episodes = [{"language": "tr", "support": support, "query": query}]

        def take() -> None:
            objective(episodes, step)["loss"].backward()

    seconds = []
    for _ in range(1 + repeats):
        losses.zero_grad(set_to_none=True)
        began = time.process_time()
        take()
        seconds.append(time.process_time() - began)
    unit = 2**30 if sys.platform == "darwin" else 2**20
    print(json.dumps({"seconds": seconds[1:], "gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--repeats", type=int, default=2, help="timed steps of a process")
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    parser.add_argument("--step", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        measure(options.measure, options.step, options.layers, options.repeats)
        return

    def in_process(row: tuple[str, int], *, for_memory: bool) -> dict:
        repeats = 0 if for_memory else options.repeats
        arguments = ("--measure", row[0], "--step", row[1], "--layers", options.layers, "--repeats", repeats)
        return measure_in_process(__file__, arguments, exact_peak=for_memory)

    every = rows()
    load = os.getloadavg()[0]
    peaks = {row: in_process(row, for_memory=True)["gib"] for row in every}
    seconds = in_rounds(every, options.rounds, lambda row: in_process(row, for_memory=False))
    print("| | meta-step | seconds | times | peak GiB | times |\n|---|---:|---:|---:|---:|---:|")
    for row in every:
        cells = f"{seconds[row]:.2f}", f"{seconds[row] / seconds[every[0]]:.2f}"
        cells += f"{peaks[row]:.2f}", f"{peaks[row] / peaks[every[0]]:.2f}"
        print(f"| {row[0]} | {row[1] or ''} | {' | '.join(cells)} |")
    print(f"\nload before {load:.1f}, after {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
