"""Meta-gradient and throughput of two processes (gloo, CPU, one thread each) against one.

    python benchmarks/processes.py               # some minutes; two cores that have nothing else to do
    python benchmarks/processes.py --rounds 1

4 layers of 256, 20,002 words, float32, no dropout; a step is four episodes, each of 8 examples of support and 8 of
query with 20 tokens and 37 regions, a contrastive inner loss and a task loss outside. One process takes all
episodes of a step, two take two each, through the same engine as every run, optimiser included. Rounds of one and
two processes alternate; steps a second are from the median of all steps but each round's first. 'CPU' are the
seconds that the first process computes for a step, in which neither other programs nor waiting for the other
process count. The difference is of the first step's gradient: of the element that is furthest off, as a share of
the largest element, and of the whole, by norms.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

LAYERS, WIDTH, WORDS, EPISODES = 4, 256, 20_002, 4


def build(order: int) -> tuple:
    """A meta-objective and a function that gives the i-th episode."""
    import torch
    from random_batches import random_batch, random_task

    from iglue_plugins.models.configuration import XUniterConfig
    from iglue_plugins.models.uniter import XUniterForVisionAndLanguage
    from iglue_plugins.trainers.meta_objective import MetaObjective
    from iglue_plugins.trainers.objectives import BatchLoss
    from iglue_plugins.trainers.settings.xvl_maml import XVLMAMLSettings

    def episode(i: int) -> dict[str, list]:
        support, query = random_batch(2 * i, WORDS), random_batch(2 * i + 1, WORDS)
        return {"episodes": [{"language": "tr", "support": support, "query": query}]}

    torch.manual_seed(0)
    model = XUniterForVisionAndLanguage(
        XUniterConfig(
            head="classifier",
            num_labels=3,
            vocab_size=WORDS,
            num_hidden_layers=LAYERS,
            hidden_size=WIDTH,
            intermediate_size=4 * WIDTH,
            num_attention_heads=4,
            hidden_dropout_prob=0.0,
            attention_probs_dropout_prob=0.0,
        )
    )
    settings = XVLMAMLSettings(
        pairs="all",
        outer_loss="task",
        first_order=order == 1,
        inner_lr=1e-2,
        accumulation=EPISODES,
        clip_norm=0,
        precision="float32",
        log_every=1000,
        save_every=1000,
    )
    return MetaObjective(BatchLoss(model.train(), random_task(), settings), settings), episode, settings


def work(options: argparse.Namespace) -> None:
    """One process's part of a round: its seconds a step, and the gradient of the first, into the folder."""
    import time

    import torch

    from iglue_plugins.data.episodes import Steps
    from iglue_plugins.trainers import engine
    from iglue_plugins.utils import distributed

    distributed.init_distributed()
    objective, episode, settings = build(options.order)
    began, seconds = [], []
    begin = engine.Progress.on_step_begin

    def on_step_begin(self, args, state, control, **kwargs):
        began.append((time.perf_counter(), time.process_time()))
        begin(self, args, state, control, **kwargs)

    def on_pre_optimizer_step(self, args, state, control, model=None, **kwargs):
        if state.global_step == 0 and distributed.is_main_process():
            gradient = {
                name: weight.grad.clone() for name, weight in model.named_parameters() if weight.grad is not None
            }
            torch.save(gradient, options.work / "gradient.pt")

    def on_step_end(self, args, state, control, **kwargs):
        seconds.append((time.perf_counter() - began[-1][0], time.process_time() - began[-1][1]))

    engine.Progress.on_step_begin = on_step_begin
    engine.Progress.on_pre_optimizer_step, engine.Progress.on_step_end = on_pre_optimizer_step, on_step_end
    engine.train(objective, Steps(episode, options.steps * EPISODES), settings, seed=0, folder=options.work)
    if distributed.is_main_process():
        (options.work / "seconds").write_text(json.dumps(seconds[1:]))


def launch(order: int, count: int, steps: int, folder: Path) -> tuple[list[list[float]], dict]:
    """(wall, CPU) seconds of each step, and the first step's gradient."""
    import torch

    with socket.create_server(("127.0.0.1", 0)) as free:
        environment = os.environ | {
            "OMP_NUM_THREADS": "1",
            "MASTER_ADDR": "127.0.0.1",
            "WORLD_SIZE": str(count),
            "MASTER_PORT": str(free.getsockname()[1]),
        }
    if count == 1:
        del environment["WORLD_SIZE"]
    command = [sys.executable, __file__, "--work", str(folder), "--order", str(order), "--steps", str(steps)]
    ranks = [{"RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in range(count)] if count > 1 else [{}]
    started = [subprocess.Popen(command, env=environment | rank) for rank in ranks]
    if sum(process.wait() != 0 for process in started):
        raise SystemExit("a process failed")
    return json.loads((folder / "seconds").read_text()), torch.load(folder / "gradient.pt")


def differences(found: dict, expected: dict) -> tuple[float, float]:
    """Of the element furthest off, as a share of the largest; of the whole, by norms."""
    import torch

    off = torch.cat([(found[name].double() - expected[name]).flatten() for name in expected])
    whole = torch.cat([gradient.double().flatten() for gradient in expected.values()])
    return (off.abs().max() / whole.abs().max()).item(), (off.norm() / whole.norm()).item()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=8, help="of a round, the first of which is not timed")
    parser.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--order", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        work(options)
        return
    print(f"{'order':>5} {'processes':>9} {'steps/s':>8} {'times':>6} {'CPU':>6} {'element':>9} {'norm':>9}")
    for order in (1, 2):
        seconds, gradients = {1: [], 2: []}, {}
        for _ in range(options.rounds):
            for count in seconds:
                with tempfile.TemporaryDirectory() as folder:
                    found, gradients[count] = launch(order, count, options.steps, Path(folder))
                seconds[count] += found
        medians = {
            count: [statistics.median(kind) for kind in zip(*found, strict=True)] for count, found in seconds.items()
        }
        for count, (wall, cpu) in medians.items():
            element, norm = differences(gradients[count], gradients[1])
            print(
                f"{order:5} {count:9} {1 / wall:8.2f} {medians[1][0] / wall:6.2f} {cpu:6.2f} "
                f"{element:9.1e} {norm:9.1e}",
                flush=True,
            )


if __name__ == "__main__":
    main()
