"""The resolved recipe: what one run is, with every setting of its task, model and trainer."""

from __future__ import annotations

import functools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from iglue_plugins import registry
from iglue_plugins.recipes.checks import Report, check_auxiliary, check_start, check_task_values
from iglue_plugins.recipes.problems import KeyPath, Problems, RecipeError, shown, validation_problems
from iglue_plugins.recipes.reading import SECTIONS, Layer, merge, read_file, read_overrides, source_of
from iglue_plugins.utils.errors import UserError, did_you_mean

Section = Literal["task", "model", "trainer"]
M = TypeVar("M", bound=BaseModel)


class PluginChoice(BaseModel):
    """A task, model or trainer by its registry name, with all of its settings (JSON values)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    settings: dict[str, Any]


class Evaluation(BaseModel):
    """What is scored after training."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    splits: list[str] = Field(["test"], min_length=1)
    languages: list[str] = Field(min_length=1, description="default: all of the task's")
    batch_size: int = Field(256, ge=1)
    precision: Literal["float32", "bfloat16"] = Field("float32", description="of the model while it is evaluated")
    compile: bool = Field(False, description="compile the model for evaluation: slower to start, then faster on a GPU")


class Recipe(BaseModel):
    """One run. Made by `load_recipe`, which fills in every default."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[
        str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.+-]*$", description="label in tables; default: the file's stem")
    ]
    task: PluginChoice
    model: PluginChoice
    trainer: PluginChoice
    start_from: str = Field(
        description="'model', 'finetune' (this recipe with that trainer), or the path of a recipe, a run or a "
        "checkpoint; default: the trainer's"
    )
    source_language: str = Field(description="default: the task's")
    auxiliary_languages: list[str] = Field(description="default: the task's")
    seed: int = Field(0, ge=0, lt=2**32)
    evaluation: Evaluation
    runs: Path = Field(Path("runs"), description="the folder for runs")

    def plugin(self, section: Section) -> tuple[type, BaseModel]:
        """The class of the task, model or trainer, and its settings as an instance of the class's `Settings`."""
        choice: PluginChoice = getattr(self, section)
        cls = _registry(section).get(choice.name)
        return cls, cls.Settings.model_validate_json(json.dumps(choice.settings))

    @property
    def trains_on(self) -> str:
        """'source', 'auxiliary' or 'target': the languages that the trainer takes its examples from."""
        return _registry("trainer").get(self.trainer.name).trains_on

    def to_dict(self) -> dict[str, Any]:
        """JSON values in the form of a recipe file, which `load_recipe` resolves to an equal recipe."""
        data = self.model_dump(mode="json")
        return data | {section: {"name": data[section]["name"], **data[section]["settings"]} for section in SECTIONS}

    def previous(self) -> Recipe | None:
        """The recipe of the stage before, with this one's seed, runs folder and evaluation.

        None when start_from is 'model', a run or a checkpoint. A recipe for another task keeps its own evaluation.
        """
        if self.start_from == "finetune":
            data = self.to_dict() | {"name": "finetune", "trainer": {"name": "finetune"}, "start_from": "model"}
            return _resolve([Layer(f"the stage before recipe '{self.name}'", data)], self.name, Problems())
        if not _is_recipe(self.start_from):
            return None
        recipe = _load(Path(self.start_from), ())
        evaluation = self.evaluation if recipe.task.name == self.task.name else recipe.evaluation
        return recipe.model_copy(update={"seed": self.seed, "runs": self.runs, "evaluation": evaluation})


def load_recipe(path: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """A recipe file with the files that it extends, `key.path=value` overrides and all defaults.

    Paths in `extends` and `start_from` are relative to the file that has them (in overrides: to the current folder).

    Raises:
        RecipeError: with all that is wrong, a line for each problem.
    """
    recipe = _load(Path(path), overrides)
    stages = [] if overrides else [Path(path).resolve()]  # with overrides it is not the recipe that the file holds
    stage: Recipe | None = recipe
    while stage is not None:
        if _is_recipe(stage.start_from):
            file = Path(stage.start_from).resolve()
            if file in stages:
                circle = " -> ".join(map(str, (*stages[stages.index(file) :], file)))
                raise RecipeError([f"{path}: start_from: found a circle, {circle}, expected one that ends"])
            stages.append(file)
        stage = stage.previous()
    return recipe


def _is_recipe(start_from: str) -> bool:
    return Path(start_from).suffix in (".yaml", ".yml")


def _registry(section: str) -> registry.Registry:
    return getattr(registry, f"{section}s")


def _load(path: Path, overrides: Sequence[str]) -> Recipe:
    problems = Problems()
    layers = [*read_file(path, problems), *read_overrides(overrides, problems)]
    return _resolve(layers, str(path), problems)


def _resolve(layers: Sequence[Layer], source: str, problems: Problems) -> Recipe:
    """The recipe that the layers make; `source` is named for what none of them has."""

    def report(path: KeyPath, text: str) -> None:
        named = path[:1] if path[1:] == ("name",) else path  # `trainer: x` and `trainer: {name: x}` are one
        problems.add(source_of(path, layers) or source, named, text)

    data = functools.reduce(merge, (layer.data for layer in layers), {"name": Path(source).stem})
    classes = {section: _plugin_class(section, data.get(section), report) for section in SECTIONS}
    task, trainer = classes["task"], classes["trainer"]
    if task and trainer:
        settings = task.trainer_defaults.get(data["trainer"]["name"], {})
        layers = [Layer(f"trainer_defaults of task {data['task']['name']}", {"trainer": settings}), *layers]
        data = merge(layers[0].data, data)
    choices = {section: _choice(section, cls, data, report) for section, cls in classes.items()}
    auxiliary_given = data.get("auxiliary_languages") is not None
    data = _with_defaults(data | choices, task, trainer)
    if task:
        check_task_values(data, task, report)
    if trainer:
        check_auxiliary(data, trainer, auxiliary_given, report)
    check_start(data["start_from"], report)
    recipe = _validated(Recipe, data, "a recipe", report)
    problems.raise_any()
    assert recipe is not None  # otherwise there was a problem to raise
    return recipe


def _plugin_class(section: str, chosen: Any, report: Report) -> type | None:
    if chosen is not None and not isinstance(chosen, dict):
        report((section,), f"found {shown(chosen)}, expected a name, or a mapping with name and settings")
        return None
    known = _registry(section)
    name = (chosen or {}).get("name")
    if not isinstance(name, str):
        found = "nothing" if name is None else shown(name)
        hint = did_you_mean("", known.names())
        report((section, "name"), f"found {found}, expected the name of a {section}{hint}")
        return None
    try:
        return known.get(name)
    except UserError as error:
        report((section, "name"), str(error))
        return None


def _choice(section: str, cls: type | None, data: dict[str, Any], report: Report) -> dict[str, Any]:
    """The section as the resolved recipe has it; without settings where something is wrong with it."""
    if cls is None:
        return {"name": "", "settings": {}}
    given = {key: value for key, value in data[section].items() if key != "name"}
    name = data[section]["name"]
    settings = _validated(cls.Settings, given, f"{section} {name}", lambda path, text: report((section, *path), text))
    return {"name": name, "settings": settings.model_dump(mode="json", by_alias=True) if settings else {}}


def _validated(model: type[M], data: dict[str, Any], owner: str, report: Report) -> M | None:
    """By way of JSON, where strict types still take a list for a tuple and text for a path."""
    try:
        return model.model_validate_json(json.dumps(data), strict=True)
    except ValidationError as error:
        for path, text in validation_problems(error, model, data, owner):
            report(path, text)
    except UserError as error:
        report((), str(error))
    return None


def _with_defaults(data: dict[str, Any], task: type | None, trainer: type | None) -> dict[str, Any]:
    """What the task and the trainer say where the recipe says nothing, or null."""
    evaluation = data.get("evaluation") or {}
    if isinstance(evaluation, dict) and evaluation.get("languages") is None:
        evaluation = evaluation | {"languages": list(task.languages) if task else [""]}
    defaults = {
        "start_from": trainer.starts_from if trainer else "model",
        "source_language": task.source_language if task else "",
        "auxiliary_languages": list(task.default_auxiliary_languages) if task else [],
    }
    missing = {key: value for key, value in defaults.items() if data.get(key) is None}
    return data | missing | {"evaluation": evaluation}
