"""`iglue report` on the command line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from reported_runs import make_rows


def test_the_page_s_path_is_printed(iglue: Callable[..., Any], tmp_path: Path) -> None:
    make_rows(tmp_path / "runs")
    ended = iglue("report", tmp_path / "runs", "--output", tmp_path / "page", "--margin", "1")
    assert (ended.code, ended.out, ended.err) == (0, f"{tmp_path / 'page' / 'index.html'}\n", "")
    assert (tmp_path / "page" / "index.html").is_file()


def test_errors_are_one_sentence(iglue: Callable[..., Any], tmp_path: Path) -> None:
    make_rows(tmp_path / "runs")
    assert iglue("report", tmp_path / "nowhere").sentence().startswith(f"{tmp_path / 'nowhere'}: there is neither")
    assert (
        iglue("report", tmp_path / "runs", "--split", "dev")
        .sentence()
        .endswith("was not evaluated on split 'dev'; choose from test")
    )
    (tmp_path / "file").write_text("")
    refused = iglue("report", tmp_path / "runs", "--output", tmp_path / "file").sentence()
    assert "cannot be written" in refused
    damaged = next((tmp_path / "runs").rglob("tr.jsonl"))
    damaged.write_text(damaged.read_text().replace('"text"', '"text": [1], "x"', 1))
    assert iglue("report", tmp_path / "runs").sentence().endswith("correct it, or evaluate the run again")
