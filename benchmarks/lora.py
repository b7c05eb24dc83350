"""Time and peak memory of a meta-step with an adapter (LoRA), against one that trains all weights, at base size.

    python benchmarks/lora.py                          # a quarter of an hour on one core
    python benchmarks/lora.py --r 4 8 32 --rounds 0    # peaks alone
    python benchmarks/lora.py --layers 2 --words 5000 --rounds 1 --repeats 1

An xUNITER of 12 layers of 768 and 250,002 words with random weights, float32, dropout 0.1; 8 examples of support and 8
of query with 20 tokens and 37 regions; a contrastive inner loss, a task loss outside, and the optimiser's step (AdamW;
left out by --no-optimizer). The adapter has matrices at all linear layers outside the heads. Each contender runs in
processes of its own, in turn with the others, on one thread. Seconds are those that the process computes; the peak is
the process's, with freed memory given back at once (MALLOC_MMAP_THRESHOLD_), in runs apart from those of the time. The
columns "times" divide by the meta-step of the same order that trains all weights.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time

from child_process import in_rounds, measure_in_process

INNER_LR = 1e-3
PARTS = ("support", "query")
ALL = 0  # in the place of a rank: all weights are trained


def build(options: argparse.Namespace):
    """A meta-objective over a model with an adapter, or one without if the rank is `ALL`."""
    import torch
    from random_batches import random_task

    from iglue_plugins.models.adapters import add_adapter
    from iglue_plugins.models.configuration import XUniterConfig
    from iglue_plugins.models.uniter import XUniterForVisionAndLanguage
    from iglue_plugins.recipes.adapter import AdapterSettings
    from iglue_plugins.trainers.meta_objective import MetaObjective
    from iglue_plugins.trainers.objectives import BatchLoss
    from iglue_plugins.trainers.settings.xvl_maml import XVLMAMLSettings

    torch.manual_seed(0)
    config = XUniterConfig(head="classifier", num_labels=3, num_hidden_layers=options.layers, vocab_size=options.words)
    model = XUniterForVisionAndLanguage(config)
    rank = options.measure
    if rank != ALL:
        add_adapter(model, AdapterSettings(type="lora", r=rank))
    model.train()
    settings = XVLMAMLSettings(
        inner_lr=INNER_LR,
        inner_steps=options.inner_steps,
        outer_loss="task",
        first_order=options.order == 1,
        inner_storage=options.storage,
        pairs="all",
    )
    objective = MetaObjective(BatchLoss(model, random_task(), settings), settings)
    objective.is_logging = False
    return objective


def measure(options: argparse.Namespace) -> None:
    """In a process of its own: the step's seconds, after one to warm up, and the peak; printed as JSON."""
    import torch
    from random_batches import random_batch

    from iglue_plugins.utils.memory import keep_memory

    torch.set_num_threads(1)
    keep_memory()
    objective = build(options)
    episodes = [{"language": "tr"} | {part: random_batch(seed, options.words) for seed, part in enumerate(PARTS)}]
    trained = [parameter for parameter in objective.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-5) if options.optimizer else None
    seconds = []
    for _ in range(1 + options.repeats):
        objective.zero_grad(set_to_none=True)
        began = time.process_time()
        with torch.autocast("cpu", torch.bfloat16, enabled=options.dtype == "bfloat16"):
            objective(episodes)["loss"].backward()
        if optimizer:
            optimizer.step()
        seconds.append(time.process_time() - began)
    unit = 2**30 if sys.platform == "darwin" else 2**20
    print(
        json.dumps(
            {
                "seconds": seconds[1:],
                "trained": sum(parameter.numel() for parameter in trained),
                "gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit,
            }
        )
    )


def in_process(rank: int, order: int, options: argparse.Namespace, *, for_memory: bool) -> dict:
    """Measure a contender in a process of its own."""
    passed = {
        "--measure": rank,
        "--order": order,
        "--inner-steps": options.inner_steps,
        "--storage": options.storage,
        "--layers": options.layers,
        "--words": options.words,
        "--dtype": options.dtype,
        "--repeats": 1 if for_memory else options.repeats,
    }
    arguments = [part for pair in passed.items() for part in pair]
    arguments.append("--optimizer" if options.optimizer else "--no-optimizer")
    return measure_in_process(__file__, arguments, exact_peak=for_memory)


def compare(options: argparse.Namespace) -> None:
    """Print the trained parameters, the median seconds over rounds, the peak, and both beside those of all weights."""
    rows = [(rank, order) for order in options.orders for rank in (ALL, *options.r)]
    for_memory = {row: in_process(*row, options, for_memory=True) for row in rows}
    medians = in_rounds(rows, options.rounds, lambda row: in_process(*row, options, for_memory=False))
    print(f"{'':12} {'order':>5} {'trained':>12} {'seconds':>8} {'times':>6} {'GiB':>6} {'times':>6}")
    for rank, order in rows:
        row, whole = (rank, order), (ALL, order)
        found = for_memory[row]
        print(
            f"{f'lora r={rank}' if rank else 'all weights':12} {order:5} {found['trained']:12,} {medians[row]:8.2f} "
            f"{medians[row] / medians[whole]:6.2f} {found['gib']:6.2f} {found['gib'] / for_memory[whole]['gib']:6.2f}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--r", type=int, nargs="*", default=[8], help="ranks of the adapter")
    parser.add_argument("--orders", type=int, nargs="*", choices=(1, 2), default=[1, 2])
    parser.add_argument("--rounds", type=int, default=3, help="0: peaks alone")
    parser.add_argument("--repeats", type=int, default=3, help="timed steps of a process")
    parser.add_argument("--inner-steps", type=int, default=1)
    parser.add_argument("--storage", choices=("graphs", "parameters", "start"), default="graphs")
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--words", type=int, default=250_002)
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32", help="of the computation")
    parser.add_argument("--optimizer", action=argparse.BooleanOptionalAction, default=True)
    for inner in ("--measure", "--order"):
        parser.add_argument(inner, type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure is not None:
        measure(options)
    else:
        compare(options)


if __name__ == "__main__":
    main()
