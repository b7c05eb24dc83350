"""The facts about a task, from task_configs/<task>.yaml."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from iglue_plugins.utils.errors import UserError
from iglue_plugins.utils.yaml import load_yaml

PACKAGE = Path(__file__).parents[1]
FOLDERS = (PACKAGE / "task_configs", PACKAGE.parent / "task_configs")  # installed, and in a clone

T = TypeVar("T", bound=type)
F = TypeVar("F", bound="TaskFacts")

Key = Annotated[str, BeforeValidator(str)]  # a language, or a number of shots, which YAML reads as a number
Shots = int | str  # 10x2: two statements for each of ten concepts
Count = int | dict[Key, int]  # of all languages, or by language, or by number of shots


class Facts(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TaskFacts(Facts):
    """What every file of task_configs/ holds."""

    name: str
    summary: str = Field(description="what an example is, in a sentence")
    source_language: str
    target_languages: tuple[str, ...]
    auxiliary_languages: tuple[str, ...] = Field(description="what XVL-MAML trains on unless a recipe says otherwise")
    main_metric: str
    licence: str
    citation: str
    trainer_defaults: dict[str, dict[str, Any]] = Field({}, description="settings by trainer, below those of a recipe")

    def attributes(self) -> dict[str, Any]:
        """What a task's class has of them."""
        return {
            "name": self.name,
            "source_language": self.source_language,
            "languages": (self.source_language, *self.target_languages),
            "default_auxiliary_languages": self.auxiliary_languages,
            "main_metric": self.main_metric,
            "trainer_defaults": self.trainer_defaults,
        }


class TaskConfig(TaskFacts):
    """The facts about a task whose examples are made."""

    splits: dict[str, int] = Field(description="examples in each language, by split")

    def attributes(self) -> dict[str, Any]:
        return super().attributes() | {"splits": tuple(self.splits), "sizes": self.splits}


class Source(Facts):
    """A file with examples of a split, one for each language and number of shots.

    `{language}` and `{shots}` in a file's or a store's name stand for them.
    """

    languages: tuple[str, ...]
    file: tuple[str, ...] = Field(min_length=1, description="below datasets/; the first that is there is read")
    kind: str = Field(description="a reader of iglue_plugins.data.annotations")
    store: str = Field(description="the region store of the images")
    shots: tuple[Shots, ...] = ()
    without: tuple[str, ...] = Field((), description="files of examples to leave out, by their id")
    origin: str = Field(description="where the file comes from, a key of `origins`")
    examples: Count | None = Field(None, description="labelled ones; null where the file has not been counted")
    unlabelled: Count = Field(0, description="rows that are left out, since they have none of the labels")

    def count(self, which: Literal["examples", "unlabelled"], language: str, shots: Shots | None) -> int | None:
        """One of the two counts, in a language or for a number of shots."""
        count = getattr(self, which)
        return count.get(str(shots or language)) if isinstance(count, Mapping) else count


class Answers(Facts):
    """The vocabulary of a task whose labels stand in a file."""

    file: tuple[str, ...]
    count: int
    origin: str


class HubFacts(Facts):
    """A copy of the test sets on a model hub."""

    repository: str
    revision: str
    languages: tuple[str, ...]


class IGLUEConfig(TaskFacts):
    """The facts about an IGLUE task, whose examples are read from files."""

    labels: tuple[str, ...] = Field((), description="in the order of the model's outputs (VOLTA's)")
    answers: Answers | None = Field(None, description="instead of labels")
    max_text_length: int = Field(description="tokens; longer texts are cut")
    max_boxes: int = Field(description="regions kept of an image")
    global_region_takes_a_box: bool = Field(description="where a model has a global region, it is one of max_boxes")
    volta_task: str = Field(description="the task's key in VOLTA's task files")
    auxiliary: tuple[Literal["machine_translated", "few_shot"], ...] = Field(
        description="the kinds of training data in auxiliary languages that there are, the default first"
    )
    auxiliary_shots: Shots = Field(description="of few_shot, unless a recipe says otherwise")
    few_shot_validation: str | None = Field(
        None,
        description="the split that few-shot training chooses its weights "
        "by, in the language; null: dev, in the source language",
    )
    hub: HubFacts
    origins: dict[str, str]
    splits: dict[str, tuple[Source, ...]] = Field(
        description="the sources of each split; of several with a language, the first whose file is there counts"
    )

    def attributes(self) -> dict[str, Any]:
        return (
            super().attributes()
            | {
                "config": self,
                "splits": (*self.splits, "auxiliary"),
                "max_text_length": self.max_text_length,
                "max_boxes": self.max_boxes,
                "global_region_takes_a_box": self.global_region_takes_a_box,
            }
            | ({"labels": self.labels} if self.labels else {})
        )

    def shots(self, split: str, language: str | None = None) -> tuple[Shots, ...]:
        """The numbers of shots that a split has, in a language or at all; none for most splits."""
        return tuple(
            dict.fromkeys(
                shots
                for source in self.splits[split]
                if language is None or language in source.languages
                for shots in source.shots
            )
        )

    def split_languages(self, split: str) -> tuple[str, ...]:
        """The languages that a split has, in the task's order."""
        found = {language for source in self.splits[split] for language in source.languages}
        return tuple(language for language in (self.source_language, *self.target_languages) if language in found)


def load_task_config(name: str, kind: type[F] = TaskConfig) -> F:
    """Read and check task_configs/<name>.yaml."""
    path = next((folder / f"{name}.yaml" for folder in FOLDERS if (folder / f"{name}.yaml").is_file()), None)
    if path is None:
        raise UserError(f"task_configs/{name}.yaml: found no such file, expected the facts about the task {name}")
    try:
        return kind.model_validate(load_yaml(path.read_text(encoding="utf-8")))
    except (yaml.YAMLError, ValidationError) as error:
        raise UserError(f"{path}: {' '.join(str(error).split())}") from error


def configured(name: str, kind: type[TaskFacts] = TaskConfig) -> Callable[[T], T]:
    """A class decorator that gives a task the facts of its file."""
    attributes = load_task_config(name, kind).attributes()

    def decorate(cls: T) -> T:
        for attribute, value in attributes.items():
            setattr(cls, attribute, value)
        return cls

    return decorate
