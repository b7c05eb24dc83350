"""What the benchmarks use of the package, since no other test runs them."""

from __future__ import annotations

import ast
from pathlib import Path
from types import ModuleType

import pytest

BENCHMARKS = sorted((Path(__file__).parents[1] / "benchmarks").rglob("*.py"))


@pytest.mark.parametrize("path", BENCHMARKS, ids=lambda path: path.stem)
def test_what_a_benchmark_takes_of_the_package_is_there(path: Path) -> None:
    nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    imported: dict[str, object] = {}
    for node in nodes:
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("iglue_plugins"):
            exec(ast.unparse(node), imported)
    used = [node for node in nodes if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)]
    missing = [
        ast.unparse(node)
        for node in used
        if isinstance(module := imported.get(node.value.id), ModuleType) and not hasattr(module, node.attr)
    ]
    assert not missing
