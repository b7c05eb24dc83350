"""The resolved recipe of one run, with every setting of its task, model and trainer."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from iglue_plugins.recipes import stages
from iglue_plugins.recipes.checks import check_languages, check_start, check_task_values
from iglue_plugins.recipes.choices import plugin_choice, registered, registry_of, task_choice
from iglue_plugins.recipes.defaults import with_defaults
from iglue_plugins.recipes.plugins import RegisteredPlugin, RegisteredTrainer
from iglue_plugins.recipes.problems import KeyPath, Problems, RecipeError, validate
from iglue_plugins.recipes.reading import SECTIONS, Layer, merge, read_file, read_overrides, source_of
from iglue_plugins.recipes.sections import Evaluation, ModelChoice, PluginChoice
from iglue_plugins.utils.languages import language_tuple

Section = Literal["task", "model", "trainer"]


class Recipe(BaseModel):
    """The complete description of one run; `load_recipe` makes it and fills in every default."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[
        str,
        Field(
            pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.+-]*$",
            description="The run's label in tables; default: the file's name without its ending.",
        ),
    ]
    task: PluginChoice
    model: ModelChoice
    trainer: PluginChoice
    start_from: str = Field(
        description="The weights that training starts from: 'model' (the model's own), 'finetune' (those of this "
        "recipe with trainer finetune), the path of a recipe, a run or a checkpoint, or hf://OWNER/NAME@REVISION (a "
        "run that was pushed to a hub); default: the trainer's choice."
    )
    start_from_settings: list[str] = Field(
        [],
        description="Settings, KEY.PATH=VALUE, for the recipe that start_from names and for those before it; those of "
        "a trainer count wherever the trainer has them. Overrides are added by themselves.",
    )
    source_language: str | list[str] = Field(
        description="The language of the large training set, or a list of several, from which batches come in turn; "
        "default: the task's."
    )
    auxiliary_languages: list[str] = Field(
        description="The languages to meta-train on; default: the task's, without source languages."
    )
    seed: int = Field(0, ge=0, lt=2**32, description="The seed of all random numbers.")
    evaluation: Evaluation
    runs: Path = Field(Path("runs"), description="The folder for runs.")
    limit: int | None = Field(
        None,
        ge=1,
        description="A smoke test: so many steps of each stage, and so many examples of each language that are scored. "
        "Its runs are none of the recipe without it.",
    )

    def plugin(self, section: Section) -> tuple[RegisteredPlugin, BaseModel]:
        """Look up the task, model or trainer.

        Args:
            section: The section of the recipe.

        Returns:
            The registered class, and the recipe's settings as an instance of the class's `Settings`.
        """
        choice: PluginChoice = getattr(self, section)
        cls = registry_of(section).get(choice.name)
        return cls, cls.Settings.model_validate_json(json.dumps(choice.settings))

    @field_validator("source_language")
    @classmethod
    def _one_or_several(cls, value: str | list[str]) -> str | list[str]:
        return value[0] if isinstance(value, list) and len(value) == 1 else value

    @property
    def source_languages(self) -> tuple[str, ...]:
        """The languages of the large training sets, in the order of the recipe."""
        return language_tuple(self.source_language)

    @property
    def trains_on(self) -> str:
        """The languages that the trainer takes its examples from: 'source', 'auxiliary' or 'target'."""
        return registry_of("trainer").get(self.trainer.name).trains_on

    @property
    def run_name(self) -> str:
        """The name of the folder of a run before its fingerprint; that of a smoke test says so."""
        return self.name if self.limit is None else f"{self.name}-limit-{self.limit}"

    def to_dict(self) -> dict[str, Any]:
        """Return the content of a recipe file that `load_recipe` resolves to an equal recipe.

        Returns:
            JSON values by key; a section is a mapping with `name` and every setting, but for those that
            are left out where they are off (`exclude_if`). It has `limit` only where one is given.
        """
        left_out = {"limit"} if self.limit is None else set()
        sections: dict[str, PluginChoice] = {section: getattr(self, section) for section in SECTIONS}
        return self.model_dump(mode="json", exclude=left_out) | {
            section: choice.to_dict() for section, choice in sections.items()
        }

    def previous(self) -> Recipe | None:
        """Return the recipe of the stage before, whose weights this one starts from.

        Returns:
            A recipe with this one's seed, limit, folder for runs and evaluation; a recipe for another task keeps its
            evaluation. None if `start_from` is 'model', a run or a checkpoint.

        Raises:
            RecipeError: The recipe that `start_from` names has problems.
        """
        if self.start_from == "finetune":
            changes: dict[str, Any] = {
                "trainer": {"name": "finetune"},
                "start_from": "model",
                "start_from_settings": [],
            }
            data = self.to_dict() | {"name": "finetune"} | changes
            problems, applied = Problems(), stages.applied(self.start_from_settings, "finetune")
            layers = [Layer(f"the stage before recipe '{self.name}'", data), *read_overrides(applied, problems)]
            return _resolve(layers, self.name, problems)
        if not is_recipe(self.start_from):
            return None
        path = Path(self.start_from)
        trainer = _load(path, ()).trainer.name
        recipe = _load(path, stages.applied(self.start_from_settings, trainer), self.start_from_settings)
        evaluation = self.evaluation if recipe.task.name == self.task.name else recipe.evaluation
        shared = {"seed": self.seed, "limit": self.limit, "runs": self.runs, "evaluation": evaluation}
        return recipe.model_copy(update=shared)


def load_recipe(path: str | Path, overrides: Sequence[str] = (), everywhere: Sequence[str] = ()) -> Recipe:
    """Load a recipe file with the files that it extends, and fill in every default.

    Args:
        path: The recipe file. Paths in its `extends` and `start_from` are relative to the file that has them.
        overrides: Changes of the form `key.path=value`; paths in them are relative to the current folder. Those of
            task, model and languages reach the stages before this recipe too, those of the trainer do not.
        everywhere: Changes that reach the trainers of the stages before too, where these have such a setting.

    Returns:
        The resolved recipe.

    Raises:
        RecipeError: The recipe has problems; the message has a line for each.
    """
    overrides = [*everywhere, *overrides]
    inherited = [override for override in overrides if override in everywhere or not stages.is_of_trainer(override)]
    recipe = _load(Path(path), overrides, inherited)
    files = [] if overrides else [Path(path).resolve()]  # with overrides, the recipe is not the one in the file
    stage: Recipe | None = recipe
    while stage is not None:
        if is_recipe(stage.start_from):
            file = Path(stage.start_from).resolve()
            if file in files:
                between = "".join(f" through {stage}" for stage in files[files.index(file) + 1 :])
                raise RecipeError(
                    [f"{path}: start_from: recipe {file} starts from itself{between}; change one of these `start_from`"]
                )
            files.append(file)
        stage = stage.previous()
    return recipe


def resolve_recipe(data: Mapping[str, Any], source: str, overrides: Sequence[str] = ()) -> Recipe:
    """Resolve the recipe in a record, in which neither environment variables nor other files are looked up.

    Args:
        data: The recipe, as `Recipe.to_dict` made it.
        source: The file that errors name.
        overrides: Changes of the form `key.path=value`.

    Returns:
        The resolved recipe.

    Raises:
        RecipeError: The recipe has problems.
    """
    problems = Problems()
    return _resolve([Layer(source, dict(data)), *read_overrides(overrides, problems)], source, problems)


def task_name(path: Path) -> str | None:
    """Return the name of a recipe's task, which is all of it that is read; None if it names none."""
    merged: dict[str, Any] = functools.reduce(merge, (layer.data for layer in read_file(path, Problems())), {})
    return stages.plugin_names(merged).get("task")


def is_recipe(start_from: str) -> bool:
    """Tell whether `start_from` names a recipe file."""
    return Path(start_from).suffix in (".yaml", ".yml")


def _load(path: Path, overrides: Sequence[str], inherited: Sequence[str] = ()) -> Recipe:
    """Load a recipe.

    Args:
        path: The file.
        overrides: Changes of this recipe.
        inherited: Changes of the recipe and of the stages before it; those that reach the stage before are put among
            the recipe's `start_from_settings`.

    Returns:
        The resolved recipe.

    Raises:
        RecipeError: The recipe has problems.
    """
    problems = Problems()
    files = read_file(path, problems)
    recipe = _resolve([*files, *read_overrides(overrides, problems)], str(path), problems)
    if not inherited or not (is_recipe(recipe.start_from) or recipe.start_from == "finetune"):
        return recipe
    if recipe.start_from == "finetune":  # which has this recipe's task and model anyway
        reaching = [override for override in inherited if stages.is_of_trainer(override)]
    else:
        merged: dict[str, Any] = functools.reduce(merge, (layer.data for layer in files))
        own = stages.plugin_names(merged)
        before = stages.plugin_names(_load(Path(recipe.start_from), ()).to_dict())
        reaching = [override for override in inherited if stages.reaches(override, own, before)]
    return recipe.model_copy(update={"start_from_settings": [*recipe.start_from_settings, *reaching]})


def _resolve(layers: Sequence[Layer], source: str, problems: Problems) -> Recipe:
    """Merge the layers, add the defaults, and check the result.

    Args:
        layers: The files and overrides, those that take precedence last.
        source: The file that errors name for values that no layer has.
        problems: The problems of reading the layers; those found here are added.

    Returns:
        The resolved recipe.

    Raises:
        RecipeError: There is at least one problem.
    """

    def report(path: KeyPath, text: str) -> None:
        named = path[:1] if path[1:] == ("name",) else path  # errors name `trainer`, not `trainer.name`
        problems.add(source_of(path, layers) or source, named, text)

    default_name: dict[str, Any] = {"name": Path(source).stem}
    data = functools.reduce(merge, (layer.data for layer in layers), default_name)
    chosen: RegisteredPlugin | None = registered("task", data.get("task"), report)
    task_section, task = task_choice(chosen, data, report)
    model: RegisteredPlugin | None = registered("model", data.get("model"), report)
    trainer: RegisteredTrainer | None = registered("trainer", data.get("trainer"), report)
    if task and trainer:
        settings = task.trainer_defaults.get(data["trainer"]["name"], {})
        layers = [Layer(f"trainer_defaults of task {data['task']['name']}", {"trainer": settings}), *layers]
        data = merge(layers[0].data, data)
    choices = {
        "task": task_section,
        "model": plugin_choice("model", model, data, report)[0],
        "trainer": plugin_choice("trainer", trainer, data, report)[0],
    }
    data = with_defaults(data | choices, task, trainer)
    if task:
        check_task_values(data, task, report)
    if trainer and (task or not chosen):
        check_languages(data, trainer, report)
    check_start(data["start_from"], report)
    recipe = validate(Recipe, data, "a recipe", report)
    problems.raise_if_any()
    assert recipe is not None  # a recipe that is not valid has at least one problem, which was raised
    return recipe
