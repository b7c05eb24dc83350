"""Tables of Markdown, read back by a renderer with the tables of GitHub."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

from iglue_plugins.reporting.comparison import build_comparison
from iglue_plugins.reporting.markdown import table_markdown
from iglue_plugins.reporting.notes import notes

RENDERER = MarkdownIt("commonmark").enable(["table", "strikethrough"])
ODD = [
    "a|b",
    r"a\|b\\",
    "*a* _b_ __c__",
    "`code`",
    "<b>x</b> <!-- y -->",
    "[a](http://b)",
    "![x](y)",
    "~~a~~",
    "&amp; &lt;",
    "two\nlines",
    "|",
]


def read(text: str) -> tuple[list[list[str]], list[str], list[str]]:
    """Returns the cells of a table as they are shown, their alignments in the header, and the items below it."""
    tokens = RENDERER.parse(text)
    rows: list[list[str]] = []
    items: list[str] = []
    alignments: list[str] = []
    kind = ""
    for token in tokens:
        if token.type == "tr_open":
            rows.append([])
        if token.type in ("th_open", "td_open", "list_item_open"):
            kind = token.type
        if token.type == "th_open":
            alignments.append(str(token.attrs.get("style", "")))
        if token.type == "inline" and kind:
            (rows[-1] if kind in ("th_open", "td_open") else items).append(shown(token))
            kind = ""
    return rows, alignments, items


def shown(inline: Token) -> str:
    """Returns the text of a line, in which nothing but emphasis may be marked up."""
    assert {child.type for child in inline.children or []} <= {"text", "text_special", "em_open", "em_close"}, inline
    return "".join(child.content for child in inline.children or [])


@pytest.mark.parametrize("label", ODD)
def test_a_label_is_shown_as_it_is(label: str, make_run: Callable[..., Path]) -> None:
    runs = [make_run("finetune", 0, {"en": "10", "ar": "11"}), make_run("xvl_maml", 0, {"en": "10", "ar": "10"})]
    comparison = build_comparison([(label, runs[:1]), ("xvl_maml", runs[1:])])
    rows, alignments, items = read(table_markdown(comparison, notes(comparison)))
    assert rows[0] == ["", "en (source)", "ar", "mean", "difference"]
    assert alignments == ["", *["text-align:right"] * 4]
    assert rows[1] == [" ".join(label.split()), "50.0", "100.0", "100.0", ""]
    assert rows[2][:4] == ["xvl_maml", "50.0", "50.0", "50.0"] and rows[2][4].startswith("-50.0")
    assert items == [" ".join(note.split()) for note in notes(comparison)]
