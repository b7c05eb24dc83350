"""Trainers, tasks and models by name: built in, or added by other packages through Python entry points."""

from __future__ import annotations

import functools
import importlib
import importlib.metadata
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from iglue_plugins.utils.errors import UserError, did_you_mean

C = TypeVar("C", bound=type)


class Registry:
    """Classes of one kind by name.

    The built-in modules are imported at the first look-up; entry points are loaded at the first look-up of a name that
    is not built in, and for a listing. An entry point leads to a class, registered under the entry point's name, or to
    a module that registers its classes itself. `broken` maps the names of entry points that cannot be used to the
    reason.
    """

    def __init__(self, kind: str, entry_point_group: str, builtin_modules: Sequence[str]) -> None:
        self.kind = kind
        self.entry_point_group = entry_point_group
        self.broken: dict[str, str] = {}
        self._builtin_modules = builtin_modules
        self._builtins_imported = False
        self._plugins_loaded = False
        self._classes: dict[str, type] = {}
        self._origins: dict[str, str] = {}

    def register(self, name: str) -> Callable[[C], C]:
        """A class decorator. Raises UserError when another class has the name, or when the class has no `Settings`."""

        def decorate(cls: C) -> C:
            self._add(name, cls, origin(cls))
            return cls

        return decorate

    def names(self) -> list[str]:
        """The usable names, sorted."""
        self._load_plugins()
        return sorted(self._classes.keys() - self.broken.keys())

    def get(self, name: str) -> type:
        """The class. Raises UserError when there is none, or when its entry point cannot be used."""
        self._import_builtins()
        if name not in self._classes or any(point.name == name for point in self._entry_points):
            self._load_plugins()
        if name in self.broken:
            raise UserError(f"the {self.kind} '{name}' cannot be used: {self.broken[name]}")
        if name not in self._classes:
            raise UserError(f"found '{name}', expected the name of a {self.kind}{did_you_mean(name, self.names())}")
        return self._classes[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.names())

    @functools.cached_property
    def _entry_points(self) -> Sequence[importlib.metadata.EntryPoint]:
        return tuple(importlib.metadata.entry_points(group=self.entry_point_group))

    def _add(self, name: str, cls: type, described: str) -> None:
        if self._classes.get(name, cls) is not cls:
            raise UserError(f"two {self.kind}s are named '{name}': {self._origins[name]} and {described}")
        if not hasattr(cls, "Settings"):
            raise UserError(f"the {self.kind} '{name}' ({described}) has no Settings, expected a pydantic model")
        self._classes[name] = cls
        self._origins.setdefault(name, described)

    def _import_builtins(self) -> None:
        if self._builtins_imported:
            return
        self._builtins_imported = True  # before the imports, which may themselves look something up
        try:
            for module in self._builtin_modules:
                importlib.import_module(module)
        except BaseException:
            self._builtins_imported = False
            raise

    def _load_plugins(self) -> None:
        self._import_builtins()
        if self._plugins_loaded:
            return
        self._plugins_loaded = True
        for point in self._entry_points:
            try:
                self._load(point)
            except Exception as error:  # whatever another package does must not take the rest down
                reason = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
                self.broken[point.name] = f"entry point {_described(point)}: {reason}"
                warnings.warn(f"{self.kind} '{point.name}' left out: {self.broken[point.name]}", stacklevel=3)

    def _load(self, point: importlib.metadata.EntryPoint) -> None:
        loaded = point.load()
        if isinstance(loaded, type):
            self._add(point.name, loaded, f"{origin(loaded)} of {_distribution(point)}")
        elif ":" in point.value:
            raise UserError(f"found {type(loaded).__name__} {loaded!r}, expected a class")


def origin(cls: type) -> str:
    """Where a class is defined, as module:qualname."""
    return f"{cls.__module__}:{cls.__qualname__}"


def _distribution(point: importlib.metadata.EntryPoint) -> str:
    return f"{point.dist.name} {point.dist.version}" if point.dist else "an unknown distribution"


def _described(point: importlib.metadata.EntryPoint) -> str:
    return f"'{point.name} = {point.value}' of {_distribution(point)}"


trainers = Registry("trainer", "iglue_plugins.trainers", ["iglue_plugins.trainers"])
tasks = Registry("task", "iglue_plugins.tasks", ["iglue_plugins.tasks", "iglue_plugins.mini.tasks"])
models = Registry("model", "iglue_plugins.models", ["iglue_plugins.models", "iglue_plugins.mini.model"])
