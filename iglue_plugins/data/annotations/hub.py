"""Copies of the test sets on a model hub: a split for each language, with the images inside."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
from datasets import Dataset, Image, load_dataset
from PIL import Image as Pictures

from iglue_plugins.data.annotations.caching import (
    Annotations,
    Counts,
    as_table,
    content_digest,
    counted,
)
from iglue_plugins.data.annotations.entries import Entry, image_name
from iglue_plugins.data.annotations.readers import UNLABELLED, Example, truth
from iglue_plugins.utils.errors import UserError

COCO_IDS_END = 1_000_000  # COCO's image ids are below 600,000; those of Flickr30k's test set above 1,900,000


class Layout(NamedTuple):
    """How a copy's rows become examples: the columns that are read, those of the images, and the reading."""

    columns: tuple[str, ...]
    image_columns: tuple[str, ...]
    example: Callable[[Entry, int, Sequence[str]], Example]


def _xvnli(row: Entry, number: int, labels: Sequence[str]) -> Example:
    return Example(
        row.text("pair_id"),
        (image_name(row.identifier("flikr30k_id")),),
        row.text("hypothesis"),
        row.word("label", (*labels, UNLABELLED)),
        row.text("caption"),
    )


def _xgqa(row: Entry, number: int, labels: Sequence[str]) -> Example:
    text, answer = row.text("question"), row.text("answer")
    return Example(str(number), (image_name(row.identifier("image_id")),), text, answer, f"{text} {answer}")


def _marvl(row: Entry, number: int, labels: Sequence[str]) -> Example:
    images = image_name(row.identifier("left_img_id")), image_name(row.identifier("right_img_id"))
    return Example(row.text("id"), images, row.text("hypothesis"), truth(row))


def _xflickrco(row: Entry, number: int, labels: Sequence[str]) -> Example:
    image = image_name(row.identifier("id"))
    if image.isdigit() and int(image) < COCO_IDS_END:
        image = f"COCO_val2014_{int(image):012d}"
    return Example(f"{image}#0", (image,), row.text("sentences"), labels[0])


LAYOUTS = {
    "xvnli": Layout(("label", "caption", "hypothesis", "pair_id", "flikr30k_id"), ("image",), _xvnli),
    "xgqa": Layout(("question", "answer", "image_id"), ("image",), _xgqa),
    "marvl": Layout(("id", "hypothesis", "label", "left_img_id", "right_img_id"), ("left_img", "right_img"), _marvl),
    "xflickrco": Layout(("sentences", "id"), ("image",), _xflickrco),
}


class HubCopy:
    """A copy of a task's test sets, at a revision of a hub's repository or in a local folder laid out like it."""

    def __init__(self, task: str, repository: str, revision: str | None, labels: Sequence[str]) -> None:
        """revision: None for a local folder. labels: the task's labels."""
        self.repository = repository
        self.revision = revision
        self._labels = tuple(labels)
        self._layout = LAYOUTS[task]
        self._split = cache(self._load)
        self._places = cache(self._find_pictures)

    def __str__(self) -> str:
        return f"{self.repository}@{self.revision}" if self.revision else self.repository

    def read(self, language: str, store: str, keep_unknown: bool = False) -> Annotations:
        """The test set in a language, its images left undecoded; the arguments are those of `read_annotations`.

        Raises:
            UserError: there is no such copy, or it lacks the language, a column, or a value.
        """
        counts = Counts()
        examples = counted(self._examples(language), counts, None if keep_unknown else frozenset(self._labels))
        tables = list(as_table(examples, language, store))
        if not tables:
            raise UserError(f"{self}: split '{language}': found no examples, expected at least one")
        return Annotations(Dataset(pa.concat_tables(tables)), counts)

    def picture(self, language: str, name: str) -> Pictures.Image:
        """An image of the test set in a language, decoded.

        Raises:
            UserError: as `read`, or the image is none of the test set's.
        """
        if name not in (places := self._places(language)):
            raise UserError(
                f"{self}: found no image '{name}' in split '{language}', expected one of its {len(places)} images"
            )
        number, column = places[name]
        return Image().decode_example(self._split(language)[number][column])

    def fingerprint(self) -> dict[str, str]:
        """What determines the content: the revision, or the digests of a local folder's files."""
        if self.revision is not None:
            return {self.repository: self.revision}
        return {path.name: content_digest(path) for path in sorted(Path(self.repository).glob("data/*.parquet"))}

    def _examples(self, language: str) -> Iterator[Example]:
        for number, values in enumerate(self._split(language).select_columns(list(self._layout.columns))):
            row = Entry(f"{self}: split '{language}'", f"row {number}", values)
            yield self._layout.example(row, number, self._labels)

    def _find_pictures(self, language: str) -> dict[str, tuple[int, str]]:
        """The row and column of each image, by name."""
        return {
            name: (number, column)
            for number, example in enumerate(self._examples(language))
            for name, column in zip(example.images, self._layout.image_columns)
        }

    def _load(self, language: str) -> Dataset:
        try:
            split = load_dataset(
                self.repository,
                data_files={language: f"data/{language}-*"},
                split=language,
                revision=self.revision,
                verification_mode="no_checks",
            )  # what the card says of all splits does not hold for one
        except Exception as error:  # a hub's client raises almost anything
            reason = " ".join(str(error).split()) or type(error).__name__
            raise UserError(
                f"{self}: split '{language}' cannot be loaded ({reason}), expected a repository of data "
                "sets that can be reached, or a folder with data/<language>-*.parquet"
            ) from error
        lacking = [name for name in (*self._layout.columns, *self._layout.image_columns) if name not in split.features]
        if lacking:
            raise UserError(
                f"{self}: split '{language}': found columns {', '.join(split.column_names)}, expected also "
                f"{', '.join(lacking)}"
            )
        return split
