"""Tasks, trainers and evaluation do not know what the inputs of a model are called: only models and processors do."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import iglue_plugins

PACKAGE = Path(iglue_plugins.__file__).parent
ROOMS = ("tasks", "trainers", "evaluation")
KEYS = {
    "attention_mask",
    "image_features",
    "image_grid_thw",
    "input_ids",
    "pixel_attention_mask",
    "pixel_values",
    "position_ids",
    "region_features",
    "region_locations",
    "region_mask",
    "regions_embedded",
    "spatial_shapes",
    "text_embedded",
    "token_type_ids",
}


def names_in(source: str) -> Iterator[tuple[int, str]]:
    """Find every name in a module: variables, attributes, parameters, keywords, definitions, imports and strings.

    A string counts as the words in it, so that docstrings count too.
    """
    for node in ast.walk(ast.parse(source)):
        line = getattr(node, "lineno", 0)
        match node:
            case ast.Name(id=name) | ast.Attribute(attr=name) | ast.arg(arg=name):
                yield line, name
            case ast.keyword(arg=str(name)):
                yield line, name
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield line, name
            case ast.alias(name=name, asname=other):
                yield from ((line, part) for part in (name, other) if part)
            case ast.Constant(value=str(text)):
                yield from ((line, word) for word in words(text))


def words(text: str) -> list[str]:
    return "".join(letter if letter.isidentifier() or letter.isdecimal() else " " for letter in text).split()


def found_keys(source: str) -> list[tuple[int, str]]:
    """Keys, and names that end in one, such as `caption_input_ids`."""
    return [
        (line, name) for line, name in names_in(source) if any(name == key or name.endswith(f"_{key}") for key in KEYS)
    ]


@pytest.mark.parametrize("room", ROOMS)
def test_no_module_names_an_input_of_a_model(room: str) -> None:
    modules = sorted((PACKAGE / room).rglob("*.py"))
    assert len(modules) > 5
    named = {
        f"{path.relative_to(PACKAGE)}:{line}": name
        for path in modules
        for line, name in found_keys(path.read_text(encoding="utf-8"))
    }
    assert named == {}


@pytest.mark.parametrize(
    "source",
    [
        "batch['input_ids']",
        "batch.pixel_values",
        "model(region_mask=mask)",
        "def forward(self, attention_mask): ...",
        "input_ids = 1",
        "keys = ('text', 'token_type_ids')",
        "batch['caption_input_ids']",
        "'''Reads `region_features` of a batch.'''",
        "from numbers import region_locations",
        "f'no {name} beside input_ids'",
    ],
)
def test_a_key_is_found_wherever_it_is_named(source: str) -> None:
    assert len(found_keys(source)) == 1


@pytest.mark.parametrize("source", ["batch.inputs", "# input_ids", "region_layout = 1", "'all regions have a mask'"])
def test_other_names_and_comments_are_not_found(source: str) -> None:
    assert found_keys(source) == []


def test_the_rooms_that_know_the_keys_name_them() -> None:
    """So the rule above is about names that are in use."""
    for path in ("models/uniter.py", "data/processors/regions.py", "data/processors/texts.py"):
        assert found_keys((PACKAGE / path).read_text(encoding="utf-8")), path
