"""The layers of a recipe: YAML files with environment variables, the files they extend, and key=value overrides."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from iglue_plugins.recipes.problems import KeyPath, Problems, RecipeError, describe_value
from iglue_plugins.utils.errors import did_you_mean
from iglue_plugins.utils.model_sources import is_hub_uri
from iglue_plugins.utils.yaml import YAML12Loader, check_node

SECTIONS = ("task", "model", "trainer")
START_KEYWORDS = ("model", "finetune")


@dataclass(frozen=True)
class Layer:
    """The values of one file or override.

    Attributes:
        source: The name of the file or override in error messages.
        data: The values, as plain YAML data.
    """

    source: str
    data: dict[str, Any]


def parse(text: str, source: str, problems: Problems, path: KeyPath = ()) -> Any:
    """Parse YAML 1.2 in which ${VAR} and ${VAR:-default} stand for environment variables, and a first ~/ for home.

    Args:
        text: The YAML text.
        source: The file or override that the text comes from.
        problems: The list to which duplicate keys and unset variables are added.
        path: The key path of the value in the recipe.

    Returns:
        Plain data; None for an empty text.

    Raises:
        RecipeError: The text is not valid YAML; the message has the line.
    """
    try:
        loader = YAML12Loader(text)
        node = loader.get_single_node()
        if node is None:
            return None
        check_node(node)
        _expand(loader, node, source, path, problems)
        return loader.construct_document(node)
    except ValueError as error:  # a value that does not fit its tag, such as !!float no
        raise RecipeError([f"{source}: not valid YAML: {error}"]) from error
    except RecursionError as error:
        raise RecipeError([f"{source}: its values are nested too deeply; write them in fewer levels"]) from error
    except yaml.MarkedYAMLError as error:
        line = f" line {error.problem_mark.line + 1}:" if error.problem_mark else ""
        raise RecipeError([f"{source}:{line} not valid YAML: {error.problem}"]) from error
    except yaml.YAMLError as error:
        raise RecipeError([f"{source}: not valid YAML: {error}"]) from error


def _expand(loader: YAML12Loader, node: yaml.Node, source: str, path: KeyPath, problems: Problems) -> None:
    """Replace environment variables in a YAML node and those below it, and report duplicate keys."""
    if isinstance(node, yaml.ScalarNode):
        if "${" in node.value:
            node.value = _from_environment(node.value, source, path, problems)
            if node.style is None:  # an unquoted value gets the type that it would have in the file
                node.tag = loader.resolve(yaml.ScalarNode, node.value or "''", (True, False))
        if variable := re.match(r"\$([A-Za-z_]\w*)(?:/|$)", node.value):
            problems.add(source, path, f"'{node.value}': write ${{{variable[1]}}} for the environment variable")
        if node.value.startswith("~/"):
            node.value = os.path.expanduser(node.value)
    elif isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            _expand(loader, item, source, (*path, str(index)), problems)
    elif isinstance(node, yaml.MappingNode):
        seen: dict[str, int] = {}
        for key, value in node.value:
            below = (*path, str(key.value))
            line = key.start_mark.line + 1
            if key.tag != "tag:yaml.org,2002:str" and key.value != "<<":
                problems.add(source, below, f"the key {key.value!r} on line {line} is not text; put it in quotes")
                key.tag = "tag:yaml.org,2002:str" if isinstance(key, yaml.ScalarNode) else key.tag
            elif key.value in seen:
                problems.add(source, below, f"the key stands on lines {seen[key.value]} and {line}; keep one of them")
            seen[str(key.value)] = line
            _expand(loader, value, source, below, problems)


def _from_environment(text: str, source: str, path: KeyPath, problems: Problems) -> str:
    def expanded(match: re.Match[str]) -> str:
        reference = re.fullmatch(r"([A-Za-z_]\w*)(?::-(.*))?", match[1], re.DOTALL)
        if reference is None:
            problems.add(source, path, f"found '{match[0]}', expected ${{VARIABLE}} or ${{VARIABLE:-default}}")
            return match[0]
        variable, default = reference.groups()
        value = os.environ.get(variable) or default
        if value is None:
            problems.add(source, path, f"'{match[0]}': set the environment variable {variable}")
            return match[0]
        return value

    return re.sub(r"\$\{([^}]*)\}", expanded, text)


def read_file(path: Path, problems: Problems) -> list[Layer]:
    """Read a recipe file and those that it extends.

    Args:
        path: The recipe file.
        problems: The list to which problems are added.

    Returns:
        A layer for each file, the extended ones first; a file that is extended twice counts once.

    Raises:
        RecipeError: A file cannot be read, is not a mapping in YAML, or extends itself.
    """
    layers: dict[Path, Layer] = {}
    _read_into(layers, path, (), problems, extending=None)
    return list(layers.values())


def _read_into(
    layers: dict[Path, Layer], path: Path, stack: tuple[Path, ...], problems: Problems, extending: str | None
) -> None:
    """Add the layers of a file after those that it extends.

    Args:
        layers: The layers read so far, by file.
        path: The file to read.
        stack: The files whose `extends` have led to this one, outermost first.
        problems: The list to which problems are added.
        extending: The file whose `extends` names this one.
    """
    resolved = path.resolve()
    if resolved in stack:
        between = "".join(f" through {file}" for file in stack[stack.index(resolved) + 1 :])
        raise RecipeError(
            [f"{extending}: extends: recipe {resolved} extends itself{between}; remove one of these `extends`"]
        )
    if resolved in layers:
        return
    source = str(path)
    data = parse(_text(path, extending), source, problems)
    if data is None:
        data = {}
    if not isinstance(data, dict):
        raise RecipeError([f"{source}: found {describe_value(data)}, expected a mapping with task, model and trainer"])
    for base in _extended_files(data.pop("extends", []), source, problems):
        base_path = Path(os.path.normpath(path.parent / base))
        _read_into(layers, base_path, (*stack, resolved), problems, extending=source)
    layers[resolved] = Layer(source, _normalize(data, path.parent))


def _text(path: Path, extending: str | None) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        siblings = [file.name for file in path.parent.glob("*.y*ml")]
        hint = did_you_mean(path.name, siblings) if isinstance(error, FileNotFoundError) else ""
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        where = f"{extending}: extends: " if extending else ""
        raise RecipeError([f"{where}the recipe '{path}' cannot be read ({reason}){hint}"]) from error


def _extended_files(value: Any, source: str, problems: Problems) -> list[str]:
    names = value if isinstance(value, list) else [value]
    if not all(isinstance(name, str) for name in names):
        problems.add(source, ("extends",), f"found {describe_value(value)}, expected a recipe file or a list of them")
        return []
    return names


def read_overrides(overrides: Sequence[str], problems: Problems) -> list[Layer]:
    """Parse overrides of the form `key.path=value`.

    Args:
        overrides: The overrides, in any order.
        problems: The list to which problems are added.

    Returns:
        A layer for each override, those that name a plugin first. So `trainer.inner_lr=0.01 trainer=xvl_maml` sets the
        inner_lr of xvl_maml.
    """
    layers = [layer for override in overrides for layer in _override(override, problems)]
    return sorted(layers, key=lambda layer: not any(_contains(layer.data, (section, "name")) for section in SECTIONS))


def _override(override: str, problems: Problems) -> Iterator[Layer]:
    source = f"override '{override}'"
    key, equals, text = override.partition("=")
    path = tuple(key.strip().split("."))
    if not equals or not all(path):
        problems.add(source, (), f"found '{override}', expected key.path=value")
        return
    data = parse(text, source, problems, path)
    for name in reversed(path):
        data = {name: data}
    yield Layer(source, _normalize(data, Path.cwd()))


def _normalize(data: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Turn plugin names into mappings, and a `start_from` relative to `folder` into an absolute path."""
    data = dict(data)
    for section in SECTIONS:
        if isinstance(data.get(section), str):
            data[section] = {"name": data[section]}
    start_from = data.get("start_from")
    if isinstance(start_from, str) and start_from not in START_KEYWORDS and not is_hub_uri(start_from):
        data["start_from"] = os.path.normpath(folder.absolute() / start_from)
    return data


def merge(base: dict[str, Any], update: dict[str, Any], top: bool = True) -> dict[str, Any]:
    """Merge two layers: mappings are merged key by key, lists and scalars are replaced.

    Where `update` names another task, model or trainer, the settings that `base` has for the old one are dropped.

    Args:
        base: The values to start from.
        update: The values that take precedence.
        top: Whether these are whole recipes, rather than values inside one.

    Returns:
        A new mapping.
    """
    merged = dict(base)
    for key, value in update.items():
        below = merged.get(key)
        if not isinstance(below, dict) or not isinstance(value, dict):
            merged[key] = value
        elif top and key in SECTIONS and "name" in value and value["name"] != below.get("name", value["name"]):
            merged[key] = value
        else:
            merged[key] = merge(below, value, top=False)
    return merged


def source_of(path: KeyPath, layers: Sequence[Layer]) -> str | None:
    """Find the file or override that set a key path, or otherwise a key above it.

    Args:
        path: The key path.
        layers: The layers, in the order in which they are merged.

    Returns:
        The source of the last such layer, or None if no layer set any part of the path.
    """
    for length in range(len(path), 0, -1):
        for layer in reversed(layers):
            if _contains(layer.data, path[:length]):
                return layer.source
    return None


def _contains(data: Any, path: KeyPath) -> bool:
    """Return whether nested mappings and lists have a key path."""
    for key in path:
        if isinstance(data, list) and key.isdigit() and int(key) < len(data):
            data = data[int(key)]
        elif isinstance(data, dict) and key in data:
            data = data[key]
        else:
            return False
    return True
