"""The base class of the IGLUE tasks at full scale, whose examples and regions are read from files."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import ClassVar

from datasets import Dataset
from typing_extensions import override

from iglue_plugins.data.annotations.caching import VERSION, content_digest
from iglue_plugins.data.pictures.digests import pictures_digest
from iglue_plugins.data.stores.format import METADATA_FILE, read_metadata
from iglue_plugins.tasks.config import Shots
from iglue_plugins.tasks.iglue.files import IGLUEFiles
from iglue_plugins.tasks.settings import IGLUESettings
from iglue_plugins.tasks.volta import read_volta_task
from iglue_plugins.utils.errors import UserError, did_you_mean


class IGLUETask(IGLUEFiles):
    """A task whose examples and regions are read from files, which its `config` lists.

    Args:
        settings: The settings from the recipe.
    """

    training_splits: ClassVar[dict[str, str]] = {"source": "train", "auxiliary": "auxiliary", "few_shot": "few_shot"}

    def __init__(self, settings: IGLUESettings | None = None) -> None:
        super().__init__(settings)
        self._read = cache(self._read_source)
        if self.settings.volta_tasks is not None:
            volta_task = read_volta_task(self.settings.volta_tasks, self.config.volta_task)
            self.max_text_length, self.max_boxes = volta_task.max_text_length, volta_task.max_boxes
        self.max_boxes = self.settings.max_boxes or self.max_boxes

    def load(self, split: str, language: str, shots: Shots | None = None) -> Dataset:
        """Load the examples of a split in a language.

        What reading a file leaves out is counted on stderr, once.

        Args:
            split: One of `splits`; "auxiliary" is the data that the settings choose.
            language: One of `languages`.
            shots: The number of shots; required for few_shot, and not allowed otherwise.

        Returns:
            The examples, in the order of the file.

        Raises:
            UserError: The task has no such split, language or number of shots, or the file is missing or damaged.
        """
        source, count = self._source_of(split, language, shots)
        return self._read(source, language, count)

    def few_shot_validation(self, language: str, source_language: str) -> tuple[str, str]:
        """Return the split and the language that choose the best weights of few-shot fine-tuning.

        Args:
            language: The language that is fine-tuned on.
            source_language: The source language.

        Returns:
            The split of `config` in `language` if it has one, otherwise dev in the source language.
        """
        split = self.config.few_shot_validation
        return (split, language) if split else super().few_shot_validation(language, source_language)

    def _source_of(self, split: str, language: str, shots: Shots | None) -> tuple[str, str | None]:
        """Return the split of `config` that a split refers to, and the number of shots in it.

        Raises:
            UserError: There is no such split, language or number of shots.
        """
        self.check_split_language(split, language)
        if split != "auxiliary":
            source, count = split, shots
        elif shots is not None:
            raise UserError(
                f"task {self.name}: split 'auxiliary' was asked for {shots} shots; set task.auxiliary_shots instead"
            )
        elif self.settings.auxiliary == "few_shot":
            source, count = "few_shot", self.settings.auxiliary_shots
        else:
            source, count = "dev_translated", None
        place, languages = f"task {self.name}: split '{split}'", self.config.split_languages(source)
        if language not in languages:
            raise UserError(f"{place} has no language '{language}'{did_you_mean(language, languages)}")
        choices = [str(choice) for choice in self.config.shots(source, language)]
        if (choices or count is not None) and str(count) not in choices:
            expected = f"one of {', '.join(choices)}" if choices else "none"
            raise UserError(f"{place} in '{language}': found {count or 'no'} shots, expected {expected}")
        return source, None if count is None else str(count)

    def fingerprint(self, split: str, language: str, shots: Shots | None = None) -> str:
        """Hash the files behind examples, how they are read, and the region stores and pictures of their images.

        Files count by their content, so the folder that they lie in does not matter.

        Args:
            split: One of `splits`.
            language: One of `languages`.
            shots: The number of shots of a few-shot split; None for other splits.

        Returns:
            SHA-256 as 64 hexadecimal digits.

        Raises:
            UserError: The task has no such split, language or number of shots, or a picture cannot be read.
        """
        source_split, count = self._source_of(split, language, shots)
        found = self.find_source(source_split, language, count)
        files = self.files_of(split, language)
        if found:
            files = [found[1], *(self.datasets_folder / name for name in found[0].without), *files]
        hub = self.hub if split == "test" and language in self.config.hub.languages else None
        content = {
            "reader": VERSION,
            "reading": [self.max_text_length, self.max_boxes, self.global_region_takes_a_box],
            "labels": self.config.labels,
            "kind": found and found[0].kind,
            "files": [content_digest(file) for file in files if file.is_file()],
            "regions": {
                name: read_metadata(self.regions.folder / name).fingerprint
                for name in self.stores_of(split, language, shots)
                if (self.regions.folder / name / METADATA_FILE).is_file()
            },
            "hub": hub and hub.fingerprint(),
        }
        if self.settings.pictures is not None and found:
            ids = itertools.chain.from_iterable(self.load(split, language, shots)["image_ids"])
            content["pictures"] = pictures_digest(self.settings.pictures, ids)
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    @override
    def available_splits(self) -> Iterator[tuple[str, str, tuple[Shots | None, ...]]]:
        for split in self.splits:
            if split in self.config.splits:  # "auxiliary" is not one of them, since it refers to another split
                for language in self.config.split_languages(split):
                    yield split, language, self.config.shots(split, language) or (None,)

    @override
    def stores_of(self, split: str, language: str, shots: Shots | None = None) -> list[str]:
        source_split, count = self._source_of(split, language, shots)
        found = self.find_source(source_split, language, count)
        sources = [found[0]] if found else self._sources(source_split, language, count)
        return sorted({source.store.format(language=language) for source in sources})

    def files_of(self, split: str, language: str) -> list[Path]:
        """List the files, besides the annotations, that examples depend on.

        Args:
            split: One of `splits`.
            language: One of `languages`.

        Returns:
            The files, which need not exist; none unless a subclass has some.
        """
        return []
