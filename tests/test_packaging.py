"""What is installed: the packages, their data, and the versions that they are tested with."""

from __future__ import annotations

import configparser
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def setup() -> configparser.ConfigParser:
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg")
    return parser


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy, since a build leaves files in the tree."""
    tree = tmp_path_factory.mktemp("tree")
    for name in ("iglue_plugins", "task_configs"):
        shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("setup.cfg", "pyproject.toml", "LICENSE"):
        shutil.copy(ROOT / name, tree)
    subprocess.run(
        [
            sys.executable,
            "-m",
            "pip",
            "wheel",
            "--quiet",
            "--no-index",
            "--no-deps",
            "--no-build-isolation",
            "--wheel-dir",
            tree / "dist",
            tree,
        ],
        check=True,
    )
    (built,) = (tree / "dist").iterdir()
    return built


def test_every_package_is_listed(setup: configparser.ConfigParser) -> None:
    modules = (ROOT / "iglue_plugins").rglob("*.py")
    folders = {".".join(module.parent.relative_to(ROOT).parts) for module in modules}
    assert setup["options"]["packages"].split() == sorted(folders | {"iglue_plugins.task_configs"})


def test_each_requirement_is_pinned_to_a_version_that_it_allows(setup: configparser.ConfigParser) -> None:
    pins = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text().splitlines())
    assert [version for version in pins.values() if not re.fullmatch(r"[0-9.]+", version)] == []
    versions = {_canonical(name): version for name, version in pins.items()}
    required = [setup["options"]["install_requires"], setup["options.extras_require"]["test"]]
    for requirement in map(Requirement, "\n".join(required).split()):
        assert requirement.specifier.contains(versions[_canonical(requirement.name)]), requirement


def _canonical(name: str) -> str:
    return name.lower().replace("_", "-")


def test_the_wheel_has_the_data_and_lists_everything_by_itself(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
    tree = wheel.parents[1]
    expected = {f"iglue_plugins/{path.relative_to(tree)}" for path in (tree / "task_configs").rglob("*.yaml")}
    expected |= {str(path.relative_to(tree)) for path in (tree / "iglue_plugins").rglob("*") if path.is_file()}
    assert {
        "iglue_plugins/py.typed",
        "iglue_plugins/mini/assets/tokenizer/tokenizer.json",
        "iglue_plugins/task_configs/mini/xvnli.yaml",
    } <= expected
    files = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert {path for path in files if ".dist-info/" not in path} == expected

    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    listed = subprocess.run(
        [sys.executable, "-m", "iglue_plugins", "list"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "mini/xvnli" in listed.stdout


def test_the_demo_runs_recipes_that_exist() -> None:
    planned = subprocess.run(["make", "--dry-run", "demo"], cwd=ROOT, capture_output=True, text=True, check=True)
    recipes = set(re.findall(r"\S+\.yaml", planned.stdout))
    assert len(recipes) == 4
    assert [recipe for recipe in recipes if not (ROOT / recipe).is_file()] == []
