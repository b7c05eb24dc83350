"""GPUs of several names, which the machine does not have, shared out among processes and jobs."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from iglue_plugins.experiments import launcher, slurm
from iglue_plugins.experiments.devices import VISIBLE_GPUS, least_used, visible_gpus
from iglue_plugins.experiments.launcher import Launch

MIG = "MIG-c7384736-a75d-5afc-978f-d2f1294409fd"


@pytest.mark.parametrize(
    ("variable", "names"),
    [
        ("0,1", ["0", "1"]),
        (" 3, 1 ", ["3", "1"]),
        (f"{MIG},GPU-8932f937", [MIG, "GPU-8932f937"]),
        ("1,-1,2", ["1"]),
        ("-1", []),
        ("", []),
    ],
)
def test_gpus_that_the_environment_names(variable: str, names: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VISIBLE_GPUS, variable)
    assert visible_gpus() == names


@pytest.mark.parametrize("count", [0, 3])
def test_all_gpus_of_a_machine(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VISIBLE_GPUS, raising=False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    assert visible_gpus() == ["0", "1", "2"][:count]


def test_the_gpu_with_the_fewest_runs_is_next() -> None:
    assert [least_used("ab", used) for used in ("", "a", "ab", "aab", "bb")] == ["a", "b", "a", "b", "a"]
    assert least_used([], []) is None


def gpu_of_this_job(recipe: SimpleNamespace) -> Path:
    while recipe.name == "slow" and not (recipe.runs / "last").exists():
        time.sleep(0.1)
    (recipe.runs / recipe.name).touch()
    return Path(os.environ[VISIBLE_GPUS])


@pytest.fixture
def jobs_of_this_module(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Lets submitit's local jobs run the functions of this module."""
    import cloudpickle
    from submitit.core.core import Job

    monkeypatch.setattr(Job, "_results_timeout_s", 1)  # no slow file system to wait for
    module = sys.modules[__name__]
    cloudpickle.register_pickle_by_value(module)
    yield
    cloudpickle.unregister_pickle_by_value(module)


@pytest.mark.usefixtures("jobs_of_this_module")
def test_a_local_job_has_the_gpu_that_no_other_uses(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The first job goes on until the last one ends."""
    monkeypatch.setenv(VISIBLE_GPUS, f"8,{MIG}")
    recipes = [SimpleNamespace(name=name, seed=0, runs=tmp_path) for name in ("slow", "a", "last")]
    monkeypatch.setattr(launcher, "_run", gpu_of_this_job)
    monkeypatch.setattr(launcher, "_finished_folder", lambda recipe: None)
    monkeypatch.setattr(launcher, "stages", lambda recipes: [recipes])
    gpus = launcher.run_all(recipes, Launch.parse("local", 2, []))
    assert gpus == [Path("8"), Path(MIG), Path(MIG)]


@pytest.mark.parametrize(
    ("parameters", "gpus"),
    [([], ["8"]), (["gpus_per_node=1"], ["8"]), (["gpus_per_node=0"], []), (["local_gpus_per_node=0"], [])],
)
def test_local_jobs_may_ask_for_no_gpu(parameters: list[str], gpus: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VISIBLE_GPUS, "8")
    assert slurm._local_gpus(Launch.parse("local", 2, parameters).parameters) == gpus


def test_a_job_of_slurm_keeps_the_gpu_that_slurm_gives_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VISIBLE_GPUS, "5")
    recipe: Any = SimpleNamespace(name="x", runs=Path())
    assert slurm.Work(lambda recipe: Path(os.environ[VISIBLE_GPUS]))(recipe) == Path("5")
