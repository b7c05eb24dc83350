from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import iglue_plugins
from iglue_plugins import registry
from iglue_plugins.registry import Registry
from iglue_plugins.utils.errors import UserError

GROUP = "iglue_plugins_test.trainers"


class Finetune:
    Settings = dict


class Meta:
    Settings = dict


def fresh(**classes: type) -> Registry:
    made = Registry("trainer", GROUP, [])
    for name, cls in classes.items():
        made.register(name)(cls)
    return made


def install(
    folder: Path, monkeypatch: pytest.MonkeyPatch, distribution: str, entries: dict[str, str], code: str
) -> None:
    """A distribution with one module of the same name, as pip would leave it."""
    info = folder / f"{distribution}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
    lines = [f"{name} = {value}" for name, value in entries.items()]
    (info / "entry_points.txt").write_text("\n".join([f"[{GROUP}]", *lines]) + "\n")
    (folder / f"{distribution}.py").write_text(code)
    monkeypatch.syspath_prepend(folder)
    monkeypatch.delitem(sys.modules, distribution, raising=False)


def test_names_are_sorted_and_classes_come_back() -> None:
    trainers = fresh(meta=Meta, finetune=Finetune)
    assert list(trainers) == trainers.names() == ["finetune", "meta"]
    assert trainers.get("meta") is Meta


def test_unknown_name_gets_the_nearest() -> None:
    with pytest.raises(UserError, match="there is no trainer 'finetun'; did you mean 'finetune'?"):
        fresh(finetune=Finetune).get("finetun")


def test_duplicate_names_both_sides() -> None:
    trainers = fresh(finetune=Finetune)
    with pytest.raises(UserError) as error:
        trainers.register("finetune")(Meta)
    assert f"named 'finetune': {__name__}:Finetune and {__name__}:Meta" in str(error.value)
    assert trainers.get("finetune") is Finetune
    trainers.register("finetune")(Finetune)  # the same class again is no conflict


def test_a_class_without_settings_is_refused() -> None:
    with pytest.raises(UserError, match="has no Settings"):
        fresh().register("object")(object)


def test_builtin_modules_are_imported_at_the_first_look_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "late_builtin.py").write_text("raise RuntimeError('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    trainers = Registry("trainer", GROUP, ["late_builtin"])
    for _ in range(2):  # the reason comes again, rather than "unknown name"
        with pytest.raises(RuntimeError, match="imported"):
            trainers.get("finetune")


def test_entry_point_class(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, monkeypatch, "outside", {"reptile": "outside:Reptile"}, "class Reptile:\n    Settings = dict\n")
    trainers = fresh(finetune=Finetune)
    trainers.get("finetune")
    assert "outside" not in sys.modules  # a built-in name needs no plugin
    assert trainers.get("reptile").__module__ == "outside"
    assert trainers.names() == ["finetune", "reptile"]
    assert trainers.broken == {}


def test_entry_point_that_fails_leaves_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = "class Good:\n    Settings = dict\nnumber = 3\n"
    entries = {"bad": "outside:Missing", "good": "outside:Good", "number": "outside:number", "gone": "no_such_module:X"}
    install(tmp_path, monkeypatch, "outside", entries, code)
    trainers = fresh()
    with pytest.warns(UserWarning) as warned:
        assert trainers.names() == ["good"]
    assert len(warned) == 3
    assert sorted(trainers.broken) == ["bad", "gone", "number"]
    assert "'number = outside:number' of outside 1.0: it names a int, 3; name a class" in trainers.broken["number"]
    with pytest.raises(UserError, match="the trainer 'gone' cannot be used: .*No module named 'no_such_module'"):
        trainers.get("gone")


def test_entry_point_with_a_builtin_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, monkeypatch, "outside", {"finetune": "outside:Mine"}, "class Mine:\n    Settings = dict\n")
    trainers = fresh(finetune=Finetune)
    with pytest.warns(UserWarning), pytest.raises(UserError) as error:
        trainers.get("finetune")
    assert f"two trainers are named 'finetune': {__name__}:Finetune and outside:Mine of outside 1.0" in str(error.value)


def test_importing_recipes_and_runs_leaves_torch_alone() -> None:
    code = "import sys, iglue_plugins.recipes, iglue_plugins.runs; print({'torch', 'transformers'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"


# Other harnesses


@pytest.fixture
def ours(monkeypatch: pytest.MonkeyPatch) -> None:
    tasks = Registry("task", GROUP, [])
    tasks.register("xvnli")(Meta)
    monkeypatch.setattr(registry, "trainers", fresh(finetune=Finetune))
    monkeypatch.setattr(registry, "tasks", tasks)


class Host:
    """The decorator style, with a look-up and silent overwriting."""

    def __init__(self) -> None:
        self.found: dict[str, type] = {}

    def register_trainer(self, name: str):
        return lambda cls: self.found.setdefault(name, cls)

    def get_trainer_class(self, name: str) -> type | None:
        return self.found.get(name)


def test_register_into_mappings(ours: None) -> None:
    plain: dict = {}
    assert iglue_plugins.register(plain) == {"trainers": ["finetune"], "tasks": ["xvnli"]}
    assert plain == {"finetune": Finetune, "xvnli": Meta}
    nested: dict = {"trainers": {}, "tasks": {}}
    iglue_plugins.register(nested)
    assert nested == {"trainers": {"finetune": Finetune}, "tasks": {"xvnli": Meta}}
    iglue_plugins.register(nested)  # again, without a conflict


def test_register_into_a_host_that_takes_trainers_only(ours: None) -> None:
    host = Host()
    assert iglue_plugins.register(host) == {"trainers": ["finetune"]}
    assert host.found == {"finetune": Finetune}


def test_register_refuses_to_replace(ours: None) -> None:
    host, nested = Host(), {"trainers": {}, "tasks": {"xvnli": str}}
    host.found["finetune"] = Meta
    with pytest.raises(UserError, match=f"already has 'finetune': {__name__}:Meta, .*trainer {__name__}:Finetune"):
        iglue_plugins.register(host)
    with pytest.raises(UserError, match="already has 'xvnli': builtins:str"):
        iglue_plugins.register(nested)
    assert nested["trainers"] == {}  # nothing was put in before the conflict was seen


class Taken:
    def register_task(self, name: str):
        raise KeyError(f"{name} is taken")


class OwnBaseClass:
    def register_task(self, name: str):
        def decorate(cls: type) -> type:
            assert issubclass(cls, dict), "All tasks must inherit dict"
            return cls

        return decorate


class Silent:
    def register_task(self, name: str):
        raise NotImplementedError


@pytest.mark.parametrize(
    ("host", "said"),
    [
        (Taken(), "KeyError: 'xvnli is taken'"),
        (OwnBaseClass(), "AssertionError: All tasks must inherit dict"),
        (Silent(), "NotImplementedError"),
    ],
)
def test_register_passes_on_the_hosts_refusal(ours: None, host: object, said: str) -> None:
    with pytest.raises(UserError, match=f"refused the task 'xvnli' .{__name__}:Meta.: {said}"):
        iglue_plugins.register(host)


def test_register_into_something_else(ours: None) -> None:
    with pytest.raises(
        UserError, match="a host of type list cannot take plugins; give a mutable mapping, or an object with"
    ):
        iglue_plugins.register([])
