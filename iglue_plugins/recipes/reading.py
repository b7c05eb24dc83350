"""Recipe files as layers of plain data: YAML, environment variables, `extends`, key=value overrides."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from iglue_plugins.recipes.problems import KeyPath, Problems, RecipeError, shown
from iglue_plugins.utils.errors import did_you_mean
from iglue_plugins.utils.yaml import YAML12Loader

SECTIONS = ("task", "model", "trainer")
START_KEYWORDS = ("model", "finetune")


@dataclass(frozen=True)
class Layer:
    """What one file or override says, and how messages name it."""

    source: str
    data: dict[str, Any]


def parse(text: str, source: str, problems: Problems, path: KeyPath = ()) -> Any:
    """YAML with ${VAR} and ${VAR:-default} from the environment; `path` is where the value stands in the recipe.

    Raises RecipeError with the line for a syntax error; adds duplicate keys and unset variables to `problems`.
    """
    try:
        loader = YAML12Loader(text)
        node = loader.get_single_node()
        if node is None:
            return None
        _expand(loader, node, source, path, problems)
        return loader.construct_document(node)
    except yaml.MarkedYAMLError as error:
        line = f" line {error.problem_mark.line + 1}:" if error.problem_mark else ""
        raise RecipeError([f"{source}:{line} found a YAML error: {error.problem}"]) from error
    except yaml.YAMLError as error:
        raise RecipeError([f"{source}: found a YAML error: {error}"]) from error


def _expand(loader: YAML12Loader, node: yaml.Node, source: str, path: KeyPath, problems: Problems) -> None:
    if isinstance(node, yaml.ScalarNode) and "${" in node.value:
        node.value = _from_environment(node.value, source, path, problems)
        if node.style is None:  # a plain scalar takes the type that it would have if it stood in the file
            node.tag = loader.resolve(yaml.ScalarNode, node.value or "''", (True, False))
    elif isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            _expand(loader, item, source, (*path, str(index)), problems)
    elif isinstance(node, yaml.MappingNode):
        seen: dict[str, int] = {}
        for key, value in node.value:
            below = (*path, str(key.value))
            line = key.start_mark.line + 1
            if key.tag != "tag:yaml.org,2002:str" and key.value != "<<":
                problems.add(source, below, f"found the key {key.value!r} on line {line}, expected text")
                key.tag = "tag:yaml.org,2002:str" if isinstance(key, yaml.ScalarNode) else key.tag
            elif key.value in seen:
                problems.add(source, below, f"found on lines {seen[key.value]} and {line}, expected once")
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
            problems.add(source, path, f"found '{match[0]}', expected the environment variable {variable} to be set")
            return match[0]
        return value

    return re.sub(r"\$\{([^}]*)\}", expanded, text)


def read_file(path: Path, problems: Problems) -> list[Layer]:
    """The layers of a recipe file, those that it extends first; a file that is extended twice counts once."""
    layers: dict[Path, Layer] = {}
    _read_into(layers, path, (), problems, asked_by=None)
    return list(layers.values())


def _read_into(
    layers: dict[Path, Layer], path: Path, stack: tuple[Path, ...], problems: Problems, asked_by: str | None
) -> None:
    resolved = path.resolve()
    if resolved in stack:
        circle = " -> ".join(str(file) for file in (*stack[stack.index(resolved) :], resolved))
        raise RecipeError([f"{asked_by}: extends: found a circle, {circle}, expected one that ends"])
    if resolved in layers:
        return
    source = str(path)
    data = parse(_text(path, asked_by), source, problems)
    if data is None:
        data = {}
    if not isinstance(data, dict):
        raise RecipeError([f"{source}: found {shown(data)}, expected a mapping with task, model and trainer"])
    for base in _extended(data.pop("extends", []), source, problems):
        base_path = Path(os.path.normpath(path.parent / base))
        _read_into(layers, base_path, (*stack, resolved), problems, asked_by=source)
    layers[resolved] = Layer(source, _normalised(data, path.parent))


def _text(path: Path, asked_by: str | None) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        siblings = [file.name for file in path.parent.glob("*.y*ml")]
        hint = did_you_mean(path.name, siblings) if isinstance(error, FileNotFoundError) else ""
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        where = f"{asked_by}: extends: " if asked_by else ""
        raise RecipeError([f"{where}found '{path}', expected a recipe that can be read: {reason}{hint}"]) from error


def _extended(value: Any, source: str, problems: Problems) -> list[str]:
    names = value if isinstance(value, list) else [value]
    if not all(isinstance(name, str) for name in names):
        problems.add(source, ("extends",), f"found {shown(value)}, expected a recipe file or a list of them")
        return []
    return names


def read_overrides(overrides: Sequence[str], problems: Problems) -> list[Layer]:
    """A layer for each "key.path=value"; those that name a plugin come first, whatever their order.

    So `trainer.inner_lr=0.01 trainer=xvl_maml` sets the inner_lr of xvl_maml.
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
    for part in reversed(path):
        data = {part: data}
    yield Layer(source, _normalised(data, Path.cwd()))


def _normalised(data: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Bare plugin names as mappings, and a relative start_from made absolute."""
    data = dict(data)
    for section in SECTIONS:
        if isinstance(data.get(section), str):
            data[section] = {"name": data[section]}
    start_from = data.get("start_from")
    if isinstance(start_from, str) and start_from not in START_KEYWORDS:
        data["start_from"] = os.path.normpath(folder.absolute() / start_from)
    return data


def merge(base: dict[str, Any], over: dict[str, Any], top: bool = True) -> dict[str, Any]:
    """`over` on `base`: mappings merge, lists and scalars replace.

    Where `over` names another task, model or trainer, the settings that `base` has for the old one are dropped.
    """
    merged = dict(base)
    for key, value in over.items():
        below = merged.get(key)
        if not isinstance(below, dict) or not isinstance(value, dict):
            merged[key] = value
        elif top and key in SECTIONS and "name" in value and value["name"] != below.get("name", value["name"]):
            merged[key] = value
        else:
            merged[key] = merge(below, value, top=False)
    return merged


def source_of(path: KeyPath, layers: Sequence[Layer]) -> str | None:
    """The layer that set a key path, or else the one that set what it stands in; None when none did."""
    for length in range(len(path), 0, -1):
        for layer in reversed(layers):
            if _contains(layer.data, path[:length]):
                return layer.source
    return None


def _contains(data: Any, path: KeyPath) -> bool:
    for key in path:
        if isinstance(data, list) and key.isdigit() and int(key) < len(data):
            data = data[int(key)]
        elif isinstance(data, dict) and key in data:
            data = data[key]
        else:
            return False
    return True
