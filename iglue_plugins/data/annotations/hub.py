"""Copies of IGLUE's test sets on the Hugging Face hub: a split for each language, with the images inside."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
from datasets import Dataset, Image, load_dataset
from PIL import Image as PillowImage

from iglue_plugins.data.annotations.caching import Annotations, Counts, content_digest, select_labelled, to_tables
from iglue_plugins.data.annotations.entries import Entry, image_name
from iglue_plugins.data.annotations.readers import UNLABELLED, Example, boolean_label
from iglue_plugins.data.pictures.reading import decode_picture
from iglue_plugins.utils.errors import UserError

COCO_IDS_END = 1_000_000  # image ids of COCO are below 600,000, those of Flickr30k's test set above 1,900,000


class HubLayout(NamedTuple):
    """Says how the rows of a copy become examples.

    Attributes:
        columns: The columns that are read.
        image_columns: The columns of the images, in the order of an example's images.
        make_example: Makes an example from a row, its number and the task's labels.
    """

    columns: tuple[str, ...]
    image_columns: tuple[str, ...]
    make_example: Callable[[Entry, int, Sequence[str]], Example]


def _xvnli(row: Entry, number: int, labels: Sequence[str]) -> Example:
    return Example(
        row.text("pair_id"),
        (image_name(row.identifier("flikr30k_id")),),
        row.text("hypothesis"),
        row.choice("label", (*labels, UNLABELLED)),
        row.text("caption"),
    )


def _xgqa(row: Entry, number: int, labels: Sequence[str]) -> Example:
    text, answer = row.text("question"), row.text("answer")
    return Example(str(number), (image_name(row.identifier("image_id")),), text, answer, f"{text} {answer}")


def _marvl(row: Entry, number: int, labels: Sequence[str]) -> Example:
    images = image_name(row.identifier("left_img_id")), image_name(row.identifier("right_img_id"))
    return Example(row.text("id"), images, row.text("hypothesis"), boolean_label(row))


def _xflickrco(row: Entry, number: int, labels: Sequence[str]) -> Example:
    image = image_name(row.identifier("id"))
    if image.isdigit() and int(image) < COCO_IDS_END:
        image = f"COCO_val2014_{int(image):012d}"
    return Example(f"{image}#0", (image,), row.text("sentences"), labels[0])


LAYOUTS = {
    "xvnli": HubLayout(("label", "caption", "hypothesis", "pair_id", "flikr30k_id"), ("image",), _xvnli),
    "xgqa": HubLayout(("question", "answer", "image_id"), ("image",), _xgqa),
    "marvl": HubLayout(("id", "hypothesis", "label", "left_img_id", "right_img_id"), ("left_img", "right_img"), _marvl),
    "xflickrco": HubLayout(("sentences", "id"), ("image",), _xflickrco),
}


class HubCopy:
    """Reads a copy of a task's test sets, from a repository of a hub or a local folder with the same files.

    Args:
        task: The task, a name in LAYOUTS.
        repository: The name of the repository, or the local folder.
        revision: The revision of the repository; None for a local folder.
        labels: The task's labels.

    Attributes:
        repository: As the argument.
        revision: As the argument.
    """

    def __init__(self, task: str, repository: str, revision: str | None, labels: Sequence[str]) -> None:
        self.repository = repository
        self.revision = revision
        self._labels = tuple(labels)
        self._layout = LAYOUTS[task]
        self._split = cache(self._load)
        self._picture_places = cache(self._locate_pictures)

    def __str__(self) -> str:
        return f"{self.repository}@{self.revision}" if self.revision else self.repository

    def read(self, language: str, store: str, keep_unknown: bool = False) -> Annotations:
        """Reads the test set in a language; its images are not decoded.

        Args:
            language: The language.
            store: The region store of the images.
            keep_unknown: Whether rows without one of the task's labels are kept; by default they are left out and
                counted.

        Raises:
            UserError: There is no such copy, or it lacks the language, a column or examples, or a row has a wrong
                value.
        """
        counts = Counts()
        labels = None if keep_unknown else frozenset(self._labels)
        examples = select_labelled(self._examples(language), counts, labels)
        tables = list(to_tables(examples, language, store))
        if not tables:
            kind = "examples with a label" if counts.unlabelled else "examples"
            raise UserError(f"{self}: split '{language}': found no {kind}, expected at least one; use a whole copy")
        return Annotations(Dataset(pa.concat_tables(tables)), counts)

    def picture(self, language: str, name: str, least_side: int | None = None) -> PillowImage.Image:
        """Decodes an image of the test set in a language.

        Args:
            language: The language.
            name: The image's name without the store's prefix.
            least_side: The number of pixels that the shorter side is needed with; see `read_picture`.

        Raises:
            UserError: The test set cannot be read (see `read`), or has no such image.
        """
        if name not in (places := self._picture_places(language)):
            raise UserError(f"{self}: split '{language}' has no image '{name}'; name one of its {len(places)} images")
        number, column = places[name]
        stored = self._split(language)[number][column]
        content = stored.get("bytes") if isinstance(stored, dict) else None
        if not isinstance(content, bytes):
            raise UserError(f"{self}: split '{language}': image '{name}' is not in the copy; use a whole copy")
        return decode_picture(content, f"{self}: split '{language}': image '{name}'", least_side)

    def has_picture(self, language: str, name: str) -> bool:
        """Tells whether the test set in a language has an image.

        Args:
            language: The language.
            name: The image's name without the store's prefix.

        Raises:
            UserError: The test set cannot be read (see `read`).
        """
        return name in self._picture_places(language)

    def fingerprint(self) -> dict[str, str]:
        """Returns what determines the content: the repository's revision, or the digests of a local folder's files.

        Raises:
            UserError: A file cannot be read.
        """
        if self.revision is not None:
            return {self.repository: self.revision}
        return {path.name: content_digest(path) for path in sorted(Path(self.repository).glob("data/*.parquet"))}

    def _examples(self, language: str) -> Iterator[Example]:
        for number, values in enumerate(self._split(language).select_columns(list(self._layout.columns))):
            row = Entry(f"{self}: split '{language}'", f"row {number}", values)
            yield self._layout.make_example(row, number, self._labels)

    def _locate_pictures(self, language: str) -> dict[str, tuple[int, str]]:
        """Returns the row and the column of each image, by name."""
        return {
            name: (number, column)
            for number, example in enumerate(self._examples(language))
            for name, column in zip(example.images, self._layout.image_columns, strict=True)
        }

    def _load(self, language: str) -> Dataset:
        try:
            split = load_dataset(
                self.repository,
                data_files={language: f"data/{language}-*"},
                split=language,
                revision=self.revision,
                verification_mode="no_checks",  # the card describes all splits, of which only one is loaded
            )
        except Exception as error:  # the hub's client raises almost any error
            reason = " ".join(str(error).split()) or type(error).__name__
            raise UserError(
                f"{self}: split '{language}' cannot be loaded ({reason}); name a dataset repository that can be "
                "reached, or a folder with data/<language>-*.parquet"
            ) from error
        missing = [name for name in (*self._layout.columns, *self._layout.image_columns) if name not in split.features]
        if missing:
            raise UserError(
                f"{self}: split '{language}': the columns {', '.join(missing)} are missing beside "
                f"{', '.join(split.column_names)}; use the copy that the task names"
            )
        for column in self._layout.image_columns:
            split = split.cast_column(column, Image(decode=False))  # pictures are decoded when they are asked for
        return split


class HubPictures:
    """The pictures of a task's test sets, by ids such as `store/name`.

    Args:
        hub: The copy of the test sets.
        languages: By store, the languages whose test set has images of it.
    """

    def __init__(self, hub: HubCopy, languages: Mapping[str, Sequence[str]]) -> None:
        self._hub = hub
        self._languages = languages

    def has(self, image_id: str) -> bool:
        """Tells whether a test set has an image; see `PictureSource.has`."""
        return self._language_of(image_id) is not None

    def picture(self, image_id: str, least_side: int | None = None) -> PillowImage.Image:
        """Decodes an image; see `PictureSource.picture`."""
        language = self._language_of(image_id)
        if language is None:
            raise UserError(
                f"image '{image_id}' is not in the test set, and {self._hub} has pictures of the test set only"
            )
        return self._hub.picture(language, image_id.rpartition("/")[2], least_side)

    def _language_of(self, image_id: str) -> str | None:
        store, _, name = image_id.rpartition("/")
        languages = self._languages.get(store, ())
        return next((language for language in languages if self._hub.has_picture(language, name)), None)
