"""What is wrong with a recipe, collected so that all of it is shown at once."""

from __future__ import annotations

import re
import types
import typing
from collections.abc import Iterable, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError

from iglue_plugins.utils.errors import UserError, did_you_mean

KeyPath = tuple[str, ...]


class RecipeError(UserError):
    """All that is wrong with a recipe: `problems` holds a line for each, and the message is these lines."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = list(problems)

    def __reduce__(self) -> tuple[type[RecipeError], tuple[list[str]]]:
        return type(self), (self.problems,)  # as it comes from a worker process


class Problems:
    """At most one problem for a key path; what lies under a key that is already known to be wrong is not repeated."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._paths: list[KeyPath] = []

    def add(self, source: str, path: KeyPath, text: str) -> None:
        if any(path[: len(known)] == known for known in self._paths):
            return
        if path:
            self._paths.append(path)
        self._lines.append(": ".join(filter(None, (source, ".".join(path), text))))

    def raise_any(self) -> None:
        if self._lines:
            raise RecipeError(self._lines)


def shown(value: Any) -> str:
    """A value as a message shows it: a mapping or list by what it is, a scalar as YAML would read it."""
    if isinstance(value, dict):
        return f"a mapping with {', '.join(map(str, value))}" if value else "an empty mapping"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def validation_problems(
    error: ValidationError, model: type[BaseModel], data: dict[str, Any], owner: str
) -> Iterable[tuple[KeyPath, str]]:
    """(key path under `data`, "found ..., expected ...") for each key; `owner` says whose keys `model` describes."""
    found: dict[KeyPath, str] = {}
    expected: dict[KeyPath, list[str]] = {}
    for item in error.errors(include_url=False):
        path = _key_path(item["loc"], data, missing=item["type"] == "missing")
        found[path] = _found(item)
        expected.setdefault(path, []).append(_expected(item, model, path, owner))
    for path, wishes in expected.items():
        joined = " or ".join(dict.fromkeys(wishes))  # the members of a union report one by one
        yield path, f"{found[path]}{joined}" if found[path] else joined


def _key_path(loc: Sequence[int | str], data: Any, missing: bool) -> KeyPath:
    """The part of pydantic's location that exists in the data: it also names the members of unions."""
    path: list[str] = []
    for key in loc:
        if isinstance(data, dict) and key in data or isinstance(data, list) and isinstance(key, int):
            data = data[key]
        elif not (missing and key == loc[-1]):
            break
        path.append(str(key))
    return tuple(path)


def _found(item: Any) -> str:
    if item["type"] == "missing":
        return "found nothing, expected "
    if item["type"] == "extra_forbidden":
        return "found an unknown key, expected "
    if item["type"] == "value_error":
        return "" if isinstance(item["input"], dict) else f"found {shown(item['input'])}: "
    return f"found {shown(item['input'])}, expected "


def _expected(item: Any, model: type[BaseModel], path: KeyPath, owner: str) -> str:
    if item["type"] == "extra_forbidden":
        return f"a key of {owner}{did_you_mean(path[-1], field_names(model, path[:-1]))}"
    if item["type"] == "missing":
        return f"a value, which {owner} needs"
    if item["type"] == "value_error":
        return str(item["ctx"]["error"])
    message = item["msg"].replace("an object", "a mapping").replace("a valid array", "a list")
    if match := re.fullmatch(r"(?:Input|String|Value) should be (.*)", message):
        return match[1]
    return re.sub(r"^(\w+) should (?:be )?", lambda match: f"a {match[1].lower()} to ", message)


def field_names(model: type[BaseModel], path: KeyPath) -> list[str]:
    """The keys of the mapping that `model` has at a key path; none where that is no mapping with fixed keys."""
    for key in path:
        field = model.model_fields.get(key)
        nested = next(_models_in(field.annotation), None) if field else None
        if nested is None:
            return []
        model = nested
    return [field.alias or name for name, field in model.model_fields.items()]


def _models_in(annotation: Any) -> Iterable[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    elif typing.get_origin(annotation) in (typing.Union, types.UnionType, typing.Annotated):
        for argument in typing.get_args(annotation):
            yield from _models_in(argument)
