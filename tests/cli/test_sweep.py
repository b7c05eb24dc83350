"""`iglue sweep` and the launchers on the command line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from iglue_plugins.experiments import compare, sweep
from iglue_plugins.experiments.launcher import Launch
from iglue_plugins.experiments.slurm import DEFAULTS

RECIPE = Path(__file__).parents[2] / "recipes/mini/xvnli/xvl_maml.yaml"
AS_JOBS = ("--launcher", "local", "--jobs", "3", "--launch", "mem_gb=1.5", "--launch", "slurm_partition=gpu")
LAUNCH = Launch("local", 3, DEFAULTS | {"mem_gb": 1.5, "slurm_partition": "gpu"})


@pytest.fixture
def called(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """The arguments that `sweep` and `compare` are called with, instead of calling them."""
    calls: list[tuple[Any, ...]] = []
    monkeypatch.setattr(sweep, "sweep", lambda *arguments: calls.append(arguments))
    monkeypatch.setattr(compare, "compare", lambda *arguments: calls.append(arguments))
    return calls


def test_defaults(iglue: Callable[..., Any], called: list[tuple[Any, ...]]) -> None:
    assert iglue("sweep", RECIPE).code == 0
    assert called == [(RECIPE, [], [0], "test", [], Path("sweep"), Launch(), None, False)]


def test_options(iglue: Callable[..., Any], called: list[tuple[Any, ...]]) -> None:
    over = ("--over", "auxiliary_languages=tr,ru", "--over", "trainer.inner_steps=1,3")
    more = (
        "--seeds",
        "0,1",
        "--split",
        "dev",
        "--set",
        "trainer.steps=2",
        "--output",
        "out",
        "--margin",
        "0.5",
        "--notes",
    )
    assert iglue("sweep", RECIPE, *over, *more, *AS_JOBS).code == 0
    assert iglue("compare", RECIPE, *AS_JOBS, "--margin", "2").code == 0
    assert called[0] == (
        RECIPE,
        ["auxiliary_languages=tr,ru", "trainer.inner_steps=1,3"],
        [0, 1],
        "dev",
        ["trainer.steps=2"],
        Path("out"),
        LAUNCH,
        0.5,
        True,
    )
    assert (called[1][:4], called[1][-2:]) == (([RECIPE], [0], "test", LAUNCH), (2.0, False))


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--over", "trainer.inner_stpes=1,2"), "override 'trainer.inner_stpes=1': trainer.inner_stpes: found an un"),
        (("--over", "auxiliary_languages=tr,en"), "override 'auxiliary_languages=[en]': auxiliary_languages.0: 'en'"),
        (("--launch", "mem_gb=1"), "--launch mem_gb=1: "),
        (("--margin", "0"), "--margin: 0 is no margin; give points above 0"),
        (("--launcher", "slurm"), "--launcher slurm: there is no sbatch on PATH"),
    ],
)  # fmt: skip
@pytest.mark.usefixtures("no_slurm")
def test_errors_are_one_sentence(iglue: Callable[..., Any], arguments: tuple[str, ...], sentence: str) -> None:
    assert iglue("sweep", RECIPE, *arguments).sentence().startswith(sentence)


@pytest.fixture
def no_slurm(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
