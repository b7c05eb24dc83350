"""YAML as people expect it: the plain scalars of YAML 1.2, and nothing that runs code."""

from __future__ import annotations

import re
from typing import Any

import yaml


class YAML12Loader(yaml.SafeLoader):
    """A safe loader with YAML 1.2's rules for plain scalars: 1e-3 is a number, `no` is text, 010 is text."""

    yaml_implicit_resolvers: dict[str, Any] = {}


for _tag, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?(?:0|[1-9][0-9_]*)", list("-+0123456789")),
    (
        "float",
        r"[-+]?(?:[0-9][0-9_]*\.[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?"
        r"|[-+]?[0-9]+[eE][-+]?[0-9]+|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        list("-+.0123456789"),
    ),
    ("merge", r"<<", ["<"]),
):
    YAML12Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"(?:{_pattern})$"), _first)


def load_yaml(text: str) -> Any:
    """Read one YAML document.

    Args:
        text: The document.

    Returns:
        Plain dicts, lists, text, numbers, booleans and None.

    Raises:
        yaml.YAMLError: The text is not YAML, or has a tag that would make another object.
    """
    return yaml.load(text, YAML12Loader)
