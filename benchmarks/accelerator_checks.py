"""What the tests check on a CPU, on a GPU: gradients, memory, resuming, and a GPU for each of several jobs.

`accelerator.py` calls these.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import torch
from retrieval import WordNumbers
from torch import Tensor, nn

from iglue_plugins.data.batching import Batcher
from iglue_plugins.data.episodes import Steps
from iglue_plugins.data.processors.regions import RegionProcessor
from iglue_plugins.models.uniter import XUniterForVisionAndLanguage
from iglue_plugins.tasks.base import Task
from iglue_plugins.trainers.finetune import Finetune
from iglue_plugins.trainers.meta_objective import MetaObjective
from iglue_plugins.trainers.training_data import TrainingData
from iglue_plugins.trainers.xvl_maml import XVLMAML

MakeModel = Callable[[], XUniterForVisionAndLanguage]
CACHES = ("cleared", "kept", "off")  # what is done with autocast's copies of parameters; the meta-step clears them
RECIPE = Path(__file__).parents[1] / "recipes" / "mini" / "xvnli" / "finetune.yaml"


def make_episodes(model: XUniterForVisionAndLanguage, task: Task, size: int) -> list[dict[str, Any]]:
    batcher = Batcher(task.load("train", "en"), task, RegionProcessor(WordNumbers()))
    support, query = (batcher.batch(range(first, first + size)).to(model.device) for first in (0, size))
    return [{"language": "en", "support": support, "query": query}]


def meta_gradient(objective: nn.Module, episodes: list[dict[str, Any]], low: bool, cache: bool = True) -> list[Tensor]:
    """The gradient of a meta-step, always with the same dropout."""
    torch.manual_seed(0)
    objective.zero_grad(set_to_none=True)
    device = next(objective.parameters()).device.type
    with torch.autocast(device, torch.bfloat16, enabled=low, cache_enabled=cache):
        loss = objective(episodes)["loss"]
    loss.backward()
    return [value.grad for value in objective.parameters() if value.grad is not None]


def norm(gradient: list[Tensor]) -> float:
    return float(torch.stack([value.norm() for value in gradient]).norm())


def gradients(make_model: MakeModel, task: Task, size: int) -> None:
    """Print how far gradients in bfloat16 are from those in float32, and second order from first."""
    model = make_model().eval()  # another precision may draw other dropout
    episodes, found = make_episodes(model, task, size), {}
    for first_order in (True, False):
        settings = XVLMAML.Settings(inner_steps=2, first_order=first_order, pairs="all")
        objective = XVLMAML(settings).objective(model, task)
        for low in (False, True):
            found[first_order, low] = [value.clone() for value in meta_gradient(objective, episodes, low)]

    def difference(one: tuple[bool, bool], other: tuple[bool, bool]) -> float:
        return norm([a - b for a, b in zip(found[one], found[other], strict=True)]) / norm(found[other])

    print(
        "meta-gradient, relative difference by norm: bfloat16 to float32 "
        f"{difference((True, True), (True, False)):.3f} in first order, "
        f"{difference((False, True), (False, False)):.3f} in second; first to second order "
        f"{difference((True, False), (False, False)):.3f}",
        flush=True,
    )


@contextmanager
def caches(kind: str) -> Iterator[None]:
    """Keep what autocast caches to the end of the meta-step, where `kind` says so."""
    clear = torch.clear_autocast_cache
    if kind == "kept":
        torch.clear_autocast_cache = lambda: None  # type: ignore[assignment]
    try:
        yield
    finally:
        torch.clear_autocast_cache = clear
        clear()


def memory(make_model: MakeModel, task: Task, size: int, repeats: int = 3) -> None:
    """Print seconds and the GPU's peak memory of a meta-step by inner steps, storage and what autocast keeps."""
    model = make_model().train()
    episodes = make_episodes(model, task, size)
    is_gpu = model.device.type == "cuda"
    rows = [("float32", "cleared"), *(("bfloat16", cache) for cache in CACHES)]
    for storage in ("graphs", "start"):
        for dtype, cache in rows:
            cells = []
            for steps in (1, 3, 5):
                settings = XVLMAML.Settings(inner_steps=steps, inner_storage=storage, pairs="all")
                objective = XVLMAML(settings).objective(model, task)
                assert isinstance(objective, MetaObjective)
                objective.is_logging = False
                seconds = []
                with caches(cache):
                    for number in range(1 + repeats):
                        if is_gpu:
                            torch.cuda.synchronize()
                            torch.cuda.reset_peak_memory_stats()
                        began = time.perf_counter()
                        meta_gradient(objective, episodes, dtype == "bfloat16", cache != "off")
                        if is_gpu:
                            torch.cuda.synchronize()
                        seconds += [time.perf_counter() - began] if number else []
                peak = f" {torch.cuda.max_memory_allocated() / 2**30:.2f} GiB" if is_gpu else ""
                cells.append(f"{steps} steps {min(seconds):.3f} s{peak}")
            print(f"meta-step, {storage:6} {dtype:8} casts {cache:7}: {'; '.join(cells)}", flush=True)


class PowerCutError(Exception):
    """Ends a training in the middle."""


class StoppedFinetune(Finetune):
    """Fine-tuning that fails before its last step."""

    def steps(self, data: TrainingData) -> Steps:
        whole = super().steps(data)

        def item(number: int) -> dict[str, Any]:
            if number == len(whole) - 1:
                raise PowerCutError
            return whole[number]

        return Steps(item, len(whole))


def resuming(make_model: MakeModel, task: Task, size: int, precision: str, folder: Path) -> None:
    """Print how far the weights of a training that was stopped and resumed are from those of one that was not."""
    settings = Finetune.Settings(steps=6, batch_size=size, precision=precision, save_every=2, learning_rate=1e-3)

    def fit(trainer: Finetune, name: str) -> dict[str, Tensor]:
        model = make_model()
        trainer.fit(model, RegionProcessor(WordNumbers()), task, seed=1, folder=folder / name)
        return {key: value.cpu() for key, value in model.state_dict().items()}

    whole, again = fit(Finetune(settings), "whole"), fit(Finetune(settings), "whole again")
    with suppress(PowerCutError):
        fit(StoppedFinetune(settings), "stopped")
    resumed = fit(Finetune(settings), "stopped")

    def largest(one: dict[str, Tensor], other: dict[str, Tensor]) -> float:
        return max(float((one[key].float() - other[key].float()).abs().max()) for key in one)

    print(
        f"checkpoints, {precision}: largest difference of a weight {largest(resumed, whole):.1e} between a resumed "
        f"training and a whole one, {largest(again, whole):.1e} between two whole ones",
        flush=True,
    )


def jobs(folder: Path) -> None:
    """Print how many GPUs two jobs of a comparison use at the same time."""
    if torch.cuda.device_count() < 2:
        print(f"--jobs over several GPUs: not tried, since there is {torch.cuda.device_count()}", flush=True)
        return
    options = ["--seeds", "0,1", "--jobs", "2", "--set", "trainer.steps=200", "--set", f"runs={folder}"]
    compared = subprocess.Popen(
        [sys.executable, "-m", "iglue_plugins", "compare", str(RECIPE), *options], stdout=subprocess.DEVNULL
    )
    query = ["nvidia-smi", "--query-compute-apps=gpu_uuid,pid", "--format=csv,noheader"]
    most = 0
    while compared.poll() is None:
        busy = subprocess.run(query, capture_output=True, text=True).stdout.splitlines()
        most = max(most, len({line.partition(",")[0] for line in busy}))
        time.sleep(0.5)
    print(f"--jobs 2 over {torch.cuda.device_count()} GPUs: {most} in use at a time, exit {compared.returncode}")


def check_all(make_model: MakeModel, task: Task, size: int, precision: str, folder: Path) -> None:
    """Run all checks.

    Args:
        make_model: Makes the same model each time, on the device.
        task: A task whose examples suffice for two batches.
        size: Examples of a support batch, of a query batch and of a training batch.
        precision: The precision of the training that is resumed.
        folder: Where trainings go.
    """
    gradients(make_model, task, size)
    memory(make_model, task, size)
    resuming(make_model, task, size, precision, folder)
    jobs(folder / "jobs")
