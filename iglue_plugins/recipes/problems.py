"""The problems of a recipe, collected so that all of them are shown at once."""

from __future__ import annotations

import json
import re
import types
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from iglue_plugins.utils.errors import UserError, did_you_mean
from iglue_plugins.utils.yaml import load_yaml

KeyPath = tuple[str, ...]
Report = Callable[[KeyPath, str], None]  # called with the key path of a problem and the sentence that describes it
M = TypeVar("M", bound=BaseModel)


class RecipeError(UserError):
    """A recipe has one or more problems.

    Args:
        problems: A line for each problem, with the file, the key, the value and the remedy.

    Attributes:
        problems: The lines, which together are the message.
    """

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = list(problems)

    def __reduce__(self) -> tuple[type[RecipeError], tuple[list[str]]]:
        return type(self), (self.problems,)  # a worker process sends the error by pickling it


class Problems:
    """A list of problems with at most one for each key path.

    Problems below a key that already has one are dropped, since they follow from it.
    """

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._paths: list[KeyPath] = []

    def add(self, source: str, path: KeyPath, text: str) -> None:
        """Add a problem, unless its key or one above it has a problem already.

        Args:
            source: The file or override that the value comes from.
            path: The key path of the value; () for the recipe as a whole.
            text: What is wrong, with the value and the remedy.
        """
        if any(path[: len(reported)] == reported for reported in self._paths):
            return
        if path:
            self._paths.append(path)
        self._lines.append(": ".join(filter(None, (source, ".".join(path), text))))

    def raise_if_any(self) -> None:
        """Raise the collected problems.

        Raises:
            RecipeError: There is at least one problem.
        """
        if self._lines:
            raise RecipeError(self._lines)


def describe_value(value: object) -> str:
    """Describe a value for an error message: a mapping by its keys, a scalar as YAML would write it.

    Args:
        value: The value from a recipe.

    Returns:
        A text of about 80 characters at most, except for mappings.
    """
    if isinstance(value, dict):
        return f"a mapping with {', '.join(map(str, value))}" if value else "an empty mapping"
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def validate(model: type[M], data: dict[str, Any], owner: str, report: Report) -> M | None:
    """Validate data, and report its problems.

    Validation goes by way of JSON, since only there pydantic's strict mode accepts a list for a tuple and text for a
    path.

    Args:
        model: The pydantic model.
        data: The data, as plain JSON values.
        owner: Whose keys the model describes, such as "a recipe" or "trainer finetune".
        report: The function that takes each problem.

    Returns:
        The model; None if there is a problem.
    """
    try:
        return model.model_validate_json(json.dumps(data), strict=True)
    except ValidationError as error:
        for path, text in validation_problems(error, model, data, owner):
            report(path, text)
    except UserError as error:
        report((), str(error))
    return None


def validation_problems(
    error: ValidationError, model: type[BaseModel], data: Mapping[str, Any], owner: str
) -> Iterator[tuple[KeyPath, str]]:
    """Turn pydantic's error into a sentence for each key.

    Args:
        error: The error that validating `data` raised.
        model: The pydantic model that validated.
        data: The data, as plain JSON values.
        owner: Whose keys the model describes, such as "a recipe" or "trainer finetune".

    Yields:
        A key path below `data`, and "found ..., expected ...".
    """
    found: dict[KeyPath, str] = {}
    expected: dict[KeyPath, list[str]] = {}
    quoted: set[KeyPath] = set()
    for item in error.errors(include_url=False):
        path = _key_path(item["loc"], data, missing=item["type"] == "missing")
        found[path] = _found(item)
        expected.setdefault(path, []).append(_expected(item, model, path, owner))
        if _is_quoted_number(item):
            quoted.add(path)
    for path, alternatives in expected.items():
        joined = " or ".join(dict.fromkeys(alternatives))  # pydantic reports each member of a union separately
        yield path, f"{found[path]}{joined}{'; write it without quotes' if path in quoted else ''}"


def _key_path(loc: Sequence[int | str], data: Any, missing: bool) -> KeyPath:
    """Return the part of pydantic's location that exists in the data; the rest names members of unions."""
    path: list[str] = []
    for key in loc:
        if isinstance(data, dict) and key in data:
            data = data[key]
        elif isinstance(data, list) and isinstance(key, int):
            data = data[key]
        elif not (missing and key == loc[-1]):
            break
        path.append(str(key))
    return tuple(path)


def _found(item: ErrorDetails) -> str:
    if item["type"] == "missing":
        return "found nothing, expected "
    if item["type"] == "extra_forbidden":
        return "found an unknown key, expected "
    if item["type"] == "value_error":
        return "" if isinstance(item["input"], dict) else f"found {describe_value(item['input'])}: "
    return f"found {describe_value(item['input'])}, expected "


def _expected(item: ErrorDetails, model: type[BaseModel], path: KeyPath, owner: str) -> str:
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


def _is_quoted_number(item: ErrorDetails) -> bool:
    """Return whether a text stands where a number or a boolean belongs, and would be one without its quotes."""
    if item["type"] not in ("int_type", "float_type", "bool_type") or not isinstance(item["input"], str):
        return False
    try:
        return isinstance(load_yaml(item["input"]), int | float)
    except (yaml.YAMLError, RecursionError):
        return False


def field_names(model: type[BaseModel], path: KeyPath) -> list[str]:
    """List the keys of the mapping that a pydantic model has at a key path.

    Args:
        model: The model.
        path: The key path below the model; () for the model itself.

    Returns:
        The keys, as users write them; none if the path does not lead to a mapping with fixed keys.
    """
    for key in path:
        field = model.model_fields.get(key)
        nested = next(_models_in(field.annotation), None) if field else None
        if nested is None:
            return []
        model = nested
    return [field.alias or name for name, field in model.model_fields.items()]


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """Yield the pydantic models in a type annotation, such as those of a union."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    elif typing.get_origin(annotation) in (typing.Union, types.UnionType, typing.Annotated):
        for argument in typing.get_args(annotation):
            yield from _models_in(argument)
