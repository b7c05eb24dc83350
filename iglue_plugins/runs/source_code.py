"""The code of plugins from outside this package: where it is from, its version, and a hash of its source."""

from __future__ import annotations

import ast
import functools
import hashlib
import importlib.machinery
import importlib.metadata
import inspect
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

OWN = __name__.partition(".")[0]
SUFFIXES = (*importlib.machinery.SOURCE_SUFFIXES, *importlib.machinery.EXTENSION_SUFFIXES)


def plugin_code(cls: type) -> list[dict[str, str]]:
    """Describe the code behind a plugin's class, so that a run is known by it.

    Of the packages that the class and its base classes are from, this one is left out, and so is Python's own library.
    The source of a package counts as a whole, since a loss may stand in another module than the trainer that takes it;
    that of base classes counts by its version if it is installed, as PyTorch is.

    Args:
        cls: The class, which may ship here.

    Returns:
        For each package its name and, where there are such, its distribution, the version, and the SHA-256 of its
        source files; empty for a class that ships here.
    """
    own = cls.__module__.partition(".")[0]
    packages = dict.fromkeys(base.__module__.partition(".")[0] for base in cls.__mro__)
    described = []
    for package in packages:
        if package == OWN or package in sys.stdlib_module_names and package != "__main__":
            continue
        is_source = package == own or not _is_installed(package)
        described.append({"package": package, **_distribution(package), **(_source(package, cls) if is_source else {})})
    return described


@functools.cache
def _distribution(package: str) -> dict[str, str]:
    names = importlib.metadata.packages_distributions().get(package, [])
    if not names:
        return {}
    return {"distribution": names[0], "version": importlib.metadata.version(names[0])}


def _is_installed(package: str) -> bool:
    """Tell whether a package lies among the installed ones, where its version tells its content."""
    folders = [Path(sysconfig.get_path(name)).resolve() for name in ("purelib", "platlib")]
    files = [Path(file).resolve() for file in _places(sys.modules[package])]
    return bool(files) and all(any(file.is_relative_to(folder) for folder in folders) for file in files)


def _places(module: ModuleType) -> list[str]:
    """Return the folders of a package, or the file of a module."""
    file = getattr(module, "__file__", None)
    return list(getattr(module, "__path__", [])) or ([file] if file else [])


def _source(package: str, cls: type) -> dict[str, str]:
    files = _source_files(sys.modules[package])
    if not files:  # a class that was typed in, as in a notebook
        return {"sha256": _hash(_typed_source(cls))}
    return {"sha256": _hash(_file_hash(file, file.stat().st_mtime_ns) for file in files)}


def _source_files(module: ModuleType) -> list[Path]:
    """List the source files of a package, or of a single module with those beside it that it imports."""
    if folders := list(getattr(module, "__path__", [])):
        return sorted(file for folder in folders for file in _files_below(Path(folder)))
    found: set[Path] = set()
    waiting = [Path(file) for file in _places(module) if file.endswith(SUFFIXES)]
    root = waiting[0].parent if waiting else Path()
    while waiting:
        file = waiting.pop()
        if file not in found:
            found.add(file)
            waiting += [other for name in _imported_names(file) for other in _beside(root, name)]
    return sorted(found)


def _files_below(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.name.endswith(SUFFIXES)]


def _beside(root: Path, name: str) -> list[Path]:
    """List the source files of a module or package in a folder."""
    package = root / name
    return [
        *(file for suffix in SUFFIXES if (file := root / f"{name}{suffix}").is_file()),
        *(_files_below(package) if package.is_dir() else []),
    ]


def _imported_names(file: Path) -> set[str]:
    """Return the first parts of the names of the modules that a source file imports."""
    if not file.name.endswith(tuple(importlib.machinery.SOURCE_SUFFIXES)):
        return set()
    nodes = list(ast.walk(ast.parse(file.read_bytes())))
    imported = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    imported += [node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module and not node.level]
    return {name.partition(".")[0] for name in imported}


def _typed_source(cls: type) -> Iterator[bytes]:
    try:
        yield inspect.getsource(cls).encode()
    except (OSError, TypeError):
        for name, value in sorted(vars(cls).items()):
            code = getattr(inspect.unwrap(value), "__code__", None) if callable(value) else None
            yield f"{name} {_code_text(code)}".encode()


def _code_text(code: Any) -> str:
    if code is None:
        return ""
    constants = [
        _code_text(constant) if hasattr(constant, "co_code") else repr(constant) for constant in code.co_consts
    ]
    return f"{code.co_code.hex()} {constants} {code.co_names}"


@functools.lru_cache(maxsize=4096)
def _file_hash(path: Path, modified: int) -> bytes:
    return hashlib.sha256(path.read_bytes()).digest()


def _hash(parts: Iterable[bytes]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(hashlib.sha256(part).digest())
    return digest.hexdigest()
