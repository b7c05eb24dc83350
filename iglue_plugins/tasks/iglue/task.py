"""The base class of the IGLUE tasks at full scale, whose examples and regions are read from files."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

from datasets import Dataset
from PIL import Image

from iglue_plugins.data.annotations.caching import VERSION, content_digest
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

    def picture(self, image_id: str) -> Image.Image:
        """Return an image of the test set from the copy on the model hub.

        Args:
            image_id: The image, as `store/name`.

        Returns:
            The decoded image.

        Raises:
            UserError: The settings do not ask for the copy, or it does not have the image.
        """
        if self.hub is None:
            raise UserError(f"task {self.name} has no pictures, only region features; set task.hub for pictures")
        store, _, name = image_id.rpartition("/")
        for source in self.config.splits["test"]:
            for language in source.languages:
                if language in self.config.hub.languages and source.store.format(language=language) == store:
                    return self.hub.picture(language, name)
        raise UserError(f"image '{image_id}' is not in the test set, and {self.hub} has pictures of the test set only")

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
        self._check_source(split, source, language, count)
        return self._read(source, language, None if count is None else str(count))

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

    def _check_source(self, split: str, source: str, language: str, shots: Shots | None) -> None:
        """Check that a split has a language and a number of shots.

        Args:
            split: The split that was asked for, for errors.
            source: The split of `config` that it refers to.
            language: The code of the language.
            shots: The number of shots.

        Raises:
            UserError: The split does not have them.
        """
        place, languages = f"task {self.name}: split '{split}'", self.config.split_languages(source)
        if language not in languages:
            raise UserError(f"{place} has no language '{language}'{did_you_mean(language, languages)}")
        choices = [str(choice) for choice in self.config.shots(source, language)]
        if (choices or shots is not None) and str(shots) not in choices:
            expected = f"one of {', '.join(choices)}" if choices else "none"
            raise UserError(f"{place} in '{language}': found {shots or 'no'} shots, expected {expected}")

    # Fingerprints

    def fingerprint(self) -> str:
        """Hash the data for training: every annotation file that exists, except those of test sets, and region stores.

        Files count by their name in `config` and their content, so the folder that they lie in does not matter.

        Returns:
            SHA-256 as 64 hexadecimal digits.
        """
        content = {
            "reader": VERSION,
            "labels": self.config.labels,
            "reading": [self.max_text_length, self.max_boxes, self.global_region_takes_a_box],
            "splits": {
                split: [
                    source.model_dump(exclude={"origin", "examples", "unlabelled"})
                    for source in self.config.splits[split]
                ]
                for split in self._training_splits
            },
            "files": self.file_digests(),
            "regions": self._store_fingerprints(
                source.store.format(language=language)
                for split in self._training_splits
                for source in self.config.splits[split]
                for language in source.languages
            ),
        }
        return _content_hash(content)

    def evaluation_fingerprint(self, split: str, language: str) -> str:
        """Hash the data behind the scores on a split in a language.

        Args:
            split: One of `splits`.
            language: One of `languages`.

        Returns:
            SHA-256 as 64 hexadecimal digits; for split "auxiliary" that of the training data.
        """
        if split not in self.config.splits:
            return self.fingerprint()
        files: list[Path] = []
        if source_and_path := self.find_source(split, language, None):
            source, path = source_and_path
            files = [path, *(self.datasets_folder / name for name in source.without)]
        content = {
            "reader": VERSION,
            "labels": self.config.labels,
            "files": [content_digest(file) for file in files if file.is_file()],
            "regions": self._store_fingerprints(
                source.store.format(language=language) for source in self._sources(split, language, None)
            ),
            "hub": self.hub and self.hub.fingerprint(),
        }
        return _content_hash(content)

    def file_digests(self) -> dict[str, str]:
        """Hash the content of every file that training may read and that exists.

        Returns:
            Digests by the name of the file below datasets/.
        """
        return {
            path.relative_to(self.datasets_folder).as_posix(): content_digest(path)
            for path in sorted(set(self._training_files()))
        }

    def _training_files(self) -> Iterator[Path]:
        for split in self._training_splits:
            for language in self.config.split_languages(split):
                for shots in self.config.shots(split, language) or (None,):
                    if source_and_path := self.find_source(split, language, None if shots is None else str(shots)):
                        yield source_and_path[1]

    @property
    def _training_splits(self) -> list[str]:
        return [split for split in self.config.splits if not split.startswith("test")]

    def _store_fingerprints(self, names: Iterable[str]) -> dict[str, str]:
        """Return the fingerprints of the region stores that exist, by name."""
        return {
            name: read_metadata(self.regions.folder / name).fingerprint
            for name in sorted(set(names))
            if (self.regions.folder / name / METADATA_FILE).is_file()
        }


def _content_hash(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
