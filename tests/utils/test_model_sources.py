"""Folders and ids on a hub, told apart."""

from __future__ import annotations

from pathlib import Path

import pytest

from iglue_plugins.utils.model_sources import is_hub_id, is_local_path, is_missing_folder


def test_a_name_that_is_there_is_local(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert is_hub_id("me/model") and not is_local_path("me/model")
    (tmp_path / "me" / "model").mkdir(parents=True)
    assert is_local_path("me/model") and not is_hub_id("me/model")


@pytest.mark.parametrize("text", ["/", "~/models", "./model", "..\\model", "C:\\model", "\\\\host\\share"])
def test_what_is_written_as_a_path(text: str) -> None:
    assert is_local_path(text) and not is_hub_id(text)


@pytest.mark.parametrize("part", ["x" * 5000, "a\0b"])
def test_texts_that_no_file_can_be_called(part: str) -> None:
    assert not is_local_path(f"{part}/model")
    assert is_missing_folder(f"{part}/a/model")
    assert is_hub_id(f"{part}/model") == ("\0" not in part)
