"""The files of an IGLUE task: annotations in datasets/, region stores, and the copy of the test set on a model hub."""

from __future__ import annotations

import os
from fnmatch import fnmatch
from functools import cached_property
from pathlib import Path

from datasets import Dataset
from typing_extensions import override

from iglue_plugins.data.annotations.caching import Annotations, read_annotations
from iglue_plugins.data.annotations.hub import HubCopy, HubPictures
from iglue_plugins.data.image_kind import ImageKind
from iglue_plugins.data.pictures.folder import PictureFolder
from iglue_plugins.data.pictures.source import PictureSource
from iglue_plugins.data.stores.region_stores import RegionStores
from iglue_plugins.tasks.base import Task
from iglue_plugins.tasks.config import SplitSource
from iglue_plugins.tasks.settings import IGLUE_HOME, IGLUESettings
from iglue_plugins.tasks.spec import IGLUESpec
from iglue_plugins.utils.errors import UserError
from iglue_plugins.utils.lines import say


class IGLUEFiles(IGLUESpec, Task):
    """The base class of the IGLUE tasks, which finds and reads the files that its `config` lists.

    Attributes:
        settings: The settings from the recipe.
    """

    settings: IGLUESettings

    @property
    def data_root(self) -> Path:
        """The folder with IGLUE's data.

        Raises:
            UserError: Neither the settings nor the environment name it.
        """
        root = self.settings.data_root or os.environ.get(IGLUE_HOME)
        if not root:
            raise UserError(
                f"task {self.name}: the folder with IGLUE's data is not known; set task.data_root in the recipe, or "
                f"the environment variable {IGLUE_HOME}"
            )
        return Path(root).expanduser()

    @property
    def datasets_folder(self) -> Path:
        """The folder that IGLUE's repository calls datasets/."""
        below = self.data_root / "datasets"
        return below if below.is_dir() else self.data_root

    @cached_property
    def regions(self) -> RegionStores:
        """The region stores of the task's images."""
        return RegionStores(self.settings.regions or self.data_root / "regions")

    @property
    @override
    def image_kinds(self) -> tuple[ImageKind, ...]:
        return ("regions",) if self.settings.pictures is None else ("regions", "pixels")

    @cached_property
    def pictures(self) -> PictureSource:
        """The pictures in the folder that the settings name, or those of the test set from the copy on the model hub.

        Raises:
            UserError: The settings name neither.
        """
        if self.settings.pictures is not None:
            return PictureFolder(self.settings.pictures)
        if self.hub is None:
            raise UserError(
                f"task {self.name} has no pictures, only region features; set task.pictures to the folder that has "
                "them, or task.hub for those of the test set"
            )
        languages: dict[str, list[str]] = {}
        for source in self.config.splits["test"]:
            for language in source.languages:
                if language in self.config.hub.languages:
                    languages.setdefault(source.store.format(language=language), []).append(language)
        return HubPictures(self.hub, languages)

    @cached_property
    def hub(self) -> HubCopy | None:
        """The copy of the test set that the settings ask for, or None."""
        pinned, chosen = self.config.hub, self.settings.hub
        if chosen is False:
            return None
        if isinstance(chosen, str) and Path(chosen).is_dir():
            return HubCopy(self.name, chosen, None, self.labels)
        return HubCopy(self.name, pinned.repository, pinned.revision if chosen is True else chosen, self.labels)

    def keeps_unknown_labels(self, split: str) -> bool:
        """Return whether a split keeps examples with a label that the task does not have.

        Args:
            split: The name of the split.

        Returns:
            False, unless a subclass defines it otherwise.
        """
        return False

    @override
    def where_to_get(self, store: str) -> str:
        address = next((url for name, url in self.config.features.items() if fnmatch(store, name)), None)
        return f"; IGLUE's features are at {address}" if address else ""

    def find_source(self, split: str, language: str, shots: str | None) -> tuple[SplitSource, Path] | None:
        """Find the file with the examples of a split.

        Args:
            split: The name of a split of `config`.
            language: The code of the language.
            shots: The number of shots; None for any.

        Returns:
            The first source with a file, and the file; None if there is none.
        """
        return next(
            (
                (source, path)
                for source in self._sources(split, language, shots)
                for path in self._paths(source, language, shots)
                if path.is_file()
            ),
            None,
        )

    def _require_source(self, split: str, language: str, shots: str | None) -> tuple[SplitSource, Path]:
        if source_and_path := self.find_source(split, language, shots):
            return source_and_path
        first = self._sources(split, language, shots)[0]
        raise UserError(
            f"{self._paths(first, language, shots)[0]}: no such file; it holds the examples of task {self.name}, split "
            f"'{split}', in '{language}', from {self.config.origins[first.origin]}"
        )

    def _sources(self, split: str, language: str, shots: str | None) -> list[SplitSource]:
        return [
            source
            for source in self.config.splits[split]
            if language in source.languages and (shots is None or shots in map(str, source.shots))
        ]

    def _paths(self, source: SplitSource, language: str, shots: str | None) -> list[Path]:
        return [self.datasets_folder / name.format(language=language, shots=shots) for name in source.file]

    def _read_source(self, split: str, language: str, shots: str | None) -> Dataset:
        """Read the examples of a split of `config`, and report on stderr what differs from the published data."""
        if split == "test" and self.hub is not None and language in self.config.hub.languages:
            source, place = self._sources(split, language, shots)[0], str(self.hub)
            store = source.store.format(language=language)
            annotations = self.hub.read(language, store, keep_unknown=self.keeps_unknown_labels(split))
        else:
            source, path = self._require_source(split, language, shots)
            place = str(path)
            annotations = read_annotations(
                path,
                source.kind,
                language=language,
                store=source.store.format(language=language),
                labels=self.labels,
                keep_unknown=self.keeps_unknown_labels(split),
            )
        examples = self._without(annotations.examples, source)
        if not any(caption is not None for caption in examples[:1]["caption"]):
            examples = examples.remove_columns("caption")
        self._report(place, annotations, len(examples), source.count("examples", language, shots), split)
        return examples

    def _without(self, examples: Dataset, source: SplitSource) -> Dataset:
        """Leave out the examples of the files that the source lists as `without`."""
        if not source.without:
            return examples
        left_out: set[str] = set()
        for name in source.without:
            path = self.datasets_folder / name
            if not path.is_file():
                raise UserError(
                    f"{path}: no such file; it holds questions that are not in the test set of task {self.name}, from "
                    f"{self.config.origins[source.origin]}"
                )
            left_out.update(
                read_annotations(
                    path,
                    source.kind,
                    language=self.source_language,
                    store=source.store,
                    labels=self.labels,
                    keep_unknown=True,
                ).examples["id"][:]
            )
        return examples.select([i for i, id_ in enumerate(examples["id"][:]) if id_ not in left_out])

    def _report(self, place: str, annotations: Annotations, count: int, published: int | None, split: str) -> None:
        """Print a line if the counts of a file are not as published.

        Args:
            place: The file or the copy on the hub.
            annotations: What was read.
            count: The number of examples that are kept.
            published: The published number of examples; None if it is not known.
            split: The name of the split.

        Raises:
            UserError: An id is there more than once, and the split is not for training.
        """
        counts = annotations.counts
        if counts.repeated and split != "train":
            raise UserError(f"{place}: found the id '{counts.first_repeated}' more than once; make the ids unique")
        notes = []
        if counts.unlabelled:
            notes.append(
                f"left out {counts.unlabelled} of {counts.unlabelled + len(annotations.examples)} rows, which have "
                "none of the task's labels"
            )
        if counts.repeated:
            notes.append(
                f"{counts.repeated} rows have the id of an earlier row, the first of them '{counts.first_repeated}'"
            )
        if published not in (None, count):
            notes.append(f"found {count} examples, {published} are published")
        if notes:
            say(f"{place}: {'; '.join(notes)}")
