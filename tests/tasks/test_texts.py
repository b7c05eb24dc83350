"""The texts of tasks and of files."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from iglue_plugins import registry
from iglue_plugins.tasks.base import Task
from iglue_plugins.tasks.texts import FileTexts, TaskTexts, task_texts
from iglue_plugins.utils.errors import UserError


def read(texts: TaskTexts) -> dict[str, list[str]]:
    return {language: [text for source in sources for text in source]
            for language, sources in texts.languages.items()}  # fmt: skip


def test_all_texts_and_captions_of_a_task(small: Callable[[str], Task]) -> None:
    task = small("xvnli")
    found = task_texts(task, ["sw", "en"])
    expected = {
        language: sorted(
            text
            for split in task.splits
            for column in ("text", "caption")
            for text in task.load(split, language)[column]
        )
        for language in ("sw", "en")
    }
    first, second = read(found), read(found)
    assert first == second
    assert {language: sorted(texts) for language, texts in first.items()} == expected
    assert list(first) == ["sw", "en"] and found.left_out == {}
    assert list(task_texts(task).languages) == list(task.languages)


def test_a_language_that_a_task_does_not_have(small: Callable[[str], Task]) -> None:
    with pytest.raises(UserError, match="task mini/xvnli has no language 'nl'"):
        task_texts(small("xvnli"), ["en", "nl"])


class EnglishTraining(Task):
    """A task of another package, of which only the test set is multilingual."""

    name, languages, splits, source_language = "other", ("en", "sw"), ("train", "test"), "en"

    def __init__(self, task: Task) -> None:
        super().__init__()
        self.task = task

    def load(self, split: str, language: str, shots: int | str | None = None) -> object:
        if (split, language) == ("train", "sw"):
            raise UserError("train is in English")
        return self.task.load(split, language)

    def regions(self) -> None: ...

    def fingerprint(self, split: str, language: str, shots: int | str | None = None) -> str:
        return ""


def test_what_a_task_of_another_package_cannot_load_is_left_out(small: Callable[[str], Task]) -> None:
    found = task_texts(EnglishTraining(small("marvl")))
    assert {language: len(texts) for language, texts in read(found).items()} == {"en": 48, "sw": 24}
    assert found.left_out == {"train is in English": ["train/sw"]}


@pytest.fixture
def xvnli(tmp_path: Path) -> Callable[..., Task]:
    """Gives a function that makes task xvnli with some files of one example, whose texts are its name and 'premise'."""

    def make(*names: str) -> Task:
        for name in names:
            path = tmp_path / "datasets" / "XVNLI" / "annotations" / f"{name}.jsonl"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps({"pairID": name, "Flikr30kID": "1.jpg", "sentence2": name,
                                        "sentence1": "premise", "gold_label": "neutral"}))  # fmt: skip
        cls = registry.tasks.load("xvnli")
        return cls(cls.Settings(data_root=tmp_path))

    return make


def test_a_task_at_full_scale_gives_the_texts_of_the_files_that_are_there(
    xvnli: Callable[..., Task], tmp_path: Path
) -> None:
    found = task_texts(xvnli("ar/test", "ar/train_5", "ar/train_48"), ["en", "ar"])
    assert {language: set(texts) for language, texts in read(found).items()} == {
        "ar": {"ar/test", "ar/train_5", "ar/train_48", "premise"}
    }
    ((reason, left_out),) = found.left_out.items()
    assert reason == f"no file below {tmp_path / 'datasets'}"
    assert {"test/en", "train/en", "few_shot/ar/1", "few_shot/en/5"} <= set(left_out)
    assert not {"test/ar", "few_shot/ar/5", "train/ar"} & set(left_out)


def test_a_task_without_files_is_an_error(xvnli: Callable[..., Task], tmp_path: Path) -> None:
    message = f"task xvnli has no texts in en, ar .no file below {tmp_path}.*test/en, .*test/ar"
    with pytest.raises(UserError, match=message):
        task_texts(xvnli(), ["en", "ar"])


def test_a_damaged_file_of_a_task_is_not_left_out(xvnli: Callable[..., Task], tmp_path: Path) -> None:
    task = xvnli("ar/test", "ar/train_5")
    path = tmp_path / "datasets" / "XVNLI" / "annotations" / "ar" / "train_5.jsonl"
    path.write_text('{"pairID": ')
    with pytest.raises(UserError, match=f"{path}: line 1: found JSON that is damaged"):
        task_texts(task, ["ar"])


def test_texts_of_a_txt_file(tmp_path: Path) -> None:
    path = tmp_path / "texts.txt"
    path.write_bytes("\ufeffone\r\n\n  \n two words \nthree\u2028four".encode())
    texts = FileTexts(path)
    assert list(texts) == list(texts) == ["one", " two words ", "three\u2028four"]


def test_every_text_of_json_lines(tmp_path: Path) -> None:
    path = tmp_path / "texts.jsonl"
    path.write_text('{"a": "one", "n": 1, "b": ["two", {"c": "three", "d": null}]}\n\n{"a": ""}\n')
    texts = FileTexts(path)
    assert list(texts) == list(texts) == ["one", "two", "three", ""]


@pytest.mark.parametrize(("name", "content", "message"), [
    ("texts.txt", None, "cannot be read .No such file or directory."),
    ("texts.jsonl", None, "cannot be read .No such file or directory."),
    ("texts.txt", b"\xff\xfe", "line 1: byte 0xff is not UTF-8"),
    ("texts.jsonl", b"[1, 2]\n", "line 1: found list, expected an object"),
    ("texts.jsonl", b'{"a": ', "line 1: found JSON that is damaged or cut short"),
    ("texts.json", b"{}", "the name ends in '.json', expected .txt .* or .jsonl"),
])  # fmt: skip
def test_files_that_cannot_be_read_are_found_at_once(
    name: str, content: bytes | None, message: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=f"{path}: {message}"):
        FileTexts(path)


def test_a_later_line_that_is_not_text(tmp_path: Path) -> None:
    path = tmp_path / "texts.txt"
    path.write_bytes(b"one\ntwo\n\x80\n")
    texts = iter(FileTexts(path))
    assert [next(texts), next(texts)] == ["one", "two"]
    with pytest.raises(UserError, match="line 3: byte 0x80"):
        next(texts)
