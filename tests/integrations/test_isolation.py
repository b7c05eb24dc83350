"""The package without lmms-eval."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys

import pytest

IMPORT_ALL = """
import importlib, pkgutil, sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "lmms_eval":
            raise ImportError("a module of lmms-eval is imported: " + name)

sys.meta_path.insert(0, Absent())
import iglue_plugins
names = [found.name for found in pkgutil.walk_packages(iglue_plugins.__path__, "iglue_plugins.")]
imported = [name for name in names if not name.endswith(("integrations.lmms_eval.model", "__main__"))]
for name in imported:
    importlib.import_module(name)
assert "iglue_plugins.integrations.lmms_eval.predictor" in imported
try:
    importlib.import_module("iglue_plugins.integrations.lmms_eval.model")
except ImportError:
    print("all but the model")
"""


def test_only_the_model_imports_lmms_eval() -> None:
    ended = subprocess.run([sys.executable, "-c", IMPORT_ALL], capture_output=True, text=True)
    assert (ended.returncode, ended.stdout) == (0, "all but the model\n"), ended.stderr


def test_only_an_extra_requires_lmms_eval() -> None:
    try:
        required = importlib.metadata.requires("iglue_plugins")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("the package is not installed")
    assert required
    assert not [line for line in required if "lmms" in line and "extra ==" not in line]
