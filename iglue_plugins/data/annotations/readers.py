"""A reader for each kind of annotation file."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from iglue_plugins.data.annotations.entries import Entry, image_name, json_content, json_lines
from iglue_plugins.data.unpickling import safe_load_file
from iglue_plugins.utils.errors import UserError

UNLABELLED = "-"  # SNLI's annotators did not agree


class Example(NamedTuple):
    """A row before it has a store and a language. label: '-' where there is none."""

    id: str
    images: tuple[str, ...]
    text: str
    label: str
    caption: str | None = None


Reader = Callable[[Path, Sequence[str]], Iterator[Example]]  # a file and the task's labels -> its examples


def xvnli(path: Path, labels: Sequence[str]) -> Iterator[Example]:
    """XVNLI's and SNLI-VE's JSON lines: a hypothesis about an image; the premise is a caption of it."""
    words = (*labels, UNLABELLED)
    for entry in json_lines(path):
        yield Example(
            entry.text("pairID"),
            (image_name(entry.identifier("Flikr30kID")),),
            entry.text("sentence2"),
            entry.word("gold_label", words),
            entry.text("sentence1"),
        )


def marvl(path: Path, labels: Sequence[str]) -> Iterator[Example]:
    """MaRVL's JSON lines: images as '39-0.jpg', or with the concept's folder in few-shot files."""
    for entry in json_lines(path):
        images = image_name(entry.text("left_img")), image_name(entry.text("right_img"))
        yield Example(entry.text("id"), images, entry.text("caption"), truth(entry))


def nlvr2(path: Path, labels: Sequence[str]) -> Iterator[Example]:
    """NLVR2's JSON lines: the images of 'dev-850-0-1' are 'dev-850-0-img0' and 'dev-850-0-img1'."""
    for entry in json_lines(path):
        identifier = entry.text("identifier")
        pair = identifier.rpartition("-")[0]
        yield Example(identifier, (f"{pair}-img0", f"{pair}-img1"), entry.text("sentence"), truth(entry))


def truth(entry: Entry) -> str:
    """A label that is a boolean in some files and its name in others."""
    label = str(entry.value("label")).capitalize()
    if label not in ("True", "False"):
        raise entry.problem(f"found label {entry.value('label')!r}", "expected true or false")
    return label


def captions(path: Path, labels: Sequence[str]) -> Iterator[Example]:
    """Flickr30k's and xFlickr&Co's JSON lines: an example for each of an image's sentences."""
    for entry in json_lines(path):
        yield from _sentences(entry, labels[0])


def first_captions(path: Path, labels: Sequence[str]) -> Iterator[Example]:
    """Flickr30k's machine-translated lines, in which only the first of an image's sentences is translated."""
    for entry in json_lines(path):
        yield next(_sentences(entry, labels[0]))


def _sentences(entry: Entry, label: str) -> Iterator[Example]:
    image, sentences = image_name(entry.text("img_path")), entry.value("sentences")
    if not isinstance(sentences, list) or not sentences or not all(isinstance(text, str) for text in sentences):
        raise entry.problem(f"found sentences {sentences!r}", "expected a list of texts")
    for number, text in enumerate(sentences):
        yield Example(f"{image}#{number}", (image,), text, label)


def gqa(path: Path, labels: Sequence[str]) -> Iterator[Example]:
    """GQA's and xGQA's questions, in any of three forms; the caption is the question with its English answer.

    A JSON object by question id (GQA, xGQA), a JSON list with the answer in words (LXMERT), or a pickled list with the
    answer's place among the labels (VOLTA).
    """
    content = safe_load_file(path) if path.suffix == ".pkl" else json_content(path)
    if isinstance(content, dict):
        questions = _questions_by_id(path, content)
    elif isinstance(content, list):
        questions = _questions_listed(path, content, labels)
    else:
        raise UserError(f"{path}: found {type(content).__name__}, expected questions by id or a list of them")
    for id_, image, text, answer in questions:
        yield Example(id_, (image_name(image),), text, answer, f"{text} {answer}")


Question = tuple[str, str, str, str]  # id, image, text, answer


def _questions_by_id(path: Path, content: dict[str, Any]) -> Iterator[Question]:
    for id_, values in content.items():
        entry = Entry(path, f"question {id_}", values)
        yield id_, entry.identifier("imageId"), entry.text("question"), entry.text("answer")


def _questions_listed(path: Path, content: list[Any], labels: Sequence[str]) -> Iterator[Question]:
    for number, values in enumerate(content, 1):
        entry = Entry(path, f"entry {number}", values)
        id_ = entry.identifier("question_id")
        if "sent" in entry.values:
            yield id_, entry.identifier("img_id"), entry.text("sent"), _best(entry, entry.value("label"))
        else:
            scores = _scores_by_answer(entry, labels)
            yield id_, entry.identifier("image_id"), entry.text("question"), _best(entry, scores)


def _scores_by_answer(entry: Entry, labels: Sequence[str]) -> dict[str, float]:
    places, scores = entry.value("labels"), entry.value("scores")
    if (
        not isinstance(places, list)
        or not isinstance(scores, list)
        or len(places) != len(scores)
        or not all(isinstance(place, int) and 0 <= place < len(labels) for place in places)
    ):
        raise entry.problem(
            f"found labels {places!r} with scores {scores!r}",
            f"expected a score for each, and labels from 0 to {len(labels) - 1}",
        )
    return {labels[place]: score for place, score in zip(places, scores)}


def _best(entry: Entry, scores: Any) -> str:
    if not isinstance(scores, dict) or not all(isinstance(score, int | float) for score in scores.values()):
        raise entry.problem(f"found label {scores!r}", "expected answers with their scores")
    return max(scores, key=scores.get, default=UNLABELLED)


def read_answers(path: Path) -> tuple[str, ...]:
    """The answer vocabulary in its order: a list of answers, or their places by answer; JSON or a pickle.

    Raises:
        UserError: the file is neither, or an answer is not text or is there twice.
    """
    content = safe_load_file(path) if path.suffix == ".pkl" else json_content(path)
    if isinstance(content, dict):
        places = {place for place in content.values() if isinstance(place, int)}
        content = sorted(content, key=content.get) if places == set(range(len(content))) else content
    if not isinstance(content, list) or not all(isinstance(answer, str) for answer in content):
        raise UserError(
            f"{path}: found {type(content).__name__}, expected a list of answers, or their places by answer"
        )
    if len(set(content)) < len(content):
        raise UserError(f"{path}: found {len(content) - len(set(content))} answers twice, expected each once")
    return tuple(content)


READERS: dict[str, Reader] = {
    reader.__name__: reader for reader in (xvnli, marvl, nlvr2, captions, first_captions, gqa)
}
