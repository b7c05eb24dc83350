"""Running what is lacking: in an order in which nothing is trained twice, in processes, and as jobs by submitit."""

from __future__ import annotations

import os
import signal
import stat
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from iglue_plugins.experiments import launcher
from iglue_plugins.experiments.launcher import Launch
from iglue_plugins.recipes.problems import RecipeError
from iglue_plugins.recipes.recipe import Recipe, load_recipe
from iglue_plugins.runs import runner
from iglue_plugins.runs.folder import Run
from iglue_plugins.utils.errors import UserError

Write = Callable[..., Path]
TRAINER = {"name": "auxiliary_finetune", "steps": 2, "batch_size": 8, "learning_rate": 1e-2}


# The order of the runs


def in_stages(recipes: list[Recipe]) -> list[list[tuple[str, int]]]:
    return [[(recipe.name, recipe.seed) for recipe in stage] for stage in launcher.stages(recipes)]


def test_recipes_that_start_from_nothing_are_one_stage(write: Write) -> None:
    recipes = [load_recipe(write(name)) for name in ("b", "a")]
    assert launcher.stages(recipes) == [recipes]
    assert launcher.stages([]) == [[]]


def test_a_shared_baseline_comes_first_and_once_for_each_seed(write: Write) -> None:
    paths = [
        write("finetune", trainer="finetune"),
        write("xvl_maml", trainer="xvl_maml", start_from="finetune"),
        write("control", start_from="finetune"),
    ]
    recipes = [load_recipe(path, [f"seed={seed}"]) for path in paths for seed in (0, 1)]
    before, rows = launcher.stages(recipes)
    assert rows == recipes
    assert [(recipe.trainer.name, recipe.seed) for recipe in before] == [("finetune", 0), ("finetune", 1)]


def test_auxiliary_languages_make_no_second_baseline_but_where_it_trains_on_them(write: Write) -> None:
    row = write("row", start_from="finetune")
    recipes = [load_recipe(row, [f"auxiliary_languages=[{language}]"]) for language in ("tr", "ru")]
    assert [len(stage) for stage in launcher.stages(recipes)] == [1, 2]
    assert launcher.same_run(recipes[0]) != launcher.same_run(recipes[1])


def test_a_chain_is_run_from_its_beginning(write: Write) -> None:
    write("first")
    write("second", start_from="first.yaml")
    third = write("third", start_from="second.yaml")
    beside = write("beside", start_from="first.yaml")
    assert in_stages([load_recipe(third), load_recipe(beside)]) == [
        [("first", 0)],
        [("second", 0), ("first", 0)],
        [("third", 0), ("beside", 0)],
    ]


# Several processes


def test_two_processes_train_what_one_does(write: Write, tmp_path: Path) -> None:
    write("first")
    changed = {"trainer": TRAINER | {"learning_rate": 3e-3}, "start_from": "first.yaml"}
    paths = [write("a", **changed), write("b", **changed | {"auxiliary_languages": ["de"]})]
    english = "evaluation.languages=[en]"
    together = launcher.run_all([load_recipe(path, [english]) for path in paths], Launch(jobs=2))
    folders = sorted(folder.name.rpartition("-")[0] for folder in (tmp_path / "runs").iterdir())
    assert folders == ["a", "b", "first"]
    for path, folder in zip(paths, together, strict=True):
        run = runner.run(load_recipe(path, [english, f"runs={tmp_path / 'alone'}"]))
        assert run.folder.name == folder.name
        assert (run.model_dir / "model.safetensors").read_bytes() == (folder / "model/model.safetensors").read_bytes()
        assert run.record()["scores"] == Run(folder).record()["scores"]


# Jobs


@pytest.fixture
def local(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Launch]:
    """Makes a Launch by submitit's local executor, whose jobs can run the functions of this module."""
    import cloudpickle
    from submitit.core.core import Job

    monkeypatch.setattr(Job, "_results_timeout_s", 1)  # no slow file system to wait for
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    module = sys.modules[__name__]
    cloudpickle.register_pickle_by_value(module)
    yield lambda *parameters, at_a_time=4: Launch.parse("local", at_a_time, parameters)
    cloudpickle.unregister_pickle_by_value(module)


def as_if(run: str, runs: Path, **more: Any) -> SimpleNamespace:
    """Stands for a recipe; `acted` says what its run does."""
    return SimpleNamespace(name=run, seed=0, runs=runs, **more)


def acted(recipe: SimpleNamespace) -> Path:
    if recipe.name == "refused":
        raise RecipeError(["recipe.yaml: task: found 'x'", "recipe.yaml: model: found 'y'"])
    if recipe.name == "broken":
        raise ZeroDivisionError("by zero")
    if recipe.name == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    tries = recipe.runs / recipe.name
    with tries.open("a") as file:
        file.write("x")
    if recipe.name == "timed out" or (recipe.name == "preempted" and len(tries.read_text()) == 1):
        os.kill(os.getpid(), signal.SIGUSR2)  # as Slurm does
    if recipe.name == "slow":
        time.sleep(60)
    return tries


def run_all_of(monkeypatch: pytest.MonkeyPatch, inputs: list[Any], launch: Launch) -> list[Any]:
    """`run_all` with anything in the place of recipes, of which `acted` runs one."""
    monkeypatch.setattr(launcher, "_run", acted)
    monkeypatch.setattr(launcher, "_finished_folder", lambda recipe: None)
    monkeypatch.setattr(launcher, "stages", lambda recipes: [recipes])
    return launcher.run_all(inputs, launch)


def test_a_job_that_is_preempted_is_started_again_and_errors_are_told_when_all_have_ended(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, local: Callable[..., Launch], capfd: pytest.CaptureFixture
) -> None:
    names = ["timed out", "refused", "broken", "killed", "preempted", "fine"]
    launch = local("timeout_min=5", at_a_time=3)  # for submitit whatever has less than ten minutes has had its time
    with pytest.raises(UserError) as ended:
        run_all_of(monkeypatch, [as_if(name, tmp_path) for name in names], launch)
    timed_out, *refused, broken, killed = str(ended.value).splitlines()
    assert "(timed out, seed 0) timed out too often; its log is " in timed_out
    assert refused == ["recipe.yaml: task: found 'x'", "recipe.yaml: model: found 'y'"]
    assert "(broken, seed 0) failed with ZeroDivisionError: by zero; its log is " in broken
    assert "(killed, seed 0) was killed, perhaps for want of memory or time (state FINISHED); its log is " in killed
    assert "ZeroDivisionError" in Path(broken.split("its log is ")[1].partition(",")[0]).read_text()
    assert [(tmp_path / name).read_text() for name in ("timed out", "preempted", "fine")] == ["xxxx", "xx", "x"]
    (folder,) = (tmp_path / ".jobs").iterdir()
    assert capfd.readouterr().err == f"stage 1 of 1: jobs for runs: 6, their logs: {folder}\n"


def test_an_interrupt_cancels_jobs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, local: Callable[..., Launch], capfd: pytest.CaptureFixture
) -> None:
    def interrupt() -> None:
        while not (tmp_path / "slow").exists():
            time.sleep(0.1)
        os.kill(os.getpid(), signal.SIGINT)

    launch = local()
    threading.Thread(target=interrupt).start()
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        run_all_of(monkeypatch, [as_if("slow", tmp_path)], launch)
    assert time.monotonic() - began < 45
    assert capfd.readouterr().err.splitlines()[1:] == ["jobs cancelled: 1"]


# Slurm


PROGRAMS = {
    "sbatch": 'cp "$1" "$0.script"; echo Submitted batch job 7',
    "srun": "exit 1",
    "sacct": 'echo "JobID|State|NodeList"; echo "7_0|TIMEOUT|n1"; echo "7_1|OUT_OF_MEMORY|n1"',
    "scancel": 'echo "$1" >> "$0.cancelled"',
}


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, local: Callable[..., Launch]) -> Iterator[Path]:
    """A folder on PATH with programs that answer as Slurm's do, of which sbatch keeps the script that it is given."""
    from submitit.slurm.slurm import SlurmJob

    folder = tmp_path / "bin"
    folder.mkdir()
    for name, script in PROGRAMS.items():
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(stat.S_IRWXU)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    yield folder
    SlurmJob.watcher.clear()


def test_a_stage_is_one_array_with_the_parameters_that_are_given(
    slurm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parameters = ["slurm_partition=gpu", "gpus_per_node=1", "mem_gb=32", "slurm_array_parallelism=1"]
    parameters.append("slurm_setup=[module load cuda]")
    with pytest.raises(UserError) as ended:
        run_all_of(monkeypatch, [as_if(name, tmp_path) for name in ("a", "b")], Launch.parse("slurm", 1, parameters))
    first, second = str(ended.value).splitlines()
    assert first.startswith("job 7_0 (a, seed 0) was killed, perhaps for want of memory or time (state TIMEOUT); its ")
    assert "job 7_1 (b, seed 0) was killed" in second and "(state OUT_OF_MEMORY)" in second
    script = (slurm / "sbatch.script").read_text().strip().splitlines()
    for line in ("partition=gpu", "gpus-per-node=1", "mem=32GB", "array=0-1%1", "time=1440", "job-name=iglue"):
        assert f"#SBATCH --{line}" in script
    assert "module load cuda" in script
    assert f"{sys.executable} -u -m submitit.core._submit {tmp_path / '.jobs'}" in script[-1]


def test_an_interrupt_cancels_what_slurm_holds(
    slurm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture
) -> None:
    (slurm / "sacct").write_text("#!/bin/sh\n" + PROGRAMS["sacct"].replace("OUT_OF_MEMORY", "PENDING"))
    threading.Timer(1.5, os.kill, (os.getpid(), signal.SIGINT)).start()
    with pytest.raises(KeyboardInterrupt):
        run_all_of(monkeypatch, [as_if(name, tmp_path) for name in ("a", "b")], Launch.parse("slurm", 1, []))
    assert (slurm / "scancel.cancelled").read_text() == "7_1\n"
    assert capfd.readouterr().err.endswith("jobs cancelled: 1\n")


def test_what_sbatch_says_is_shown(slurm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (slurm / "sbatch").write_text("#!/bin/sh\necho 'invalid partition specified: gpus' >&2; exit 1\n")
    with pytest.raises(UserError, match="^sbatch .*invalid partition specified: gpus.*--launch"):
        run_all_of(monkeypatch, [as_if("a", tmp_path)], Launch.parse("slurm", 1, ["slurm_partition=gpus"]))


# What cannot be launched


@pytest.mark.parametrize(
    ("launcher", "parameters", "expected"),
    [
        ("slrum", [], "--launcher: .*'slrum'; did you mean 'slurm'?"),
        ("processes", ["mem_gb=2"], "--launch mem_gb=2: .*--launcher slurm"),
        ("local", ["mem_gb"], "--launch: 'mem_gb' .*KEY=VALUE"),
        ("local", ["mem_bg=2"], "--launch mem_bg: .*; did you mean 'mem_gb'?"),
        ("local", ["slurm_partitoin=a"], "--launch slurm_partitoin: .*; did you mean 'slurm_partition'?"),
        ("local", ["xyz=1"], "--launch xyz: .*; choose from .*gpus_per_node, .*slurm_qos, .*timeout_min"),
        ("local", ["timeout_min=soon"], "--launch timeout_min: 'soon' .* int"),
        ("local", ["tasks_per_node=2"], "--launch tasks_per_node: .*2.* leave it at 1"),
        ("local", ["mem_gb=[2"], r"--launch mem_gb: '\[2' .*YAML"),
        ("slurm", ["slurm_setup=module"], "--launch: submitit .*slurm_setup=module"),
    ],
)
def test_what_cannot_be_launched(slurm: Path, launcher: str, parameters: list[str], expected: str) -> None:
    with pytest.raises(UserError, match=f"^{expected.replace('?', '[?]')}"):
        Launch.parse(launcher, 1, parameters)


def test_what_is_not_installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="^--launcher slurm: .*sbatch.*PATH"):
        Launch.parse("slurm", 1, [])
    monkeypatch.setitem(sys.modules, "submitit", None)
    with pytest.raises(UserError, match=r"submitit .*pip install 'iglue_plugins\[slurm\]'$"):
        Launch.parse("local", 1, [])
