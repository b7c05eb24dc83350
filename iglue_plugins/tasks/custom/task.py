"""The base class of tasks on a user's own data."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from functools import cache, cached_property
from typing import Any, ClassVar

import pyarrow.compute as pc
from datasets import Dataset
from typing_extensions import override

from iglue_plugins.data.annotations.readers import read_answers
from iglue_plugins.data.image_kind import ImageKind
from iglue_plugins.data.pictures.digests import pictures_digest
from iglue_plugins.data.pictures.folder import PictureFolder
from iglue_plugins.data.pictures.source import PictureSource
from iglue_plugins.data.stores.format import METADATA_FILE, read_metadata
from iglue_plugins.data.stores.mapped_regions import MappedRegions
from iglue_plugins.tasks.base import Task
from iglue_plugins.tasks.custom.builtin import CustomSpec, spec_facts
from iglue_plugins.tasks.custom.facts import AUXILIARY, PURPOSES
from iglue_plugins.tasks.custom.files import read_data
from iglue_plugins.tasks.custom.rows import RowReader
from iglue_plugins.tasks.custom.settings import CustomSettings
from iglue_plugins.tasks.custom.table import VERSION, Rows, row_digests, without_added_columns
from iglue_plugins.utils.errors import UserError
from iglue_plugins.utils.lines import say

FEW_SHOT = "few_shot"


class CustomTask(CustomSpec, Task):
    """A task on a user's own data, which a YAML file beside them describes.

    Args:
        settings: The settings from the recipe.

    Raises:
        UserError: The settings name no data, or the YAML file has problems.

    Attributes:
        settings: The settings from the recipe.
        data: What the YAML file says.
    """

    settings: CustomSettings
    training_splits: ClassVar[dict[str, str]] = {"source": "train", "auxiliary": AUXILIARY, "few_shot": FEW_SHOT}

    def __init__(self, settings: CustomSettings | None = None) -> None:
        super().__init__(settings)
        self.data = read_data(self.settings.data, self.kind, f"task {self.name}")
        for attribute, value in spec_facts(self.data).items():
            setattr(self, attribute, value)
        self.max_text_length = self.data.facts.max_text_length or self.max_text_length
        self.max_boxes = self.data.facts.max_boxes
        self._loaded = cache(self._load)
        if (labels := self._read_labels()) is not None:
            self.labels = labels

    def _read_labels(self) -> tuple[str, ...] | None:
        """Return the labels of the YAML file or of the kind of task; None if the training examples say them."""
        facts = self.data.facts
        if facts.labels_file is None:
            return facts.labels or self.kind.labels
        path = self.data.root / facts.labels_file
        if not path.is_file():
            raise UserError(f"{self.data.path}: labels_file: {path} is no file; name a JSON file with a list of labels")
        return read_answers(path)

    @cached_property
    def rows_of_files(self) -> Rows:
        """The rows of all files, each of which is read when it is needed."""
        labels = self.labels if self.kind.labels is not None else None
        return Rows(self.data.files, RowReader(self.data.facts, self.kind, self.data.languages, labels))

    @override
    def load(self, split: str, language: str, shots: int | str | None = None) -> Dataset:
        """Load the examples of a split in a language.

        Args:
            split: One of `splits`; "auxiliary" is the training data of languages other than the source language.
            language: One of `languages`.
            shots: The number of shots of `few_shot`; None for all of its examples, and for other splits.

        Returns:
            The examples, in the order of the files.

        Raises:
            UserError: There is no such split, language or number of shots, the split has no examples in the language,
                or a file is missing or damaged.
        """
        return without_added_columns(self._loaded(split, language, shots))

    def _load(self, split: str, language: str, shots: int | str | None) -> Dataset:
        rows = self._trainable(split, language, self._select(split, language, shots))
        missing = rows.select_columns("caption").with_format("arrow")[:]["caption"].null_count
        if 0 < missing < len(rows):
            self._say(split, language, f"{missing} of {len(rows)} examples have no caption, so none is used")
        return rows.remove_columns("caption") if missing else rows

    def _trainable(self, split: str, language: str, rows: Dataset) -> Dataset:
        """Return the rows that a split can have; all of them, unless a subclass defines it otherwise."""
        return rows

    def _say(self, split: str, language: str, sentence: str) -> None:
        say(f"iglue: {self.data.path}: {split}/{language}: {sentence}")

    def _select(self, split: str, language: str, shots: int | str | None = None) -> Dataset:
        """Select the rows of a split, of which there is at least one."""
        self.check_split_language(split, language)
        names = self._names_in_rows(split)
        for name in names:
            rows = self.rows_of_files.select(name, language)
            if len(rows):
                if shots is None:
                    return rows
                self._check_shots(name, language, shots, rows)
                return self.rows_of_files.select(name, language, int(shots))
        listed = " or ".join(f"'{name}'" for name in names)
        there = {name: found for (name, found_in), found in self.rows_of_files.counts.items() if found_in == language}
        has = ", ".join(f"{count} of '{name}'" for name, count in there.items()) or "none"
        raise UserError(
            f"{self.data.path}: split '{split}' in '{language}' has no rows: none of the split {listed}; the rows in "
            f"'{language}' are {has}"
        )

    def _names_in_rows(self, split: str) -> tuple[str, ...]:
        """Return the names that a split has in the rows; of several, the first with rows is taken."""
        splits = self.data.facts.splits
        if split == AUXILIARY and splits.auxiliary is None:
            return AUXILIARY, splits.train, splits.few_shot
        return (getattr(splits, split),) if split in PURPOSES else (split,)

    def _check_shots(self, name: str, language: str, shots: int | str, rows: Dataset) -> None:
        place = f"{self.data.path}: split '{name}' in '{language}'"
        if name != self.data.facts.splits.few_shot:
            raise UserError(f"{place} has no numbers of shots, but was asked for {shots}; leave them out")
        choices = sorted(set(rows.select_columns("shots").with_format("arrow")[:]["shots"].to_pylist()))
        if not isinstance(shots, int) or not choices[0] <= shots <= choices[-1]:
            raise UserError(
                f"{place} has rows with {', '.join(map(str, choices))} shots, but was asked for {shots}; ask for a "
                f"whole number from {choices[0]} to {choices[-1]}"
            )

    @override
    def available_splits(self) -> Iterator[tuple[str, str, tuple[int | str | None, ...]]]:
        """List the splits with rows, their languages, and (None,) for all shots, in the order of `splits`.

        Raises:
            UserError: Rows are damaged or have wrong values; the message has a line for each.
        """
        for split in self.splits:
            name = self._names_in_rows(split)[0]
            yield from ((split, lang, (None,)) for lang in self.languages if (name, lang) in self.rows_of_files.counts)

    @override
    def count_table(self) -> list[str]:
        """Return a table of the number of examples by split and language, a line each.

        Raises:
            UserError: Rows are damaged or have wrong values; the message has a line for each.
        """
        counts: dict[str, dict[str, int]] = {}
        for split, language, _ in self.available_splits():
            name = self._names_in_rows(split)[0]
            counts.setdefault(split, {})[language] = self.rows_of_files.counts[name, language]
        rows = [["", *counts]]
        for language in self.languages:
            rows.append([language, *(str(by_language.get(language, "-")) for by_language in counts.values())])
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        return ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]

    @property
    @override
    def image_kinds(self) -> tuple[ImageKind, ...]:
        """What there is of the images: region features, pictures, or both."""
        facts = self.data.facts
        kinds: list[ImageKind] = []
        if facts.regions is not None:
            kinds.append("regions")
        if facts.pictures is not None:
            kinds.append("pixels")
        return tuple(kinds)

    @cached_property
    def regions(self) -> MappedRegions:
        """The store of the images' region features.

        Raises:
            UserError: The data have none, or the store is missing or damaged.
        """
        if self.data.facts.regions is None:
            raise UserError(
                f"task {self.name} has no region features, only pictures; make a store of them and name it in "
                f"{self.data.path} as `regions`, or choose a model that reads pictures"
            )
        return MappedRegions(self.data.root / self.data.facts.regions)

    @cached_property
    def pictures(self) -> PictureSource:
        """The folder of the images' pictures.

        Raises:
            UserError: The data have none.
        """
        if self.data.facts.pictures is None:
            raise UserError(
                f"task {self.name} has no pictures, only region features; name their folder in {self.data.path} as "
                "`pictures`, or choose a model that reads region features"
            )
        return PictureFolder(self.data.root / self.data.facts.pictures)

    @override
    def fingerprint(self, split: str, language: str, shots: int | str | None = None) -> str:
        """Hash the content of examples, and of the region store and the pictures of their images.

        Neither the place of the data nor the fields and files that rows are read from count, but what is read.

        Args:
            split: One of `splits`.
            language: One of `languages`.
            shots: The number of shots of `few_shot`.

        Returns:
            SHA-256 as 64 hexadecimal digits.

        Raises:
            UserError: As `load`.
        """
        rows = self._loaded(split, language, shots)
        content = {
            "reader": VERSION,
            "reading": [self.max_text_length, self.max_boxes],
            "labels": self.labels,
            "rows": hashlib.sha256(row_digests(rows)).hexdigest(),
            **self._image_fingerprints(rows),
        }
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    def _image_fingerprints(self, rows: Dataset) -> dict[str, Any]:
        facts, found = self.data.facts, {}
        if facts.regions is not None and (self.data.root / facts.regions / METADATA_FILE).is_file():
            found["regions"] = read_metadata(self.data.root / facts.regions).fingerprint
        if facts.pictures is not None:
            column = rows.select_columns("image_ids").with_format("arrow")[:]["image_ids"]
            ids = pc.unique(pc.list_flatten(column)).to_pylist()
            found["pictures"] = pictures_digest(self.data.root / facts.pictures, ids)
        return found
