from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from typing import Any

import pytest

from iglue_plugins.reporting.report.examples import TaskExamples
from iglue_plugins.reporting.report.page import TaskSection, anchor, render, script_json

NASTY = "</script><!--<script>\u2028\u2029&amp;"


class Elements(HTMLParser):
    """Collects elements and the text of scripts."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attributes)))
        self.scripts += [""] * (tag == "script")

    def handle_data(self, data: str) -> None:
        if self.found and self.found[-1][0] == "script" and data.strip():
            self.scripts[-1] += data


def section(**changes: Any) -> TaskSection:
    task = "mini/xvnli"
    nothing: dict[str, Any] = dict.fromkeys(
        ("comparison", "bars", "matrix", "heat_map", "slices", "curves", "examples")
    )
    empty: dict[str, Any] = {"confusions": [], "confused_languages": ["tr"], "lacks": []}
    return TaskSection(**{"task": task, "seeds": (0,), **nothing, **empty, **changes})


def with_examples() -> TaskSection:
    data = {
        "task": NASTY, "rows": [NASTY, "b"], "seed": 0, "seeds": 1, "ranks": False, "labels": [NASTY, "x"],
        "images": [],
        "examples": [["ar", NASTY, NASTY, 0, [], [[0, None, 1], [1, None, 0]]]],
    }  # fmt: skip
    return section(task=NASTY, examples=TaskExamples(data, 41), lacks=[NASTY])


def test_json_cannot_end_its_element() -> None:
    text = script_json({"text": NASTY})
    assert not re.search("[<>&\u2028\u2029]", text)
    assert json.loads(text) == {"text": NASTY}


def test_text_of_data_is_text() -> None:
    page = render([with_examples()], None, "test")
    elements = Elements(page)
    assert [tag for tag, _ in elements.found].count("script") == 2
    assert page.count("<!--") == 0
    data = json.loads(elements.scripts[0])
    assert data["tasks"][0]["examples"][0][2] == NASTY
    assert data["languages"] == {"ar": ["ar", "rtl"]}
    assert "1 of 42 such examples are in this page; 41 are left out" in page


def test_the_policy_allows_the_page_s_script_and_nothing_from_outside() -> None:
    page = render([with_examples()], None, "test")
    elements = Elements(page)
    (policy,) = (attributes["content"] for _, attributes in elements.found if "http-equiv" in attributes)
    assert policy is not None
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    digest = base64.b64encode(hashlib.sha256(elements.scripts[1].encode()).digest()).decode()
    assert rules["script-src"] == f"'sha256-{digest}'"
    assert (rules["default-src"], rules["img-src"], rules["form-action"]) == ("'none'", "data:", "'none'")
    assert not any(name in ("src", "srcset") for _, attributes in elements.found for name in attributes)
    links = [attributes["href"] for _, attributes in elements.found if "href" in attributes]
    assert links
    assert all(link is not None and link.startswith("#") for link in links)


def test_links_lead_to_headings() -> None:
    elements = Elements(render([section(), with_examples()], None, "test"))
    ids = [attributes["id"] for _, attributes in elements.found if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert {attributes["href"] for tag, attributes in elements.found if tag == "a"} <= {f"#{id_}" for id_ in ids}


@pytest.mark.parametrize("name", ["data", "examples", "average", "row/a"])
def test_a_task_may_have_the_name_of_a_part_of_the_page(name: str) -> None:
    examples = with_examples().examples
    found = Elements(render([section(task=name, examples=examples)], None, "test")).found
    ids = [attributes["id"] for _, attributes in found if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert anchor(name) in ids
    assert anchor(name) not in ("data", "examples", "average", "row-a")


def test_a_page_without_examples_has_no_script() -> None:
    assert "<script" not in render([section()], None, "test")


def test_anchors_are_ids_and_differ() -> None:
    assert anchor("mini/xvnli") == "task-mini-xvnli"
    names = ["mini/xvnli", "mini-xvnli", "mini-xvnli ", "a b", "a/b", "a<b", "ä"]
    assert len({anchor(name) for name in names}) == len(names)
    assert all(re.fullmatch("[A-Za-z0-9-]+", anchor(name)) for name in names)
