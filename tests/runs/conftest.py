"""A tiny task, recipes for it, and a list of the trainers that trained."""

from __future__ import annotations

import importlib
import multiprocessing
import socket
import sys
from collections.abc import Callable, Iterator
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest
import yaml

from iglue_plugins import registry
from iglue_plugins.recipes.recipe import Recipe, load_recipe
from iglue_plugins.runs import plugins
from iglue_plugins.runs.folder import Run
from iglue_plugins.trainers.base import Trainer
from iglue_plugins.trainers.engine import Training

TINY_TASK = """
from iglue_plugins.mini.tasks import MiniXVNLI
from iglue_plugins.registry import tasks

EXACT = {"precision": "float32"}  # on any processor, also in processes of their own


@tasks.register("tiny/xvnli")
class TinyXVNLI(MiniXVNLI):
    name = "tiny/xvnli"
    languages = ("en", "tr", "de")
    sizes = {"train": 32, "auxiliary": 24, "dev": 5, "test": 6}
    trainer_defaults = {
        "finetune": {"steps": 3, "batch_size": 8, "learning_rate": 1e-2} | EXACT,
        "auxiliary_finetune": {"steps": 2, "batch_size": 8, "learning_rate": 1e-2} | EXACT,
        "xvl_maml": {"steps": 6, "support_size": 4, "query_size": 4, "learning_rate": 1e-2, "save_every": 2} | EXACT,
        "few_shot": EXACT,
    }
"""
CHILD = """
import os, signal, sys
from pathlib import Path
sys.stdout = sys.stderr = open(log, "w", buffering=1)
sys.path.insert(0, tiny_task)
import tiny_task

def at_call(owner, name, call, signal_number):
    original, calls = getattr(owner, name), iter(range(1, 1000))
    def counted(*args, **kwargs):
        if next(calls) == call:
            os.kill(os.getpid(), signal_number)
        return original(*args, **kwargs)
    setattr(owner, name, counted)

import iglue_plugins
from iglue_plugins import cli
from iglue_plugins.runs import plugins, runner
from iglue_plugins.recipes.recipe import load_recipe
from iglue_plugins.runs.folder import Run
from iglue_plugins.trainers.base import Trainer
from iglue_plugins.trainers.checkpoints import Checkpoints
from iglue_plugins.trainers.xvl_maml import MetaObjective
from transformers import PreTrainedTokenizerBase
"""
MakeRecipe = Callable[..., Recipe]


@pytest.fixture(scope="module", autouse=True)
def tiny_task(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Registers the task 'tiny/xvnli', and gives the folder of the module that registers it in other processes."""
    folder = tmp_path_factory.mktemp("tiny")
    (folder / "tiny_task.py").write_text(TINY_TASK)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        importlib.import_module("tiny_task")
        yield folder
    plugins._make_task.cache_clear()
    del sys.modules["tiny_task"], registry.tasks._classes["tiny/xvnli"], registry.tasks._origins["tiny/xvnli"]


@pytest.fixture
def recipe(tmp_path: Path, tiny_checkpoint: Path) -> MakeRecipe:
    """Gives a function that writes a recipe file with some keys changed, and loads it with overrides."""

    def make(changes: dict[str, Any] | None = None, *overrides: str, file: str = "recipe") -> Recipe:
        data = {
            "task": "tiny/xvnli",
            "model": {"name": "xuniter", "checkpoint": str(tiny_checkpoint)},
            "trainer": "finetune",
            "evaluation": {"languages": ["en", "tr"]},
            "runs": str(tmp_path / "runs"),
        }
        path = tmp_path / f"{file}.yaml"
        path.write_text(yaml.safe_dump(data | (changes or {})))
        return load_recipe(path, overrides)

    return make


@pytest.fixture
def few_shot_recipe(recipe: MakeRecipe) -> MakeRecipe:
    """Gives a function that makes a recipe for few-shot fine-tuning, with overrides."""

    def make(*overrides: str) -> Recipe:
        trainer = {"name": "few_shot", "shots": 6, "epochs": 1, "batch_size": 4, "learning_rates": [1e-2]}
        return recipe(
            {"trainer": trainer, "evaluation": {"languages": ["en", "tr", "de"]}}, *overrides, file="few_shot"
        )

    return make


@pytest.fixture
def fits(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Lists the class names of the trainers that trained, in the order in which they did."""
    names: list[str] = []
    fit = Trainer.fit

    def recorded(self: Trainer, *args: Any, **kwargs: Any) -> Training:
        names.append(type(self).__name__)
        return fit(self, *args, **kwargs)

    monkeypatch.setattr(Trainer, "fit", recorded)
    return names


@pytest.fixture
def start(tmp_path: Path, tiny_task: Path) -> Iterator[Callable[..., BaseProcess]]:
    """Gives a function that runs code in another process, forked from one that has imported everything.

    The output of the process goes to a file.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        ["iglue_plugins.runs.runner", "iglue_plugins.mini.tasks", "iglue_plugins.trainers.xvl_maml"]
    )
    started = []

    def run(code: str, log: str = "log") -> BaseProcess:
        names = {"log": str(tmp_path / log), "tiny_task": str(tiny_task), "recipe": str(tmp_path / "recipe.yaml")}
        started.append(context.Process(target=exec, args=(CHILD + code, names)))
        started[-1].start()
        return started[-1]

    yield run
    for process in started:
        process.kill()
        process.join()


@pytest.fixture
def start_two(start: Callable[..., BaseProcess]) -> Callable[..., list[BaseProcess]]:
    """Starts two processes that join each other over gloo, as a launcher would."""

    def run(code: str) -> list[BaseProcess]:
        with socket.create_server(("127.0.0.1", 0)) as free:
            common = {
                "MASTER_ADDR": "127.0.0.1",
                "MASTER_PORT": str(free.getsockname()[1]),
                "WORLD_SIZE": "2",
                "OMP_NUM_THREADS": "1",
            }
        joined = [common | {"RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in range(2)]
        return [
            start(f"import torch\ntorch.set_num_threads(1)\nos.environ |= {environment}\n{code}", f"log{rank}")
            for rank, environment in enumerate(joined)
        ]

    return run


@pytest.fixture
def same_run() -> Callable[[Run, Run], None]:
    """Gives a function that asserts that two runs are equal to the bit, apart from their timings and folders."""

    def check(found: Run, expected: Run) -> None:
        assert found.folder.name == expected.folder.name
        files = ("model.safetensors", "config.json", "tokenizer.json")
        assert all((found.model_dir / file).read_bytes() == (expected.model_dir / file).read_bytes() for file in files)
        for language in ("en", "tr"):
            assert found.read_predictions("test", language) == expected.read_predictions("test", language)
        records = [run.record() for run in (found, expected)]
        assert records[0].pop("timings").keys() == records[1].pop("timings").keys()
        assert all(record.pop("processes") for record in records)
        for record in records:
            record["recipe"].pop("runs")
            (record["start_from"] or {}).pop("path", None)
        assert records[0] == records[1]
        assert {path.name for path in found.folder.iterdir()} == {path.name for path in expected.folder.iterdir()}

    return check
