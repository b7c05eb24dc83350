"""A tiny task, recipes for it, and a note of what trained."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from iglue_plugins import registry
from iglue_plugins.recipes import Recipe, load_recipe
from iglue_plugins.trainers.base import Trainer
from iglue_plugins.trainers.engine import Training

TINY_TASK = '''
from iglue_plugins.mini.tasks import MiniXVNLI
from iglue_plugins.registry import tasks


@tasks.register("tiny/xvnli")
class TinyXVNLI(MiniXVNLI):
    name = "tiny/xvnli"
    languages = ("en", "tr", "de")
    sizes = {"train": 32, "auxiliary": 24, "dev": 5, "test": 6}
    trainer_defaults = {
        "finetune": {"steps": 3, "batch_size": 8, "learning_rate": 1e-2},
        "auxiliary_finetune": {"steps": 2, "batch_size": 8, "learning_rate": 1e-2},
        "xvl_maml": {"steps": 6, "support_size": 4, "query_size": 4, "learning_rate": 1e-2, "save_every": 2},
    }
'''
MakeRecipe = Callable[..., Recipe]


@pytest.fixture(scope="module", autouse=True)
def tiny_task(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Registers 'tiny/xvnli'; the folder has the module that does so in other processes."""
    folder = tmp_path_factory.mktemp("tiny")
    (folder / "tiny_task.py").write_text(TINY_TASK)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        importlib.import_module("tiny_task")
        yield folder
    del sys.modules["tiny_task"], registry.tasks._classes["tiny/xvnli"], registry.tasks._origins["tiny/xvnli"]


@pytest.fixture
def recipe(tmp_path: Path, tiny_checkpoint: Path) -> MakeRecipe:
    """Writes recipe.yaml, or the file of another name, and loads it. The first changes it, the others override."""

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
def fits(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the trainers that trained, in their order."""
    names: list[str] = []
    fit = Trainer.fit

    def noted(self: Trainer, *args: Any, **kwargs: Any) -> Training:
        names.append(type(self).__name__)
        return fit(self, *args, **kwargs)

    monkeypatch.setattr(Trainer, "fit", noted)
    return names
