"""What this package computes, against the rival that one would take in its place and against the products' own time.

    python benchmarks/against_peers.py                 # half an hour on one core
    python benchmarks/against_peers.py --layers 2 --rounds 2 --only encoder training

One thread, float32, base size unless --layers says otherwise; 'products' are the same matrix products of the same run
alone (matrix_products.py), 'share' their part of our time. Ratios are medians over rounds in which all take turns, with
the least and the most; seconds are those that the process computes. Peaks are of processes of their own. Rivals:

encoder     the reference toolkit's layout at equal padding (encoder.py)
training    fine-tuning with that layout, at equal padding
meta-step   functional_call over all parameters, higher and TorchOpt where they are installed (maml_step.py), and the
            plain fine-tuning step
regions     rows of an .npy file that is memory-mapped, and an LMDB of pickled items (region_store.py)
retrieval   a loop over captions at equal padding (retrieval.py)
start       no rival: CPU seconds of `iglue run` on the mini benchmark up to its first step, imports included
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import encoder
import maml_step
import numpy as np
import region_store
import retrieval
import torch
from matrix_products import products_of
from torch.nn import functional

from iglue_plugins.data.conversion.converter import convert
from iglue_plugins.evaluation.inference import match_all
from iglue_plugins.models.configuration import XUniterConfig
from iglue_plugins.models.uniter import XUniterForVisionAndLanguage
from iglue_plugins.utils.memory import keep_memory

ROOT = Path(__file__).parents[1]
Step = Callable[[], Any]


def in_turn(steps: Mapping[str, Step], rounds: int, clock: Callable[[], float] = time.process_time) -> dict[str, list]:
    """The seconds of each step in each round; a round before warms up."""
    taken: dict[str, list[float]] = {name: [] for name in steps}
    for number in range(rounds + 1):
        for name, step in steps.items():
            began = clock()
            step()
            if number:
                taken[name].append(clock() - began)
    return taken


def show(what: str, taken: Mapping[str, Sequence[float]], unit: str = "s") -> None:
    """Print a line for each rival of the first entry, and one for the products, if they are among the others."""
    (ours, mine), *others = taken.items()
    print(f"| {what}: {ours} | {statistics.median(mine):.3g} {unit} | | |")
    for name, seconds in others:
        ratios = [other / own for other, own in zip(seconds, mine, strict=True)]
        spread = f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
        print(f"| | {statistics.median(seconds):.3g} {unit} | {name} | {spread} |", flush=True)


def fine_tuning(forward: Callable[[], torch.Tensor], model: torch.nn.Module, labels: torch.Tensor) -> Step:
    def step() -> None:
        model.zero_grad(set_to_none=True)
        functional.cross_entropy(forward(), labels).backward()

    return step


def base_model(layers: int) -> XUniterForVisionAndLanguage:
    torch.manual_seed(0)
    config = XUniterConfig(num_hidden_layers=layers, head="classifier", num_labels=3)
    return XUniterForVisionAndLanguage(config).eval()


@torch.inference_mode()
def compare_encoder(options: argparse.Namespace) -> None:
    model = base_model(options.layers)
    batch, reference = encoder.make_batch(model.config), encoder.ReferenceLayout(model)
    steps: dict[str, Step] = {"forward": lambda: model(**batch), "reference layout": lambda: reference(batch)}
    steps["products alone"] = products_of(steps["forward"])
    show("encoder", in_turn(steps, options.rounds))


def compare_training(options: argparse.Namespace) -> None:
    model = base_model(options.layers)
    batch, reference = encoder.make_batch(model.config), encoder.ReferenceLayout(model)
    labels = torch.randint(3, (encoder.BATCH,))
    steps = {
        "step": fine_tuning(lambda: model(**batch), model, labels),
        "reference layout": fine_tuning(lambda: reference(batch), model, labels),
    }
    steps["products alone"] = products_of(steps["step"])
    show("training", in_turn(steps, options.rounds))


def rivals_of(order: int) -> list[str]:
    """The contenders of a meta-step that are installed; TorchOpt's is always of second order."""
    found = [name for name, package in maml_step.CONTENDERS.items() if not package or is_installed(package)]
    return [name for name in found if name != "xvl_maml" and not (name == "torchopt" and order == 1)]


def compare_meta_step(options: argparse.Namespace) -> None:
    losses, support, query = maml_step.build(options.layers)
    for order, kind in ((1, "first"), (2, "second")):
        steps: dict[str, Step] = {}
        for name in ["xvl_maml", *rivals_of(order)]:
            of_name = 1 if name == "fine-tuning" else order
            plain = argparse.Namespace(inner_steps=1, storage="graphs", order=of_name)
            steps[name] = _cleared(maml_step.make_step(name, losses, support, query, plain), losses)
        steps["products alone"] = products_of(steps["xvl_maml"])
        show(f"meta-step, {kind} order", in_turn(steps, options.rounds))


def measure_memory(options: argparse.Namespace) -> None:
    """Peaks of processes of their own; this one is light, since a process inherits the peak of its parent."""
    settings = argparse.Namespace(layers=options.layers, repeats=0, dtype="float32", default_allocator=False)
    for order, kind in ((1, "first"), (2, "second")):
        peaks = {}
        for name in ["xvl_maml", *rivals_of(order)]:
            of_name = 1 if name == "fine-tuning" else order
            peaks[name] = [maml_step.in_process(name, of_name, 1, "graphs", settings, for_memory=True)["gib"]]
        show(f"peak memory, {kind} order", peaks, "GiB")
    lacking = [name for name, package in maml_step.CONTENDERS.items() if package and not is_installed(package)]
    print(f"| not installed, so not measured: {', '.join(lacking) or 'none'} | | | |")


def _cleared(step: Step, module: torch.nn.Module) -> Step:
    def run() -> None:
        module.zero_grad(set_to_none=True)
        step()

    return run


def is_installed(package: str) -> bool:
    return importlib.util.find_spec(package) is not None


def compare_regions(options: argparse.Namespace) -> None:
    rng, images = np.random.default_rng(1), options.images
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        region_store.write_lmdb(path / "lmdb", images)
        convert([path / "lmdb"], path / "store")
        shape = (images, region_store.BOXES, region_store.FEATURES)
        np.save(path / "rows.npy", rng.random(shape, dtype=np.float32).astype(np.float16))
        rows = np.load(path / "rows.npy", mmap_mode="r")
        readers = {
            "store": region_store.store_reader(path / "store"),
            "np.load(mmap)[rows], float32": lambda numbers: torch.from_numpy(rows[numbers].astype(np.float32)),
            "LMDB of pickled items": region_store.volta_reader(path / "lmdb"),
        }
        batches = [rng.choice(images, region_store.BATCH, replace=False).tolist() for _ in range(10)]
        steps = {name: lambda read=read: [read(batch) for batch in batches] for name, read in readers.items()}
        taken = in_turn(steps, options.rounds)
    show(f"regions, {10 * region_store.BATCH} images", taken)
    rate = 10 * region_store.BATCH / statistics.median(taken["store"])
    print(f"| regions: images a second of a core | {rate:.0f} | | |")


def compare_retrieval(options: argparse.Namespace) -> None:
    batcher, model = retrieval.make_batcher(8, 64), retrieval.make_model(384, 6)
    images = np.arange(64)
    steps = {
        "match_all": lambda: match_all(model, batcher, images, 64),
        "loop, equal padding": lambda: retrieval.by_a_loop(model, batcher, images, 64, padded_to=0),
        "loop, padded to 80": lambda: retrieval.by_a_loop(model, batcher, images, 64),
    }
    steps["products alone"] = products_of(steps["match_all"])
    show("retrieval, 8 x 64 pairs", in_turn(steps, options.rounds))


def measure_start(options: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "iglue_plugins", "run", str(ROOT / "recipes/mini/xvnli/finetune.yaml")]
        command += [f"runs={folder}", "trainer.steps=1", "evaluation.languages=[en]"]
        seconds = []
        for _ in range(options.rounds + 1):  # the first one fills the caches
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            subprocess.run(
                [*command, "--again"], check=True, capture_output=True, env=os.environ | {"OMP_NUM_THREADS": "1"}
            )
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            seconds.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    show("start: one step and one language of mini/xvnli", {"CPU seconds": seconds[1:]})


SECTIONS = {
    "encoder": compare_encoder,
    "training": compare_training,
    "meta-step": compare_meta_step,
    "memory": measure_memory,
    "regions": compare_regions,
    "retrieval": compare_retrieval,
    "start": measure_start,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--images", type=int, default=1000, help="of the region store")
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=list(SECTIONS))
    parser.add_argument("--section", choices=SECTIONS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    keep_memory()
    if options.section:
        SECTIONS[options.section](options)
        return
    print(f"{options.layers} layers, one thread, torch {torch.__version__}, load {os.getloadavg()[0]:.1f}\n")
    print("| what | median | rival | times as much (spread) |\n|---|---:|---|---:|", flush=True)
    for section in options.only:
        subprocess.run([sys.executable, *sys.argv, "--section", section], check=True)
    print(f"\nload {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
