"""Trainers, tasks and models by name: those of this package, and those of others through Python entry points.

A registered class says what a recipe has to know: `Settings`, a pydantic model, and a few facts. It may be the plugin
itself, or a specification of it, which names the plugin in its attribute `implementation` ("module:Class"). What ships
here is registered by specification, so that names, schemas and recipe checks answer without importing PyTorch.
"""

from __future__ import annotations

import functools
import importlib
import importlib.metadata
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from iglue_plugins.utils.errors import UserError, did_you_mean

C = TypeVar("C", bound=type)


class Registry:
    """Plugins of one kind by name.

    Modules of this package are imported at the first look-up. Entry points are loaded when a name is looked up that
    this package does not have, and for a listing.

    Args:
        kind: "trainer", "task" or "model", for errors.
        entry_point_group: The group of entry points in which other packages add plugins. An entry point names a class,
            which is registered under the entry point's name, or a module that registers its classes itself.
        builtin_modules: The modules of this package that register plugins.

    Attributes:
        broken: The names of entry points that cannot be used, with the reason.
    """

    def __init__(self, kind: str, entry_point_group: str, builtin_modules: Sequence[str]) -> None:
        self.kind = kind
        self.entry_point_group = entry_point_group
        self.broken: dict[str, str] = {}
        self._builtin_modules = builtin_modules
        self._builtins_imported = False
        self._entry_points_loaded = False
        self._classes: dict[str, Any] = {}
        self._origins: dict[str, str] = {}

    def register(self, name: str) -> Callable[[C], C]:
        """Make a class decorator that registers a plugin, or its specification.

        Args:
            name: The name in recipes.

        Returns:
            A decorator that returns the class as it is.

        Raises:
            UserError: Another class has the name, or the class has no `Settings`.
        """

        def decorate(cls: C) -> C:
            self._add(name, cls, class_path(cls))
            return cls

        return decorate

    def names(self) -> list[str]:
        """Return the names of all usable plugins, sorted."""
        self._load_entry_points()
        return sorted(self._classes.keys() - self.broken.keys())

    def get(self, name: str) -> Any:
        """Look up a registered class: a plugin, or its specification.

        Args:
            name: The name in recipes.

        Returns:
            A class with `Settings` and the facts of its kind.

        Raises:
            UserError: There is no such plugin, or its entry point cannot be used.
        """
        self._import_builtins()
        if name not in self._classes or any(point.name == name for point in self._entry_points):
            self._load_entry_points()
        if name in self.broken:
            raise UserError(f"the {self.kind} '{name}' cannot be used: {self.broken[name]}")
        if name not in self._classes:
            raise UserError(f"there is no {self.kind} '{name}'{did_you_mean(name, self.names())}")
        return self._classes[name]

    def load(self, name: str) -> Any:
        """Look up a plugin and import the class that implements it.

        Args:
            name: The name in recipes.

        Returns:
            The plugin's class, to be called with an instance of its `Settings`.

        Raises:
            UserError: As `get`, or the specification names an implementation that cannot be imported.
        """
        registered = self.get(name)
        path = vars(registered).get("implementation")  # a subclass of a plugin inherits it, and is a plugin itself
        if path is None:
            return registered
        module, _, attribute = path.partition(":")
        try:
            return getattr(importlib.import_module(module), attribute)
        except (ImportError, AttributeError) as error:
            raise UserError(
                f"the {self.kind} '{name}' cannot be used: {class_path(registered)} names the implementation "
                f"'{path}', which cannot be imported ({error})"
            ) from error

    def __iter__(self) -> Iterator[str]:
        return iter(self.names())

    @functools.cached_property
    def _entry_points(self) -> Sequence[importlib.metadata.EntryPoint]:
        return tuple(importlib.metadata.entry_points(group=self.entry_point_group))

    def _add(self, name: str, cls: type, origin: str) -> None:
        if self._classes.get(name, cls) is not cls:
            raise UserError(f"two {self.kind}s are named '{name}': {self._origins[name]} and {origin}")
        if not hasattr(cls, "Settings"):
            raise UserError(f"the {self.kind} '{name}' ({origin}) has no Settings; give the class a pydantic model")
        self._classes[name] = cls
        self._origins.setdefault(name, origin)

    def _import_builtins(self) -> None:
        if self._builtins_imported:
            return
        self._builtins_imported = True  # set before the imports, which may look up names themselves
        try:
            for module in self._builtin_modules:
                importlib.import_module(module)
        except BaseException:
            self._builtins_imported = False
            raise

    def _load_entry_points(self) -> None:
        self._import_builtins()
        if self._entry_points_loaded:
            return
        self._entry_points_loaded = True
        for point in self._entry_points:
            try:
                self._load_entry_point(point)
            except Exception as error:  # a broken package must not take the others down
                reason = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
                self.broken[point.name] = (
                    f"entry point '{point.name} = {point.value}' of {_distribution(point)}: {reason}"
                )
                warnings.warn(f"{self.kind} '{point.name}' is left out: {self.broken[point.name]}", stacklevel=3)

    def _load_entry_point(self, point: importlib.metadata.EntryPoint) -> None:
        loaded = point.load()
        if isinstance(loaded, type):
            self._add(point.name, loaded, f"{class_path(loaded)} of {_distribution(point)}")
        elif ":" in point.value:
            raise UserError(f"it names a {type(loaded).__name__}, {loaded!r}; name a class")


def class_path(cls: type) -> str:
    """Return where a class is defined, as "module:qualified name"."""
    return f"{cls.__module__}:{cls.__qualname__}"


def _distribution(point: importlib.metadata.EntryPoint) -> str:
    return f"{point.dist.name} {point.dist.version}" if point.dist else "an unknown distribution"


trainers = Registry("trainer", "iglue_plugins.trainers", ["iglue_plugins.trainers.builtin"])
tasks = Registry(
    "task",
    "iglue_plugins.tasks",
    ["iglue_plugins.tasks.builtin", "iglue_plugins.tasks.custom.builtin", "iglue_plugins.mini.builtin"],
)
models = Registry("model", "iglue_plugins.models", ["iglue_plugins.models.builtin", "iglue_plugins.mini.builtin"])
