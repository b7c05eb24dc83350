"""Readers of annotation files: a function for each kind of file, which has the name of the kind."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from iglue_plugins.data.annotations.entries import Entry, image_name, read_json, read_json_lines
from iglue_plugins.data.unpickling import safe_load_file
from iglue_plugins.utils.errors import UserError
from iglue_plugins.utils.text import is_utf8, shown

UNLABELLED = "-"  # the label of SNLI's examples whose annotators did not agree


class Example(NamedTuple):
    """Holds an example of a file, before it has a store and a language.

    Attributes:
        id: The id that the file gives it.
        images: The names of its images.
        text: The hypothesis, question, statement or caption.
        label: The label in words, or UNLABELLED.
        caption: A text that describes the image, or None.
    """

    id: str
    images: tuple[str, ...]
    text: str
    label: str
    caption: str | None = None


Reader = Callable[[Path, Sequence[str]], Iterator[Example]]  # takes a file and the task's labels


def xvnli(path: Path, labels: Sequence[str]) -> Iterator[Example]:
    """Reads JSON lines of XVNLI and SNLI-VE: a hypothesis about an image, and the premise as its caption.

    Args:
        path: The file.
        labels: The task's labels.

    Yields:
        The examples, those without a label included.

    Raises:
        UserError: The file cannot be read, or an entry lacks a key or has a wrong value.
    """
    words = (*labels, UNLABELLED)
    for entry in read_json_lines(path):
        yield Example(
            entry.text("pairID"),
            (image_name(entry.identifier("Flikr30kID")),),
            entry.text("sentence2"),
            entry.choice("gold_label", words),
            entry.text("sentence1"),
        )


def marvl(path: Path, labels: Sequence[str]) -> Iterator[Example]:
    """Reads JSON lines of MaRVL; an image is named '39-0.jpg', in few-shot files with the folder of the concept.

    The arguments and errors are those of `xvnli`.
    """
    for entry in read_json_lines(path):
        images = image_name(entry.text("left_img")), image_name(entry.text("right_img"))
        yield Example(entry.text("id"), images, entry.text("caption"), boolean_label(entry))


def nlvr2(path: Path, labels: Sequence[str]) -> Iterator[Example]:
    """Reads JSON lines of NLVR2; the images of 'dev-850-0-1' are 'dev-850-0-img0' and 'dev-850-0-img1'.

    The arguments and errors are those of `xvnli`.
    """
    for entry in read_json_lines(path):
        identifier = entry.text("identifier")
        pair = identifier.rpartition("-")[0]
        yield Example(identifier, (f"{pair}-img0", f"{pair}-img1"), entry.text("sentence"), boolean_label(entry))


def boolean_label(entry: Entry) -> str:
    """Returns the label of an entry, which is a boolean in some files and text in others, as 'True' or 'False'.

    Args:
        entry: An entry with the key `label`.

    Raises:
        UserError: The entry has no label or another one.
    """
    value = entry.value("label")
    label = str(value).capitalize() if isinstance(value, bool | str) else ""
    if label not in ("True", "False"):
        raise entry.error(f"found label {shown(value)}, expected true or false")
    return label


def captions(path: Path, labels: Sequence[str]) -> Iterator[Example]:
    """Reads JSON lines of Flickr30k and xFlickr&Co; each sentence of an image is an example.

    The arguments and errors are those of `xvnli`.
    """
    for entry in read_json_lines(path):
        yield from _caption_examples(entry, labels[0])


def first_captions(path: Path, labels: Sequence[str]) -> Iterator[Example]:
    """Reads Flickr30k's machine-translated JSON lines; only an image's first sentence is translated and read.

    The arguments and errors are those of `xvnli`.
    """
    for entry in read_json_lines(path):
        yield next(_caption_examples(entry, labels[0]))


def _caption_examples(entry: Entry, label: str) -> Iterator[Example]:
    image, sentences = image_name(entry.text("img_path")), entry.value("sentences")
    texts = sentences if isinstance(sentences, list) else []
    if not texts or not all(isinstance(text, str) and is_utf8(text) for text in texts):
        raise entry.error(f"found sentences {shown(sentences)}, expected a list of texts")
    for number, text in enumerate(texts):
        yield Example(f"{image}#{number}", (image,), text, label)


def gqa(path: Path, labels: Sequence[str]) -> Iterator[Example]:
    """Reads questions of GQA and xGQA; the caption is the question followed by its English answer.

    The file is a JSON object with question ids as keys (GQA, xGQA), a JSON list with answers in words (LXMERT), or a
    pickled list with the places of answers among the labels (VOLTA). The arguments and errors are those of `xvnli`.
    """
    content = safe_load_file(path) if path.suffix == ".pkl" else read_json(path)
    if isinstance(content, dict):
        questions = _questions_by_id(path, content)
    elif isinstance(content, list):
        questions = _questions_in_list(path, content, labels)
    else:
        raise UserError(f"{path}: found {type(content).__name__}, expected questions by id or a list of them")
    for question_id, image, text, answer in questions:
        yield Example(question_id, (image_name(image),), text, answer, f"{text} {answer}")


Question = tuple[str, str, str, str]  # id, image, text, answer


def _questions_by_id(path: Path, content: dict[str, Any]) -> Iterator[Question]:
    for question_id, values in content.items():
        entry = Entry(path, f"question {question_id}", values)
        if not isinstance(question_id, str) or not is_utf8(question_id):
            raise entry.error("has an id that is not text; make the file again with ids in UTF-8")
        yield question_id, entry.identifier("imageId"), entry.text("question"), entry.text("answer")


def _questions_in_list(path: Path, content: list[Any], labels: Sequence[str]) -> Iterator[Question]:
    for number, values in enumerate(content, 1):
        entry = Entry(path, f"entry {number}", values)
        question_id = entry.identifier("question_id")
        if "sent" in entry.values:
            image, text = entry.identifier("img_id"), entry.text("sent")
            yield question_id, image, text, _best_answer(entry, entry.value("label"))
        else:
            scores = _scores_by_answer(entry, labels)
            yield question_id, entry.identifier("image_id"), entry.text("question"), _best_answer(entry, scores)


def _scores_by_answer(entry: Entry, labels: Sequence[str]) -> dict[str, float]:
    places, scores = entry.value("labels"), entry.value("scores")
    if (
        not isinstance(places, list)
        or not isinstance(scores, list)
        or len(places) != len(scores)
        or not all(isinstance(place, int) and 0 <= place < len(labels) for place in places)
    ):
        raise entry.error(
            f"found labels {shown(places)} with scores {shown(scores)}, expected labels from 0 to {len(labels) - 1} "
            "with a score for each"
        )
    return {labels[place]: score for place, score in zip(places, scores, strict=True)}


def _best_answer(entry: Entry, scores: Any) -> str:
    if not isinstance(scores, dict) or not all(
        isinstance(answer, str) and is_utf8(answer) and isinstance(score, int | float)
        for answer, score in scores.items()
    ):
        raise entry.error(f"found label {shown(scores)}, expected answers with their scores")
    return max(scores, key=lambda answer: scores[answer], default=UNLABELLED)


def read_answers(path: Path) -> tuple[str, ...]:
    """Reads the answer vocabulary: a list of answers, or an object with the place of each answer; JSON or a pickle.

    Args:
        path: The file; a pickle's name ends in .pkl.

    Returns:
        The answers in their order.

    Raises:
        UserError: The file is neither, or an answer is not text or occurs twice.
    """
    content = safe_load_file(path) if path.suffix == ".pkl" else read_json(path)
    if isinstance(content, dict):
        place_of_answer = content
        places = {place for place in place_of_answer.values() if isinstance(place, int)}
        if places == set(range(len(place_of_answer))):
            content = sorted(place_of_answer, key=lambda answer: place_of_answer[answer])
    if not isinstance(content, list) or not all(isinstance(answer, str) and is_utf8(answer) for answer in content):
        raise UserError(
            f"{path}: found {type(content).__name__}, expected a list of answers, or an object with the places 0, 1, "
            "... of the answers"
        )
    if len(set(content)) < len(content):
        raise UserError(
            f"{path}: found {len(content) - len(set(content))} answers twice, expected each once; use the answer "
            "vocabulary that the model was trained with"
        )
    return tuple(content)


READERS: dict[str, Reader] = {
    reader.__name__: reader for reader in (xvnli, marvl, nlvr2, captions, first_captions, gqa)
}
