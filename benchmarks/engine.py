"""What the engine adds to a small training step: a training as recipes run it against a bare loop on the same items.

    python benchmarks/engine.py                                   # three minutes on one core
    python benchmarks/engine.py recipes/mini/xvnli/finetune.yaml --steps 60 --rounds 1

The bare loop does what a user would write in PyTorch: it makes an item, computes its loss, goes backward, clips, takes
a step of AdamW and one of the schedule. Both train the recipe's model from new weights, on one thread, in turns in
one process. Times are those that the process computes, medians over blocks of as many steps as are logged together, and
of these over the rounds.
"""

from __future__ import annotations

import argparse
import itertools
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
import transformers
from torch import nn
from transformers import get_scheduler

from iglue_plugins.data.episodes import Steps
from iglue_plugins.recipes.recipe import Recipe, load_recipe
from iglue_plugins.runs import plugins
from iglue_plugins.trainers import base
from iglue_plugins.trainers.engine import Training
from iglue_plugins.trainers.progress import LogsOnSomeSteps
from iglue_plugins.utils.memory import keep_memory
from iglue_plugins.utils.notices import quiet_libraries

RECIPES = [Path(f"recipes/mini/xvnli/{name}.yaml") for name in ("finetune", "xvl_maml")]


def bare(objective: nn.Module, steps, settings, **_) -> Training:
    """A training loop of PyTorch alone, in the engine's place."""
    objective.train()
    parameters = [value for value in objective.parameters() if value.requires_grad]
    optimizer = torch.optim.AdamW(
        parameters,
        lr=settings.learning_rate,
        betas=settings.adam_betas,
        eps=settings.adam_epsilon,
        weight_decay=settings.weight_decay,
        fused=True,
    )
    schedule = get_scheduler(
        settings.lr_scheduler, optimizer, round(settings.warmup * len(steps)), steps.schedule // settings.accumulation
    )
    for step in range(len(steps)):
        if isinstance(objective, LogsOnSomeSteps):
            objective.is_logging = (step + 1) % settings.log_every == 0
        (objective(**steps[step])["loss"] / settings.accumulation).backward()
        if (step + 1) % settings.accumulation == 0:
            nn.utils.clip_grad_norm_(parameters, settings.clip_norm)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
    return Training(len(steps), None, {})


class Clocked:
    """The items of a training, which note the seconds that the process has computed when each is asked for."""

    def __init__(self, steps: Steps) -> None:
        self._steps, self.seconds = steps, []
        self.epoch, self.schedule = steps.epoch, steps.schedule

    def __len__(self) -> int:
        return len(self._steps)

    def __getitem__(self, step: int) -> dict:
        self.seconds.append(time.process_time())
        return self._steps[step]


def milliseconds(recipe: Recipe, train: Callable[..., Training], steps: int) -> list[float]:
    """Milliseconds that the process computes in a step, for each block of as many as are logged together."""
    clocked = None

    def clocked_train(objective: nn.Module, items: Steps, *arguments, **options) -> Training:
        nonlocal clocked
        clocked = Clocked(items)
        return train(objective, clocked, *arguments, **options)

    trainer = plugins.make_trainer(recipe)
    trainer.settings = trainer.settings.model_copy(update={"steps": steps, "epochs": None, "validate_every": None})
    model, processor = plugins.load_model(recipe, None)
    languages = tuple(recipe.auxiliary_languages)
    base.train = clocked_train
    with tempfile.TemporaryDirectory() as folder:
        trainer.fit(
            model, processor, plugins.make_task(recipe), auxiliary_languages=languages, folder=Path(folder) / "run"
        )
    block = trainer.settings.log_every * trainer.settings.accumulation
    at = clocked.seconds[block::block]  # the first steps are slow
    return [1000 * (end - begin) / trainer.settings.log_every for begin, end in itertools.pairwise(at)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipes", type=Path, nargs="*", default=RECIPES)
    parser.add_argument("--steps", type=int, default=250)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    quiet_libraries()
    torch.set_num_threads(1)
    keep_memory()
    engine = base.train
    print(f"load {os.getloadavg()[0]:.1f}, torch {torch.__version__}, transformers {transformers.__version__}")
    print(f"{'':24} {'engine, ms':>11} {'bare, ms':>9} {'engine share':>24}", flush=True)
    for path in options.recipes:
        recipe = load_recipe(path, [])
        taken: dict[Callable, list[float]] = {engine: [], bare: []}
        for _ in range(options.rounds):
            for train, found in taken.items():
                found.append(statistics.median(milliseconds(recipe, train, options.steps)))
        shares = [1 - fast / slow for slow, fast in zip(taken[engine], taken[bare], strict=True)]
        print(
            f"{path.stem:24} {statistics.median(taken[engine]):11.2f} {statistics.median(taken[bare]):9.2f} "
            f"{statistics.median(shares):7.1%} ({min(shares):.1%} to {max(shares):.1%})",
            flush=True,
        )


if __name__ == "__main__":
    main()
