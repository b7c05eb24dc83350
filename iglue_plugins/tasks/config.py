"""The facts about each task, read from task_configs/<task>.yaml."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from iglue_plugins.utils.errors import UserError
from iglue_plugins.utils.yaml import load_yaml

PACKAGE = Path(__file__).parents[1]
FOLDERS = (PACKAGE / "task_configs", PACKAGE.parent / "task_configs")  # of an installed package, and of a clone

T = TypeVar("T", bound=type)
F = TypeVar("F", bound="TaskFacts")

Key = Annotated[str, BeforeValidator(str)]  # a language, or a number of shots, which YAML reads as a number
Shots = int | str  # 10x2 stands for two statements for each of ten concepts
Count = int | dict[Key, int]  # one count for all languages, or counts by language, or by number of shots


class ConfigSection(BaseModel):
    """A mapping with fixed keys in a file of task_configs/."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class TaskFacts(ConfigSection):
    """The facts that every file of task_configs/ has."""

    name: str = Field(description="The task's name in recipes.")
    summary: str = Field(description="What an example is, in one sentence.")
    source_language: str = Field(description="The language of the large training set.")
    target_languages: tuple[str, ...] = Field(description="The other languages, which models are evaluated on.")
    auxiliary_languages: tuple[str, ...] = Field(
        description="The languages that XVL-MAML trains on unless a recipe says otherwise."
    )
    main_metric: str = Field(description="The name of the metric in tables.")
    licence: str = Field(description="The licence of the data.")
    citation: str = Field(description="The publication of the task.")
    trainer_defaults: dict[str, dict[str, Any]] = Field(
        {}, description="Settings by trainer; those of a recipe take precedence."
    )

    def class_attributes(self) -> dict[str, Any]:
        """Return the facts as attributes of the task's class.

        Returns:
            Values by the name of the attribute.
        """
        return {
            "name": self.name,
            "summary": self.summary,
            "licence": self.licence,
            "citation": self.citation,
            "source_language": self.source_language,
            "languages": (self.source_language, *self.target_languages),
            "default_auxiliary_languages": self.auxiliary_languages,
            "main_metric": self.main_metric,
            "trainer_defaults": self.trainer_defaults,
        }


class GeneratedTaskConfig(TaskFacts):
    """The facts about a task whose examples are generated."""

    splits: dict[str, int] = Field(description="The number of examples in each language, by split.")

    def class_attributes(self) -> dict[str, Any]:
        """Return the facts as attributes of the task's class, with the splits and their sizes."""
        return super().class_attributes() | {"splits": tuple(self.splits), "sizes": self.splits}


class SplitSource(ConfigSection):
    """The files with examples of a split, one for each language and number of shots.

    `{language}` and `{shots}` in the name of a file or a store are replaced by the language and the number of shots.
    """

    languages: tuple[str, ...] = Field(description="The languages that there is a file for.")
    file: tuple[str, ...] = Field(min_length=1, description="Paths below datasets/; the first one that exists is read.")
    kind: str = Field(description="The format: the name of a reader of iglue_plugins.data.annotations.")
    store: str = Field(description="The region store of the images.")
    shots: tuple[Shots, ...] = Field((), description="The numbers of shots that there is a file for.")
    without: tuple[str, ...] = Field((), description="Files below datasets/ whose examples are left out, by their id.")
    origin: str = Field(description="A key of `origins`, which says where the files come from.")
    examples: Count | None = Field(
        None, description="The number of labelled examples; null if the file has not been counted."
    )
    unlabelled: Count = Field(0, description="The number of rows that are left out, since they have no valid label.")

    def count(self, which: Literal["examples", "unlabelled"], language: str, shots: Shots | None) -> int | None:
        """Return a published count of a file.

        Args:
            which: The count to return.
            language: The language of the file.
            shots: The number of shots of the file; None for a split without shots.

        Returns:
            The number of rows, or None if the file has not been counted.
        """
        count = getattr(self, which)
        return count.get(str(shots or language)) if isinstance(count, Mapping) else count


class AnswerVocabulary(ConfigSection):
    """The vocabulary of a task whose labels are read from a file."""

    file: tuple[str, ...] = Field(description="Paths below datasets/; the first one that exists is read.")
    count: int = Field(description="The number of answers.")
    origin: str = Field(description="A key of `origins`, which says where the file comes from.")


class HubCopyConfig(ConfigSection):
    """A copy of the test sets on a model hub."""

    repository: str = Field(description="The name of the repository.")
    revision: str = Field(description="The pinned commit.")
    languages: tuple[str, ...] = Field(description="The languages whose test sets are in the copy.")


class IGLUEConfig(TaskFacts):
    """The facts about an IGLUE task, whose examples are read from files."""

    features: dict[str, str] = Field(
        {}, description="Addresses of the region features that IGLUE published, by the name of a store, with * and ?."
    )
    labels: tuple[str, ...] = Field((), description="The labels, in the order of the model's outputs (VOLTA's).")
    answers: AnswerVocabulary | None = Field(
        None, description="The file with the labels, for a task that has no `labels`."
    )
    max_text_length: int = Field(description="The number of tokens to which texts are truncated.")
    max_boxes: int = Field(description="The number of regions kept of an image.")
    global_region_takes_a_box: bool = Field(description="Whether a model's global region counts among `max_boxes`.")
    volta_task: str = Field(description="The task's key in VOLTA's task files.")
    auxiliary: tuple[Literal["machine_translated", "few_shot"], ...] = Field(
        description="The kinds of training data in auxiliary languages, the default first."
    )
    auxiliary_shots: Shots = Field(
        description="The number of shots of `few_shot` data, unless a recipe says otherwise."
    )
    few_shot_validation: str | None = Field(
        None,
        description="The split, in the language that is fine-tuned on, that chooses the best weights of few-shot "
        "fine-tuning; null: dev, in the source language.",
    )
    hub: HubCopyConfig = Field(description="The copy of the test sets on a model hub.")
    origins: dict[str, str] = Field(description="Where files come from, by a key that the sources name.")
    splits: dict[str, tuple[SplitSource, ...]] = Field(
        description="The sources of each split; of several with a language, the first one with a file is read."
    )

    def class_attributes(self) -> dict[str, Any]:
        """Return the facts as attributes of the task's class, with the splits, the labels and the limits of inputs."""
        return (
            super().class_attributes()
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
        """List the numbers of shots that a split has.

        Args:
            split: The name of the split.
            language: The language; None lists those of all languages.

        Returns:
            The numbers of shots; none for a split without shots.
        """
        return tuple(
            dict.fromkeys(
                shots
                for source in self.splits[split]
                if language is None or language in source.languages
                for shots in source.shots
            )
        )

    def split_languages(self, split: str) -> tuple[str, ...]:
        """List the languages that a split has.

        Args:
            split: The name of the split.

        Returns:
            The language codes, in the task's order.
        """
        available = {language for source in self.splits[split] for language in source.languages}
        return tuple(language for language in (self.source_language, *self.target_languages) if language in available)


def load_task_config(name: str, kind: type[F]) -> F:
    """Read and check task_configs/<name>.yaml.

    Args:
        name: The task's name.
        kind: The model of the file.

    Returns:
        The facts about the task.

    Raises:
        UserError: The file is missing, is not valid YAML, or has a missing, unknown or invalid key.
    """
    path = next((folder / f"{name}.yaml" for folder in FOLDERS if (folder / f"{name}.yaml").is_file()), None)
    if path is None:
        raise UserError(f"task_configs/{name}.yaml: no such file; it holds the facts about task {name}")
    try:
        return kind.model_validate(load_yaml(path.read_text(encoding="utf-8")))
    except (yaml.YAMLError, ValidationError) as error:
        raise UserError(f"{path}: {' '.join(str(error).split())}") from error


def with_task_config(name: str, kind: type[TaskFacts] = GeneratedTaskConfig) -> Callable[[T], T]:
    """Make a class decorator that gives a task the facts of its file as attributes.

    Args:
        name: The task's name.
        kind: The model of the file.

    Returns:
        A decorator that returns the class.

    Raises:
        UserError: As `load_task_config`.
    """
    attributes = load_task_config(name, kind).class_attributes()

    def decorate(cls: T) -> T:
        for attribute, value in attributes.items():
            setattr(cls, attribute, value)
        return cls

    return decorate
