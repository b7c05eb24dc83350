"""The files and languages of a user's own data."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from iglue_plugins.tasks.custom.files import CustomData, read_data
from iglue_plugins.tasks.custom.kinds import NLI
from iglue_plugins.utils.errors import UserError

Make = Callable[..., dict[str, Any]]
Write = Callable[..., Path]


def read(data: Path | None) -> CustomData:
    return read_data(data, NLI, "task custom/nli")


def problem(data: Path | None) -> str:
    with pytest.raises(UserError) as raised:
        read(data)
    return str(raised.value)


def names(data: CustomData) -> list[tuple[str, str | None, str | None]]:
    return [(file.path.relative_to(data.root).as_posix(), file.language, file.split) for file in data.files]


def test_a_folder_with_one_file(data: Path, row: Make, put: Write, describe: Write) -> None:
    put(row(0), row(1, language="tr"), row(2, language="de"))
    describe("pictures: images\n")
    found = read(data)
    assert names(found) == [("data.jsonl", None, None)]
    assert (found.root, found.languages) == (data, ("en", "de", "tr"))
    assert read(data / "task.yaml") == found


def test_a_yaml_file_elsewhere_names_the_folder(data: Path, row: Make, put: Write, tmp_path: Path) -> None:
    put(row())
    facts = tmp_path / "elsewhere" / "nli.yaml"
    facts.parent.mkdir()
    facts.write_text("root: ../data\npictures: images\n")
    assert names(read(facts)) == [("data.jsonl", None, None)]
    facts.write_text(f"root: {data}\npictures: images\n")
    assert read(facts).root == data
    facts.write_text("root: nowhere\npictures: images\n")
    assert problem(facts).startswith(f"{facts}: root: found 'nowhere', but {facts.parent / 'nowhere'} is not a folder")


@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        ("nli/{language}.jsonl", [("nli/de.jsonl", "de", None), ("nli/en.jsonl", "en", None)]),
        ("nli/*.jsonl", [("nli/de.jsonl", None, None), ("nli/en.jsonl", None, None)]),
        (
            "by/{language}/{split}.jsonl",
            [("by/de/few_shot.jsonl", "de", "few_shot"), ("by/de/test.jsonl", "de", "test")],
        ),
        ("all/{language}/{language}_{split}.jsonl", [("all/en/en_few_shot.jsonl", "en", "few_shot")]),
        ("**/te?t.jsonl", [("by/de/test.jsonl", None, None)]),
        (
            ["x[1].jsonl", "nli/en.jsonl", "nli/{language}.jsonl"],
            [("x[1].jsonl", None, None), ("nli/en.jsonl", None, None), ("nli/de.jsonl", "de", None)],
        ),
    ],
)
def test_patterns(patterns: Any, expected: list[Any], data: Path, row: Make, put: Write, describe: Write) -> None:
    for file in ("nli/en", "nli/de", "by/de/test", "by/de/few_shot", "all/en/en_few_shot", "x[1]", "x1", "nli/deep/er"):
        put(row(), file=f"{file}.jsonl")
    describe(files=patterns, languages=["en", "de"])
    assert names(read(data)) == expected


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("{lang}.jsonl", "files: found '{{lang}}' in '{{lang}}.jsonl', expected {{language}} or {{split}}"),
        ("/etc/*.jsonl", "files: found '/etc/*.jsonl', expected the names of files below root"),
        ("../*.jsonl", "files: found '../*.jsonl', expected the names of files below root"),
        ("nothing/*.jsonl", "files: 'nothing/*.jsonl' names no file in {data}; write the files' names, with * for any"),
    ],
)
def test_patterns_that_name_nothing(
    pattern: str, message: str, data: Path, row: Make, put: Write, describe: Write
) -> None:
    put(row())
    path = describe(files=pattern)
    assert problem(data).startswith(f"{path}: {message.format(data=data)}")


def test_no_data(tmp_path: Path, data: Path) -> None:
    assert problem(None).startswith("task custom/nli needs data; set task.data in the recipe, or --data-root, to a")
    assert problem(data).startswith(f"{data / 'task.yaml'}: no such file; task.data names a folder with task.yaml")
    assert problem(tmp_path / "no.yaml").startswith(f"{tmp_path / 'no.yaml'}: no such file")


def test_languages(data: Path, row: Make, put: Write, describe: Write) -> None:
    file = put(row(language=None))
    path = describe()
    assert problem(data).startswith(
        f"{file}: no row has a language in its field 'language'; add it to the rows, or put"
    )
    describe(languages=["en"])
    assert read(data).languages == ("en",)
    put(row(language="de"), row(language="fr"), "damaged", '["no object"]', row(language=3))
    assert problem(describe()) == f"{path}: source_language: found 'en', expected one of the languages de, fr"
    describe(source_language="fr", auxiliary_languages=["de"])
    assert read(data).languages == ("fr", "de")
    describe(source_language="fr", columns={"language": "lang"})
    put(row(lang="fr"))
    assert read(data).languages == ("fr",)


def test_a_changed_file_has_its_new_languages(data: Path, row: Make, put: Write, describe: Write) -> None:
    describe()
    put(row())
    assert read(data).languages == ("en",)
    put(row(), row(1, language="de"))
    assert read(data).languages == ("en", "de")
