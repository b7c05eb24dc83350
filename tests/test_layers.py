"""The imports between the package's modules, which go down and in no circle, and the length of files.

grimp reads every import statement, those inside functions and under `TYPE_CHECKING` included.
"""

from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import grimp
import pytest

# From the highest to the lowest; a layer may import those below it. What stands in one set may not import each other.
LAYERS = [
    {"cli"},
    {"experiments"},
    {"reporting", "integrations", "advice"},
    {"published"},
    {"runs"},
    {"mini", "trainers"},
    {"evaluation"},
    {"tasks", "models"},
    {"data"},
    {"recipes"},
    {"registry", "meta"},
    {"utils"},
]


@pytest.fixture(scope="module")
def graph():
    return grimp.build_graph("iglue_plugins", cache_dir=None)


def test_every_package_has_a_layer(graph):
    children = {child.removeprefix("iglue_plugins.") for child in graph.find_children("iglue_plugins")}
    assert children - {"__main__", "task_configs"} == set.union(*LAYERS)


def test_imports_go_down(graph):
    illegal = graph.find_illegal_dependencies_for_layers(
        [grimp.Layer(*layer, independent=True) for layer in LAYERS], containers={"iglue_plugins"}
    )
    assert not [f"{chain.importer} -> {chain.imported}: {sorted(chain.routes, key=str)}" for chain in illegal]


def test_no_circle(graph):
    imports = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    try:
        tuple(TopologicalSorter(imports).static_order())
    except CycleError as error:
        pytest.fail(f"these modules import each other: {' <- '.join(error.args[1])}")


def test_no_file_is_longer_than_300_lines():
    root = Path(__file__).parents[1]
    files = [path for folder in ("iglue_plugins", "tests", "benchmarks") for path in (root / folder).rglob("*.py")]
    assert [str(path) for path in files if len(path.read_text().splitlines()) > 300] == []
