"""Files written atomically, and hashes of the content of files and folders."""

from __future__ import annotations

from pathlib import Path

import pytest

from iglue_plugins.utils.errors import UserError
from iglue_plugins.utils.files import content_hash, write_json_atomic, write_jsonl_atomic


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    write_jsonl_atomic(path, [{"a": 1}])

    def rows():
        yield {"a": 2}
        raise KeyError("interrupted")

    with pytest.raises(KeyError):
        write_jsonl_atomic(path, rows())
    assert path.read_text() == '{"a": 1}\n'
    assert list(tmp_path.iterdir()) == [path]


def test_written_files_have_the_usual_permissions(tmp_path: Path) -> None:
    write_json_atomic(tmp_path / "a.json", {})
    (tmp_path / "b.json").write_text("{}")
    assert (tmp_path / "a.json").stat().st_mode == (tmp_path / "b.json").stat().st_mode


def test_content_hash_of_a_folder(tmp_path: Path) -> None:
    def made(name: str, **files: str) -> str:
        for file, text in files.items():
            place = tmp_path / name / file.replace("__", "/").replace("DOT", ".")
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(text)
        return content_hash(tmp_path / name)

    first = made("one", a="1", sub__b="2")
    assert first == made("two", sub__b="2", a="1", DOTcache__x="hidden")
    assert len({first, made("three", a="2", sub__b="1"), made("four", a="1", b="2"), made("five", a="12")}) == 4


def test_content_hash_of_a_file_and_of_nothing(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    assert content_hash(tmp_path / "empty") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    with pytest.raises(UserError, match="none: does not exist; name a checkpoint"):
        content_hash(tmp_path / "none")
