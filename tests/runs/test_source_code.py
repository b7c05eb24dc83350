"""The code of plugins from outside this package."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from iglue_plugins.runs.source_code import plugin_code
from iglue_plugins.trainers.finetune import Finetune

TRAINER = "from iglue_plugins.trainers.finetune import Finetune\n\n\nclass Mine(Finetune):\n    pass\n"


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., type]]:
    """Gives a function that writes modules, and returns the class Mine of one of them, as a new process would."""
    monkeypatch.syspath_prepend(tmp_path)
    known = set(sys.modules)

    def write_and_load(module: str, texts: Mapping[str, str]) -> type:
        for name, text in texts.items():
            path = tmp_path / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
            os.utime(path, ns=(len(text), len(text)))  # two versions within a clock's tick have other times
        for name in set(sys.modules) - known:
            del sys.modules[name]
        importlib.invalidate_caches()
        return importlib.import_module(module).Mine

    yield write_and_load
    for name in set(sys.modules) - known:
        del sys.modules[name]


def test_what_ships_here_is_not_described() -> None:
    assert plugin_code(Finetune) == []


def test_a_change_of_the_module_or_of_one_that_it_imports_changes_the_hash(load: Callable[..., type]) -> None:
    (first,) = plugin_code(
        load("alone", {"alone.py": f"import losses_of_mine\n{TRAINER}", "losses_of_mine.py": "A = 1\n"})
    )
    assert (first["package"], len(first["sha256"])) == ("alone", 64)
    assert plugin_code(load("alone", {"unrelated_of_mine.py": "B = 1\n"})) == [first]
    (second,) = plugin_code(load("alone", {"losses_of_mine.py": "A = 22\n"}))
    (third,) = plugin_code(load("alone", {"alone.py": f"import losses_of_mine\n{TRAINER}    x = 1\n"}))
    assert len({found["sha256"] for found in (first, second, third)}) == 3


def test_a_change_anywhere_in_a_package_changes_the_hash(load: Callable[..., type], tmp_path: Path) -> None:
    texts = {"pack/__init__.py": "", "pack/trainer.py": TRAINER, "pack/loss.py": "A = 1\n"}
    (first,) = plugin_code(load("pack.trainer", texts))
    (tmp_path / "pack" / "notes.txt").write_text("not code")
    assert plugin_code(load("pack.trainer", {})) == [first]
    assert plugin_code(load("pack.trainer", {"pack/loss.py": "A = 22\n"})) != [first]


def test_a_base_class_from_elsewhere_counts(load: Callable[..., type]) -> None:
    derived = "from base_of_mine import Mine as Base\n\n\nclass Mine(Base):\n    pass\n"
    found = plugin_code(load("derived", {"derived.py": derived, "base_of_mine.py": TRAINER}))
    assert [code["package"] for code in found] == ["derived", "base_of_mine"]


def test_installed_packages_count_by_their_version() -> None:
    class Mine(sys.modules["torch"].nn.Module):
        pass

    Mine.__module__ = "__main__"
    torch = next(code for code in plugin_code(Mine) if code["package"] == "torch")
    assert torch.keys() == {"package", "distribution", "version"}
    assert torch["distribution"] == "torch"


def test_a_class_that_was_typed_in_counts_by_its_functions(monkeypatch: pytest.MonkeyPatch) -> None:
    def typed(body: str) -> type:
        names: dict[str, type] = {"__name__": "__main__"}
        exec(f"class Mine:\n    def loss(self, x):\n        return {body}\n", names)
        return names["Mine"]

    monkeypatch.delattr(sys.modules["__main__"], "__file__", raising=False)
    monkeypatch.delattr(sys.modules["__main__"], "__path__", raising=False)
    assert plugin_code(typed("x + 1")) == plugin_code(typed("x + 1"))
    assert len({plugin_code(typed(body))[0]["sha256"] for body in ("x + 1", "x + 2", "x - 1", "x.mean()")}) == 4
