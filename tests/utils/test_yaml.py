"""YAML from users: plain data only, whatever a document holds."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from iglue_plugins.utils.yaml import MAX_NODES, load_yaml

NINE_LEVELS = "\n".join(
    ["a: &a [x]"]
    + [f"{key}: &{key} [{', '.join([f'*{before}'] * 9)}]" for before, key in zip("abcdefgh", "bcdefghi", strict=True)]
)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        ("1e-3", 0.001),
        ("no", "no"),
        ("010", "010"),
        ("2024-01-01", "2024-01-01"),
        ("{a: &x [1, 2], b: *x}", {"a": [1, 2], "b": [1, 2]}),
        ("{<<: {a: 1}, b: 2}", {"a": 1, "b": 2}),
        ("!!float 1", 1.0),
    ],
)
def test_plain_data(text: str, value: Any) -> None:
    assert load_yaml(text) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{a: ${A}, b: [${B}, x${C:-d, e}y ${D} z ]}", {"a": "${A}", "b": ["${B}", "x${C:-d, e}y ${D} z"]}),
        ("[${A}#x, ${B} # y\n, 3]", ["${A}#x", "${B}", 3]),
        ("{a: ${A}:80/p,b: ${B}\n  ${C}}", {"a": "${A}:80/p", "b": "${B} ${C}"}),
        ("{a: '${A}', ${B}: {c: ${C}}}", {"a": "${A}", "${B}": {"c": "${C}"}}),
        ("a: ${A} b\nc: [${D}]", {"a": "${A} b", "c": ["${D}"]}),
    ],
)
def test_variables_may_stand_in_braces_and_brackets(text: str, value: Any) -> None:
    assert load_yaml(text) == value


@pytest.mark.parametrize("text", ["{a: ${A}", "{a: ${A\n}}", "{a: $ {b}}", "{a: ${A"])
def test_braces_that_are_no_variable_are_an_error(text: str) -> None:
    with pytest.raises(yaml.MarkedYAMLError):
        load_yaml(text)


@pytest.mark.parametrize(
    ("text", "fact"),
    [
        ("&a {x: *a}", "holds itself"),
        ("&a [[*a]]", "holds itself"),
        ("!!int ten", "ten"),
        ("!!float no", "no"),
        (f"!!int {'9' * 5000}", "digits"),
        ("!!binary aGVs", "!!binary"),
        ("!!timestamp 2024-01-01", "!!timestamp"),
        ("!!set {tr, ru}", "!!set"),
        ("!!python/object/apply:os.system [true]", "!!python"),
        ("!mine 1", "!mine"),
        (NINE_LEVELS, f"{MAX_NODES:,}"),
    ],
)
def test_other_data_are_an_error_that_says_so(text: str, fact: str) -> None:
    with pytest.raises(yaml.YAMLError, match=fact):
        load_yaml(text)
