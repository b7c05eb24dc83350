"""XVL-MAML meta-learning and the IGLUE tasks as plug-ins for a recipe-driven benchmark harness."""

from __future__ import annotations

import contextlib
import importlib.metadata
from collections.abc import MutableMapping
from typing import Any

from iglue_plugins import registry
from iglue_plugins.utils.errors import UserError

try:
    __version__ = importlib.metadata.version("iglue_plugins")
except importlib.metadata.PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0+unknown"


def register(host: Any) -> dict[str, list[str]]:
    """Put every trainer and task into another harness's registry.

    `host` is one of
    - an object with `register_trainer(name)` or `register_task(name)` or both, which return class decorators;
    - a mapping with a mutable mapping under "trainers" or "tasks" or both;
    - any other mutable mapping, which gets trainers and tasks alike under their names.

    Returns the names put in: {"trainers": [...], "tasks": [...]}, with only the kinds that the host takes.
    Raises UserError for any other host, and when the host has one of the names for another class or refuses it.
    """
    plugins = {
        registered.kind: {name: registered.get(name) for name in registered.names()}
        for registered in (registry.trainers, registry.tasks)
    }
    if isinstance(host, MutableMapping):
        shelves = {kind: host[f"{kind}s"] for kind in plugins if isinstance(host.get(f"{kind}s"), MutableMapping)}
        shelves = shelves or dict.fromkeys(plugins, host)
        _fill_mappings(shelves, plugins)
    else:
        shelves = {kind: getattr(host, f"register_{kind}", None) for kind in plugins}
        shelves = {kind: decorator for kind, decorator in shelves.items() if callable(decorator)}
        for kind, decorator in shelves.items():
            lookup = getattr(host, f"get_{kind}_class", None)
            for name, cls in plugins[kind].items():
                _decorate(kind, decorator, lookup, name, cls)
    if not shelves:
        raise UserError(
            f"found a host of type {type(host).__name__}, expected a mutable mapping, or an object with "
            "register_trainer(name) or register_task(name)"
        )
    return {f"{kind}s": list(plugins[kind]) for kind in shelves}


def _fill_mappings(shelves: dict[str, MutableMapping[str, Any]], plugins: dict[str, dict[str, type]]) -> None:
    for kind, shelf in shelves.items():
        for name, cls in plugins[kind].items():
            _check_free(kind, name, cls, shelf.get(name))
    for kind, shelf in shelves.items():
        shelf.update(plugins[kind])


def _decorate(kind: str, decorator: Any, lookup: Any, name: str, cls: type) -> None:
    """Register by the host's decorator; `lookup` is its get_<kind>_class, for hosts that overwrite silently."""
    if lookup is not None:
        with contextlib.suppress(LookupError):
            _check_free(kind, name, cls, lookup(name))
    try:
        decorator(name)(cls)
    except Exception as error:
        raise UserError(f"the host refused the {kind} '{name}' ({registry.origin(cls)}): {error}") from error


def _check_free(kind: str, name: str, cls: type, present: Any) -> None:
    if present is None or present is cls:
        return
    theirs = registry.origin(present) if isinstance(present, type) else repr(present)
    raise UserError(f"the host already has '{name}': {theirs}, which the {kind} {registry.origin(cls)} would replace")
