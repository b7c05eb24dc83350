"""YAML as people expect it: the plain scalars of YAML 1.2, and nothing that runs code."""

from __future__ import annotations

import re
from typing import Any

import yaml
from typing_extensions import override


class YAML12Loader(yaml.SafeLoader):
    """A safe loader with YAML 1.2's rules for plain scalars: 1e-3 is a number, `no` is text, 010 is text.

    `${...}` may stand in a plain scalar inside braces and brackets too, where YAML ends a scalar at its brace.
    """

    yaml_implicit_resolvers: dict[str, Any] = {}

    @override
    def scan_plain(self) -> yaml.ScalarToken:
        token: yaml.ScalarToken = super().scan_plain()
        while self.flow_level and token.value.endswith("$") and token.end_mark.index == self.index:
            variable = re.match(r"\{[^}\0\r\n]*\}#*", self.buffer[self.pointer :])
            if variable is None:
                break
            self.forward(len(variable[0]))
            end = self.get_mark()
            spaces = "".join(self.scan_plain_spaces(self.indent + 1, token.start_mark) or ())
            rest = super().scan_plain()
            text = token.value + variable[0] + (spaces + rest.value if rest.value else "")
            token = yaml.ScalarToken(text, True, token.start_mark, rest.end_mark if rest.value else end)
        return token


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


TAGS = {f"tag:yaml.org,2002:{name}" for name in ("null", "bool", "int", "float", "str", "seq", "map", "merge")}
MAX_NODES = 10_000  # a recipe has some hundred; aliases of aliases can stand for billions


def check_node(root: yaml.Node) -> None:
    """Check that a document holds plain data of a sensible size.

    Args:
        root: The document's node.

    Raises:
        yaml.MarkedYAMLError: A value has a tag of other data (a date, a set, an object), holds itself by an alias, or
            there are more than 10,000 values, each counted as often as an alias repeats it.
    """
    count, open_nodes = 0, set[int]()

    def check(node: yaml.Node) -> None:
        nonlocal count
        count += 1
        if id(node) in open_nodes:
            raise yaml.MarkedYAMLError(problem="a value holds itself by an alias", problem_mark=node.start_mark)
        if count > MAX_NODES:
            raise yaml.MarkedYAMLError(problem=f"more than {MAX_NODES:,} values", problem_mark=node.start_mark)
        if node.tag not in TAGS:
            name = node.tag.replace("tag:yaml.org,2002:", "!!")
            raise yaml.MarkedYAMLError(problem=f"the tag {name} is not allowed", problem_mark=node.start_mark)
        if isinstance(node, yaml.CollectionNode):
            open_nodes.add(id(node))
            for item in node.value:
                for part in item if isinstance(item, tuple) else (item,):
                    check(part)
            open_nodes.remove(id(node))

    check(root)


def load_yaml(text: str) -> Any:
    """Read one YAML document.

    Args:
        text: The document.

    Returns:
        Plain dicts, lists, text, numbers, booleans and None.

    Raises:
        yaml.YAMLError: The text is not YAML, or holds other than plain data of a sensible size (`check_node`).
    """
    loader = YAML12Loader(text)
    node = loader.get_single_node()
    if node is None:
        return None
    check_node(node)
    try:
        return loader.construct_document(node)
    except ValueError as error:  # a value that does not fit its tag, such as !!float no
        raise yaml.MarkedYAMLError(problem=str(error), problem_mark=node.start_mark) from error
