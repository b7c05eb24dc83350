"""Time and peak memory of one meta-step at base size, against plain fine-tuning and plain ways to write a meta-step.

    python benchmarks/maml_step.py                     # half an hour on one core
    python benchmarks/maml_step.py --steps 1 3 5       # the meta-step alone, by inner steps and what is stored of them
    python benchmarks/maml_step.py --steps 1 3 5 --rounds 0 --dtype bfloat16    # under autocast: peaks alone
    python benchmarks/maml_step.py --layers 2 --rounds 1

12 layers of 768, 250,002 words, float32, dropout 0.1; 8 examples of support and 8 of query with 20 tokens and 37
regions; a contrastive inner loss, a task loss outside, and the gradients of all parameters as an optimiser takes
them (the optimiser itself left out). 'fine-tuning' is the task loss on the 16 examples. Each contender runs in
processes of its own, in turn with the others. Seconds are those that the process computes, so that other programs
count less; the peak is the process's, by default with freed memory given back at once (MALLOC_MMAP_THRESHOLD_), in
runs apart from those of the time.

higher and TorchOpt (whose MetaSGD is always of second order) take part where they are installed.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import resource
import sys
import time
from collections.abc import Callable
from functools import partial

from child_process import in_rounds, measure_in_process

INNER_LR = 1e-3
CONTENDERS = {  # name: needs this package
    "fine-tuning": None,
    "functional_call": None,
    "higher": "higher",
    "torchopt": "torchopt",
    "xvl_maml": None,
}


def build(layers: int) -> tuple:
    """A BatchLoss over a model, and two batches."""
    import torch
    from random_batches import random_batch, random_task

    from iglue_plugins.models.configuration import XUniterConfig
    from iglue_plugins.models.uniter import XUniterForVisionAndLanguage
    from iglue_plugins.trainers.objectives import BatchLoss
    from iglue_plugins.trainers.settings.base import ContrastiveSettings

    torch.manual_seed(0)
    config = XUniterConfig(head="classifier", num_labels=3, num_hidden_layers=layers)
    model = XUniterForVisionAndLanguage(config).train()
    return BatchLoss(model, random_task(), ContrastiveSettings(pairs="all")), random_batch(1), random_batch(2)


def with_higher(losses, support, query, options: argparse.Namespace) -> None:
    """The meta-step by higher."""
    import higher
    import torch

    second_order = options.order == 2

    # Its copies of a ModuleList cannot be sliced, as the encoder does.
    torch.nn.ModuleList.__getitem__ = lambda self, place: list(self._modules.values())[place]
    inner = torch.optim.SGD(losses.parameters(), lr=INNER_LR)
    with higher.innerloop_ctx(losses, inner, copy_initial_weights=False, track_higher_grads=second_order) as (
        patched,
        steps,
    ):
        for _ in range(options.inner_steps):
            steps.step(patched(support, "contrastive")["loss"])
        loss = patched(query, "task")["loss"]
        if second_order:
            loss.backward()
            return
        theta = list(patched.parameters())
        for value, slope in zip(losses.parameters(), torch.autograd.grad(loss, theta, allow_unused=True), strict=True):
            value.grad = slope


def with_torchopt(losses, support, query, options: argparse.Namespace) -> None:
    """The meta-step by TorchOpt, whose MetaSGD is always of second order."""
    import torchopt

    inner = torchopt.MetaSGD(losses, lr=INNER_LR)
    start = torchopt.extract_state_dict(losses, by="reference")
    for _ in range(options.inner_steps):
        inner.step(losses(support, "contrastive")["loss"])
    losses(query, "task")["loss"].backward()
    torchopt.recover_state_dict(losses, start)


def make_step(contender: str, losses, support, query, options: argparse.Namespace) -> Callable[[], None]:
    """A function that leaves each parameter's gradient in its `grad`."""
    import torch
    from random_batches import make_batch
    from torch.func import functional_call
    from torch.nn.attention import SDPBackend, sdpa_kernel

    def fine_tuning() -> None:
        sides = ((support.text, query.text), (support.image, query.image))
        text, image = ({key: torch.cat([one[key], other[key]]) for key in one} for one, other in sides)
        losses(make_batch(text, image, torch.cat([support.labels, query.labels])), "task")["loss"].backward()

    def plain() -> None:
        theta = dict(losses.named_parameters())
        for _ in range(options.inner_steps):
            loss = functional_call(losses, theta, (support, "contrastive"))["loss"]
            slopes = torch.autograd.grad(loss, list(theta.values()), create_graph=second_order, allow_unused=True)
            theta = {
                name: value if slope is None else torch.add(value, slope, alpha=-INNER_LR)
                for (name, value), slope in zip(theta.items(), slopes, strict=True)
            }
        functional_call(losses, theta, (query, "task"))["loss"].backward()

    from iglue_plugins.trainers.meta_objective import MetaObjective
    from iglue_plugins.trainers.settings.xvl_maml import XVLMAMLSettings

    second_order = options.order == 2
    if contender == "xvl_maml":
        objective = MetaObjective(
            losses,
            XVLMAMLSettings(
                inner_lr=INNER_LR,
                inner_steps=options.inner_steps,
                outer_loss="task",
                first_order=not second_order,
                inner_storage=options.storage,
            ),
        )
        objective.is_logging = False
        episodes = [{"language": "tr", "support": support, "query": query}]
        return lambda: objective(episodes)["loss"].backward()
    given = losses, support, query, options
    step = {
        "fine-tuning": fine_tuning,
        "functional_call": plain,
        "higher": partial(with_higher, *given),
        "torchopt": partial(with_torchopt, *given),
    }
    if not second_order:
        return step[contender]

    def under_math() -> None:
        with sdpa_kernel(SDPBackend.MATH):
            step[contender]()

    return under_math


def measure(options: argparse.Namespace) -> None:
    """In a process of its own: the step's seconds, after one to warm up, and the peak; printed as JSON."""
    import torch

    from iglue_plugins.utils.memory import keep_memory

    torch.set_num_threads(1)
    keep_memory()
    losses, support, query = build(options.layers)
    step = make_step(options.measure, losses, support, query, options)
    seconds = []
    for _ in range(1 + options.repeats):
        losses.zero_grad(set_to_none=True)
        began = time.process_time()
        with torch.autocast("cpu", torch.bfloat16, enabled=options.dtype == "bfloat16"):
            step()
        seconds.append(time.process_time() - began)
    weight = losses.model.encoder.layers[0].query_key_value.weight
    unit = 2**30 if sys.platform == "darwin" else 2**20
    print(
        json.dumps(
            {
                "seconds": seconds[1:],
                "norm": weight.grad.norm().item(),
                "gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit,
            }
        )
    )


def in_process(
    contender: str, order: int, inner_steps: int, storage: str, options: argparse.Namespace, *, for_memory: bool
) -> dict:
    arguments = [
        *("--measure", contender, "--order", order, "--inner-steps", inner_steps, "--storage", storage),
        *("--layers", options.layers, "--dtype", options.dtype, "--repeats", 0 if for_memory else options.repeats),
    ]
    return measure_in_process(__file__, arguments, exact_peak=for_memory and not options.default_allocator)


def compare(rows: list[tuple[str, int, int, str]], options: argparse.Namespace) -> None:
    """Print the median seconds over rounds, the peak and the ratio to the first row of each contender."""
    for_memory = {row: in_process(*row, options, for_memory=True) for row in rows}
    medians = in_rounds(rows, options.rounds, lambda row: in_process(*row, options, for_memory=False))
    print(
        f"{'':16} {'order':>5} {'steps':>5} {'stored':>10} {'seconds':>8} {'times':>6} {'GiB':>6} {'times':>6} "
        f"{'gradient':>10}"
    )
    for row in rows:
        contender, order, inner_steps, storage = row
        gib = for_memory[row]["gib"]
        print(
            f"{contender:16} {order:5} {inner_steps:5} {storage:>10} {medians[row]:8.2f} "
            f"{medians[row] / medians[rows[0]]:6.2f} {gib:6.2f} {gib / for_memory[rows[0]]['gib']:6.2f} "
            f"{for_memory[row]['norm']:10.6f}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="0: peaks alone")
    parser.add_argument("--repeats", type=int, default=3, help="timed steps of a process")
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32", help="of the computation")
    parser.add_argument("--steps", type=int, nargs="*", help="inner steps, for a table of the meta-step alone")
    parser.add_argument("--only", nargs="*", choices=CONTENDERS, default=list(CONTENDERS))
    parser.add_argument("--default-allocator", action="store_true", help="peaks as the C library leaves them")
    for inner, kind in (("--measure", str), ("--order", int), ("--inner-steps", int), ("--storage", str)):
        parser.add_argument(inner, type=kind, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        measure(options)
        return
    rows = [("fine-tuning", 1, 0, "")] if "fine-tuning" in options.only else []
    if options.steps:
        rows += [("xvl_maml", 1, steps, "graphs") for steps in options.steps]
        rows += [
            ("xvl_maml", 2, steps, storage) for storage in ("graphs", "parameters", "start") for steps in options.steps
        ]
    else:
        for contender in options.only[1:] if rows else options.only:
            package = CONTENDERS[contender]
            if package and importlib.util.find_spec(package) is None:
                print(f"{contender}: not installed, left out")
                continue
            rows += [(contender, order, 1, "graphs") for order in (1, 2) if (contender, order) != ("torchopt", 1)]
    compare(rows, options)


if __name__ == "__main__":
    main()
