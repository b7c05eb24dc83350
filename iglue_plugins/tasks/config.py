"""The facts about a task, from task_configs/<task>.yaml."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from iglue_plugins.errors import UserError
from iglue_plugins.recipes.reading import RecipeLoader  # safe, and reads 1e-3 as a number

PACKAGE = Path(__file__).parents[1]
FOLDERS = (PACKAGE / "task_configs", PACKAGE.parent / "task_configs")  # installed, and in a clone

T = TypeVar("T", bound=type)


class TaskConfig(BaseModel):
    """What one file of task_configs/ holds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    summary: str = Field(description="what an example is, in a sentence")
    source_language: str
    target_languages: tuple[str, ...]
    auxiliary_languages: tuple[str, ...] = Field(description="what XVL-MAML trains on unless a recipe says otherwise")
    splits: dict[str, int] = Field(description="examples in each language, by split")
    main_metric: str
    licence: str
    citation: str
    trainer_defaults: dict[str, dict[str, Any]] = Field({}, description="settings by trainer, below those of a recipe")


def load_task_config(name: str) -> TaskConfig:
    """Read and check task_configs/<name>.yaml."""
    path = next((folder / f"{name}.yaml" for folder in FOLDERS if (folder / f"{name}.yaml").is_file()), None)
    if path is None:
        raise UserError(f"task_configs/{name}.yaml: found no such file, expected the facts about the task {name}")
    try:
        return TaskConfig.model_validate(yaml.load(path.read_text(encoding="utf-8"), RecipeLoader))
    except (yaml.YAMLError, ValidationError) as error:
        raise UserError(f"{path}: {' '.join(str(error).split())}") from error


def configured(name: str) -> Callable[[T], T]:
    """A class decorator that gives a task the facts of its file."""
    config = load_task_config(name)

    def decorate(cls: T) -> T:
        cls.name = config.name
        cls.source_language = config.source_language
        cls.languages = (config.source_language, *config.target_languages)
        cls.default_auxiliary_languages = config.auxiliary_languages
        cls.splits = tuple(config.splits)
        cls.sizes = config.splits
        cls.main_metric = config.main_metric
        cls.trainer_defaults = config.trainer_defaults
        return cls

    return decorate
