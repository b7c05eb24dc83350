"""The YAML file that describes a user's own data; this module imports neither PyTorch nor datasets."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from iglue_plugins.recipes.problems import KeyPath, Problems, describe_value, validate
from iglue_plugins.recipes.reading import parse
from iglue_plugins.tasks.custom.kinds import Kind
from iglue_plugins.utils.errors import UserError

FACTS_FILE = "task.yaml"
AUXILIARY = "auxiliary"
PURPOSES = ("train", "dev", "test", "few_shot", AUXILIARY)
MIN_LABELS = 2


def as_list(value: Any) -> Any:
    """Return a text as a tuple of one, a list as a tuple, and other values as they are."""
    return (value,) if isinstance(value, str) else tuple(value) if isinstance(value, list) else value


def as_words(value: Any) -> Any:
    """Return a list with words in the place of numbers and booleans, as rows may write their labels."""
    return tuple(str(item) if isinstance(item, int) else item for item in value) if isinstance(value, list) else value


Names = Annotated[tuple[str, ...], BeforeValidator(as_list)]
Words = Annotated[tuple[str, ...], BeforeValidator(as_words)]


class FactsSection(BaseModel):
    """A mapping with fixed keys in the YAML file of a user's own data."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Columns(FactsSection):
    """The fields of a row, by what they hold."""

    id: str = Field("id", description="Text or a whole number that no other row of the split and language has.")
    images: Names | None = Field(
        None,
        min_length=1,
        description="The field with the image's name; for image_pair the field with a list of two, or two fields. "
        "Default: `image`, for image_pair `images`.",
    )
    text: str = Field("text", description="The hypothesis, question, statement or caption.")
    label: str = Field("label", description="The label; retrieval has none.")
    caption: str | None = Field(
        None,
        description="A text that describes the image, for `pairs: caption`. Default: `caption`, unless another field "
        "of the rows is read from it; rows may lack it then.",
    )
    language: str = Field("language", description="The code of the text's language.")
    split: str = Field("split", description="The name of the split.")
    shots: str = Field("shots", description="For few-shot rows, the smallest number of shots that includes the row.")


class SplitNames(FactsSection):
    """The names of splits in the rows, by purpose."""

    train: str = Field("train", description="Training examples.")
    dev: str = Field("dev", description="The examples that choose the best weights.")
    test: str = Field("test", description="The examples that are scored.")
    few_shot: str = Field("few_shot", description="Training examples with numbers of shots.")
    auxiliary: str | None = Field(
        None,
        description="The training examples of languages other than the source language. Default: a language's "
        "`auxiliary` examples, or where it has none its `train` examples, or else its `few_shot` examples.",
    )
    others: tuple[str, ...] = Field((), description="More splits to score, under their names in the rows.")


class CustomFacts(FactsSection):
    """The facts about a user's own data."""

    root: Path = Field(Path("."), description="The folder with the data, relative to this file.")
    source_language: str = Field("en", description="The language of the large training set.")
    languages: tuple[str, ...] | None = Field(
        None, min_length=1, description="The languages; default: those of the files' names, otherwise of the rows."
    )
    auxiliary_languages: tuple[str, ...] = Field(
        (), description="The languages that XVL-MAML trains on unless a recipe says otherwise."
    )
    files: Names = Field(
        ("*.jsonl",),
        min_length=1,
        description="The files of rows, relative to `root`: patterns with *, and with {language} and {split} where "
        "names of files or folders say what rows do not.",
    )
    columns: Columns = Field(Columns(), description="The fields of the rows.")
    splits: SplitNames = Field(SplitNames(), description="The names of the splits in the rows.")
    labels: Words | None = Field(
        None,
        description="The labels, in the order of the model's outputs. Default: for nli and image_pair those of XVNLI "
        "and MaRVL; for vqa the answers of the training split, the most frequent first.",
    )
    labels_file: Path | None = Field(
        None, description="A JSON file with the labels, relative to `root`, in the place of `labels`."
    )
    aligned: Annotated[str | None, BeforeValidator(lambda value: str(value) if isinstance(value, int) else value)] = (
        Field(
            None,
            description="The label of a text that describes its image, for `pairs: aligned`. Default: `entailment` for "
            "nli and `True` for image_pair.",
        )
    )
    regions: Path | None = Field(
        None, description="The store of region features that `iglue data convert` made, relative to `root`."
    )
    pictures: Path | None = Field(None, description="The folder of pictures, relative to `root`.")
    max_text_length: int | None = Field(
        None, ge=3, description="The number of tokens to which texts are truncated; default: the kind of task's."
    )
    max_boxes: int | None = Field(None, ge=1, description="The number of regions kept of an image; default: all.")
    trainer_defaults: dict[str, dict[str, Any]] = Field(
        {}, description="Settings by trainer; those of a recipe take precedence."
    )

    def column(self, kind: Kind, name: str) -> tuple[str, ...]:
        """Return the fields of a row that hold a part of an example, with the defaults of a kind of task.

        Args:
            kind: The kind of task.
            name: The name of the part, such as "images".

        Returns:
            The names of the fields; none for a part that rows do not have.
        """
        given = getattr(self.columns, name)
        if name == "images":
            return given or (kind.images_column,)
        if name == "label" and not kind.has_labels:
            return ()
        if name == "caption" and given is None:
            taken = {self.columns.text, self.columns.label, *self.column(kind, "images")}
            return () if "caption" in taken else ("caption",)
        return (given,)


def read_facts(path: Path, kind: Kind, owner: str) -> CustomFacts:
    """Read and check the YAML file of a user's own data.

    Args:
        path: The file.
        kind: The kind of task.
        owner: The name of the task, for errors.

    Returns:
        The facts.

    Raises:
        UserError: The file cannot be read or has problems; the message has a line for each, with the path of the key.
    """
    problems = Problems()
    try:
        data = parse(path.read_text(encoding="utf-8-sig"), str(path), problems)
    except OSError as error:
        raise UserError(
            f"{path}: cannot be read ({error.strerror}); write a YAML file that describes the data"
        ) from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: byte {error.object[error.start]:#x} is not UTF-8; save the file as UTF-8") from error
    if not isinstance(data, dict | None):
        raise UserError(f"{path}: found {describe_value(data)}, expected a mapping with keys such as source_language")

    def report(key: KeyPath, text: str) -> None:
        problems.add(str(path), key, text)

    facts = validate(CustomFacts, data or {}, f"the data of {owner}", report)
    if facts is not None:
        for key, text in _contradictions(facts, kind, owner):
            report(key, text)
    problems.raise_if_any()
    assert facts is not None  # facts that are not valid have at least one problem, which was raised
    return facts


def _contradictions(facts: CustomFacts, kind: Kind, owner: str) -> Iterator[tuple[KeyPath, str]]:
    """Yield what does not fit together in the facts, or does not fit the kind of task."""
    if facts.regions is None and facts.pictures is None:
        yield (), "names neither regions nor pictures; set one of them, or both"
    if facts.languages is not None:
        yield from _check_languages(facts, facts.languages)
    columns = facts.columns.images
    if columns is not None and len(columns) not in (1, kind.images):
        yield (
            ("columns", "images"),
            f"found {len(columns)} fields, expected 1{' or 2' * (kind.images == 2)} for {owner}",
        )
    yield from _check_labels(facts, kind, owner)
    splits = facts.splits
    named: dict[str, str] = {}
    for purpose in ("train", "dev", "test", "few_shot"):
        name = getattr(splits, purpose)
        if name in named:
            yield ("splits", purpose), f"'{name}' is the name of {named[name]} too; give each split another name"
        named.setdefault(name, purpose)
    for index, other in enumerate(splits.others):
        if other in (*PURPOSES, *named, splits.auxiliary, *splits.others[:index]):
            yield ("splits", "others", str(index)), f"'{other}' names another split; name each split once"


def _check_languages(facts: CustomFacts, languages: tuple[str, ...]) -> Iterator[tuple[KeyPath, str]]:
    for index, language in enumerate(languages):
        if language in languages[:index]:
            yield ("languages", str(index)), f"'{language}' stands twice; name each language once"
    yield from check_named_languages(facts, languages)


def check_named_languages(facts: CustomFacts, languages: tuple[str, ...]) -> Iterator[tuple[KeyPath, str]]:
    """Yield what is wrong with the languages that the facts name.

    Args:
        facts: The facts.
        languages: The languages that there are.

    Yields:
        The path of a key, and what is wrong with its value.
    """
    listed = ", ".join(languages)
    if facts.source_language not in languages:
        yield ("source_language",), f"found '{facts.source_language}', expected one of the languages {listed}"
    for index, language in enumerate(facts.auxiliary_languages):
        if language not in languages:
            yield ("auxiliary_languages", str(index)), f"found '{language}', expected one of the languages {listed}"


def _check_labels(facts: CustomFacts, kind: Kind, owner: str) -> Iterator[tuple[KeyPath, str]]:
    labels = facts.labels
    given = [key for key in ("labels", "labels_file", "aligned") if getattr(facts, key) is not None]
    if not kind.has_labels:
        yield from (((key,), f"{owner} has no labels; leave the key out") for key in given)
        return
    if labels is not None and facts.labels_file is not None:
        yield ("labels_file",), "labels are listed too; keep one of the two keys"
    if labels is not None and len(labels) < MIN_LABELS:
        yield ("labels",), f"found {describe_value(list(labels))}, expected at least {MIN_LABELS} labels"
    for index, label in enumerate(labels or ()):
        if label in (labels or ())[:index]:
            yield ("labels", str(index)), f"'{label}' stands twice; name each label once"
    known = labels or (kind.labels if facts.labels_file is None else None)
    if facts.aligned is not None and known is not None and facts.aligned not in known:
        yield ("aligned",), f"found '{facts.aligned}', expected one of the labels {', '.join(known)}"
