"""From a recipe to a finished run: what it leaves behind, what it reuses, and what it survives."""

from __future__ import annotations

import importlib
import json
import multiprocessing
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from iglue_plugins import harness, registry
from iglue_plugins.errors import UserError
from iglue_plugins.recipes import Recipe, load_recipe
from iglue_plugins.runs import Run
from iglue_plugins.trainers.base import Trainer

TINY_TASK = '''
from iglue_plugins.mini.tasks import MiniXVNLI
from iglue_plugins.registry import tasks


@tasks.register("tiny/xvnli")
class TinyXVNLI(MiniXVNLI):
    name = "tiny/xvnli"
    languages = ("en", "tr", "de")
    sizes = {"train": 32, "auxiliary": 24, "dev": 5, "test": 6}
    trainer_defaults = {
        "finetune": {"steps": 3, "batch_size": 8, "learning_rate": 1e-2},
        "auxiliary_finetune": {"steps": 2, "batch_size": 8, "learning_rate": 1e-2},
        "xvl_maml": {"steps": 6, "support_size": 4, "query_size": 4, "learning_rate": 1e-2, "save_every": 2},
    }
'''
TIMINGS = {"training_seconds", "evaluation_seconds", "peak_memory_gib"}
MakeRecipe = Callable[..., Recipe]


@pytest.fixture(scope="module", autouse=True)
def tiny_task(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Registers 'tiny/xvnli'; the folder has the module that does so in other processes."""
    folder = tmp_path_factory.mktemp("tiny")
    (folder / "tiny_task.py").write_text(TINY_TASK)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        importlib.import_module("tiny_task")
        yield folder
    del sys.modules["tiny_task"], registry.tasks._classes["tiny/xvnli"], registry.tasks._origins["tiny/xvnli"]


@pytest.fixture
def recipe(tmp_path: Path, tiny_checkpoint: Path) -> MakeRecipe:
    """Writes recipe.yaml, or the file of another name, and loads it. The first changes it, the others override."""

    def make(changes: dict[str, Any] | None = None, *overrides: str, file: str = "recipe") -> Recipe:
        data = {
            "task": "tiny/xvnli",
            "model": {"name": "xuniter", "checkpoint": str(tiny_checkpoint)},
            "trainer": "finetune",
            "evaluation": {"languages": ["en", "tr"]},
            "runs": str(tmp_path / "runs"),
        }
        path = tmp_path / f"{file}.yaml"
        path.write_text(yaml.safe_dump(data | (changes or {})))
        return load_recipe(path, overrides)

    return make


@pytest.fixture
def fits(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the trainers that trained, in their order."""
    names: list[str] = []
    fit = Trainer.fit

    def noted(self: Trainer, *args: Any, **kwargs: Any) -> None:
        names.append(type(self).__name__)
        fit(self, *args, **kwargs)

    monkeypatch.setattr(Trainer, "fit", noted)
    return names


def weights(run: Run) -> bytes:
    return (run.model_dir / "model.safetensors").read_bytes()


# A run


def test_a_run_leaves_a_record_predictions_a_model_and_logs(recipe: MakeRecipe) -> None:
    made = recipe({"trainer": {"name": "xvl_maml", "steps": 4}, "start_from": "model", "seed": 5})
    run = harness.run(made)
    record = run.record()
    fingerprint = run.folder.name.rpartition("-")[2]
    assert run.folder == made.runs / f"recipe-{fingerprint}"
    scores = record.pop("scores")
    versions, timings = record.pop("versions"), record.pop("timings")
    assert record.pop("parameters") == sum(p.numel() for p in harness.load_model(made, run.model_dir)[0].parameters())
    assert record == {
        "format": 1, "name": "recipe", "fingerprint": fingerprint, "seed": 5, "task": "tiny/xvnli",
        "trainer": "xvl_maml", "source_language": "en", "training_languages": ["tr"], "labels_per_step": 4,
        "steps": 4, "main_metric": "accuracy", "start_from": None, "recipe": made.to_dict(),
    }  # fmt: skip
    assert timings.keys() == TIMINGS
    assert all(value > 0 for value in timings.values())
    assert {"iglue_plugins", "python", "torch", "transformers"} <= versions.keys()
    assert list(scores) == ["test"]
    assert list(scores["test"]) == ["en", "tr"]
    for language, found in scores["test"].items():
        rows = run.read_predictions("test", language)
        assert [row["id"] for row in rows] == [f"test/{number}" for number in range(6)]
        assert found == {"accuracy": pytest.approx(100 * sum(row["score"] for row in rows) / 6), "examples": 6}

    assert load_recipe(run.recipe_path) == made
    assert sorted(path.name for path in run.folder.iterdir()) == [
        ".lock", "model", "predictions", "recipe.yaml", "record.json", "tensorboard"]
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= {path.name for path in run.model_dir.iterdir()}


def test_a_finished_run_is_returned_untouched(recipe: MakeRecipe, fits: list[str], capsys: pytest.CaptureFixture) -> None:
    made = recipe()
    first = harness.run(made)
    before = {path: (path.stat().st_mtime_ns, path.stat().st_ino) for path in first.folder.rglob("*")}
    capsys.readouterr()
    assert harness.run(made).folder == first.folder
    assert {path: (path.stat().st_mtime_ns, path.stat().st_ino) for path in first.folder.rglob("*")} == before
    assert harness.run(recipe(None, "name=other")).folder == first.folder
    assert fits == ["Finetune"]
    assert capsys.readouterr() == ("", "")


def test_splits_and_languages_are_added_without_training_again(recipe: MakeRecipe, fits: list[str]) -> None:
    run = harness.run(recipe())
    first = run.record()
    for overrides, scored in (
        (["evaluation.splits=[dev]"], {"test": {"en", "tr"}, "dev": {"en", "tr"}}),
        (["evaluation.languages=[de]"], {"test": {"en", "tr", "de"}, "dev": {"en", "tr"}}),
    ):
        assert harness.run(recipe(None, *overrides)).folder == run.folder
        record = run.record()
        assert {split: set(of_split) for split, of_split in record["scores"].items()} == scored
        assert {language: record["scores"]["test"][language] for language in ("en", "tr")} == first["scores"]["test"]
        assert record["timings"]["training_seconds"] == first["timings"]["training_seconds"]
    assert len(run.read_predictions("dev", "en")) == 5
    assert fits == ["Finetune"]


def test_lost_predictions_are_made_again(recipe: MakeRecipe, fits: list[str]) -> None:
    run = harness.run(recipe())
    expected = run.read_predictions("test", "tr")
    run.predictions_path("test", "tr").unlink()
    harness.run(recipe())
    assert run.read_predictions("test", "tr") == expected
    assert fits == ["Finetune"]


def test_a_damaged_record_says_what_to_do(recipe: MakeRecipe, fits: list[str]) -> None:
    run = harness.run(recipe())
    expected = run.record()["scores"]
    run.record_path.write_text(run.record_path.read_text()[:100])
    with pytest.raises(UserError, match=f"{run.record_path}: found .*, expected a record; delete it and run again"):
        harness.run(recipe())
    run.record_path.unlink()
    harness.run(recipe())
    assert run.record()["scores"] == expected
    assert fits == ["Finetune"]


def test_the_seed_decides_the_weights(recipe: MakeRecipe, tmp_path: Path) -> None:
    """Also those of a model without a checkpoint, whatever was drawn before."""
    tokenizer = harness.load_model(recipe(), None)[1]
    tokenizer.save_pretrained(tmp_path / "tokenizer")
    config = {"vocab_size": len(tokenizer), "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2,
              "intermediate_size": 8, "region_feature_size": 64, "pooler_size": 8, "contrastive_size": 4}
    model = {"name": "xuniter", "config": config, "tokenizer": str(tmp_path / "tokenizer")}
    found = []
    for folder, seed in (("a", 0), ("b", 0), ("c", 1)):
        torch.rand(3)
        made = recipe({"model": model, "runs": str(tmp_path / folder)}, f"seed={seed}", "evaluation.languages=[en]")
        found.append(harness.run(made))
    assert found[0].folder.name == found[1].folder.name != found[2].folder.name
    assert weights(found[0]) == weights(found[1]) != weights(found[2])


# Where a run starts from


def test_start_from_finetune_trains_the_baseline_once(recipe: MakeRecipe, fits: list[str]) -> None:
    run = harness.run(recipe({"trainer": "xvl_maml"}))
    (baseline,) = (Run(path) for path in run.folder.parent.glob("finetune-*"))
    assert baseline.record()["training_languages"] == []
    assert run.record()["start_from"] == {
        "fingerprint": baseline.record()["fingerprint"], "path": str(baseline.model_dir)}
    assert (run.record()["trainer"], baseline.record()["trainer"]) == ("xvl_maml", "finetune")
    harness.run(recipe({"trainer": "auxiliary_finetune"}))
    harness.run(recipe(file="english"))
    assert fits == ["Finetune", "XVLMAML", "AuxiliaryFinetune"]


def test_start_from_a_recipe_adds_to_the_training_languages(recipe: MakeRecipe, fits: list[str]) -> None:
    recipe({"trainer": "auxiliary_finetune", "auxiliary_languages": ["tr"]}, file="turkish")
    made = recipe({"trainer": "xvl_maml", "auxiliary_languages": ["de"], "start_from": "turkish.yaml", "seed": 1})
    run = harness.run(made)
    assert fits == ["Finetune", "AuxiliaryFinetune", "XVLMAML"]
    assert run.record()["training_languages"] == ["tr", "de"]
    (turkish,) = (Run(path).record() for path in run.folder.parent.glob("turkish-*"))
    assert (turkish["training_languages"], turkish["seed"]) == (["tr"], 1)
    again = recipe({"trainer": "auxiliary_finetune", "auxiliary_languages": ["tr"], "start_from": str(run.folder)})
    assert harness.run(again).record()["training_languages"] == ["tr", "de"]


def test_a_run_or_its_checkpoint_as_the_start_gives_the_same_weights(
    recipe: MakeRecipe, tmp_path: Path, fits: list[str]
) -> None:
    baseline = harness.run(recipe(file="english"))
    folder, checkpoint = (
        harness.run(recipe({"trainer": "auxiliary_finetune", "start_from": str(path)}))
        for path in (baseline.folder, baseline.model_dir))
    assert fits == ["Finetune", "AuxiliaryFinetune", "AuxiliaryFinetune"]
    assert weights(folder) == weights(checkpoint) != weights(baseline)
    assert folder.record()["start_from"]["fingerprint"] == baseline.record()["fingerprint"]
    assert checkpoint.record()["start_from"]["path"] == str(baseline.model_dir)

    with pytest.raises(UserError, match=f"start_from: found '{tmp_path}', expected a recipe .*, the folder of a finished "
                                        "run, or a checkpoint folder"):
        harness.run(recipe({"start_from": str(tmp_path)}))


def test_other_weights_at_the_start_are_another_run(recipe: MakeRecipe, tmp_path: Path, tiny_checkpoint: Path) -> None:
    checkpoint = tmp_path / "checkpoint"
    shutil.copytree(tiny_checkpoint, checkpoint)
    made = recipe({"model": {"name": "xuniter", "checkpoint": str(checkpoint)}}, "evaluation.languages=[en]")
    first = harness.run(made)
    (checkpoint / "model.safetensors").write_bytes(weights(first))
    assert harness.run(made).folder != first.folder


# Interruptions

CHILD = """
import os, signal, sys
sys.stdout = sys.stderr = open(log, "w", buffering=1)
sys.path.insert(0, tiny_task)
import tiny_task

def at_call(owner, name, call, signal_number):
    original, calls = getattr(owner, name), iter(range(1, 1000))
    def counted(*args, **kwargs):
        if next(calls) == call:
            os.kill(os.getpid(), signal_number)
        return original(*args, **kwargs)
    setattr(owner, name, counted)

import iglue_plugins
from iglue_plugins import cli, harness
from iglue_plugins.recipes import load_recipe
from iglue_plugins.runs import Run
from iglue_plugins.trainers.base import Trainer
from iglue_plugins.trainers.engine import FinishedCheckpoints
from iglue_plugins.trainers.xvl_maml import MetaObjective
from transformers import PreTrainedTokenizerBase
"""


@pytest.fixture
def start(tmp_path: Path, tiny_task: Path) -> Iterator[Callable[..., BaseProcess]]:
    """Starts another process, which is a fork of one that has all the imports, on code; its output goes to a file."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["iglue_plugins.harness", "iglue_plugins.mini.tasks", "iglue_plugins.trainers"])
    started = []

    def run(code: str, log: str = "log") -> BaseProcess:
        names = {"log": str(tmp_path / log), "tiny_task": str(tiny_task), "recipe": str(tmp_path / "recipe.yaml")}
        started.append(context.Process(target=exec, args=(CHILD + code, names)))
        started[-1].start()
        return started[-1]

    yield run
    for process in started:
        process.kill()
        process.join()


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    """The run of the recipe in `xvl_maml`, once."""
    return {}


@pytest.fixture
def xvl_maml(recipe: MakeRecipe, tmp_path: Path) -> Recipe:
    return recipe({"trainer": "xvl_maml", "start_from": "model"})


@pytest.fixture
def expected(xvl_maml: Recipe, uninterrupted: dict[str, Run], tmp_path_factory: pytest.TempPathFactory) -> Run:
    if not uninterrupted:
        runs = tmp_path_factory.mktemp("uninterrupted")
        uninterrupted["run"] = harness.run(xvl_maml.model_copy(update={"runs": runs}))
    return uninterrupted["run"]


def assert_same_run(found: Run, expected: Run) -> None:
    assert found.folder.name == expected.folder.name
    assert weights(found) == weights(expected)
    for language in ("en", "tr"):
        assert found.read_predictions("test", language) == expected.read_predictions("test", language)
    records = [run.record() for run in (found, expected)]
    for record in records:
        assert record.pop("timings").keys() == TIMINGS
        record["recipe"].pop("runs")
    assert records[0] == records[1]
    assert {path.name for path in found.folder.iterdir()} == {path.name for path in expected.folder.iterdir()}


@pytest.mark.parametrize(
    ("moment", "trains_again"),
    [
        ("MetaObjective, 'forward', 1", True),
        ("MetaObjective, 'forward', 5", True),
        ("FinishedCheckpoints, 'on_save', 2", True),
        ("PreTrainedTokenizerBase, 'save_pretrained', 1", True),
        ("Run, 'write_predictions', 1", False),
        ("Run, 'write_predictions', 2", False),
        ("Run, 'write_record', 1", False),
    ],
    ids=["first step", "training", "checkpoint", "saving", "evaluation", "second language", "record"],
)  # fmt: skip
def test_a_killed_run_resumes_to_the_very_same_result(
    moment: str, trains_again: bool, xvl_maml: Recipe, expected: Run, start: Callable[..., BaseProcess],
    fits: list[str], tmp_path: Path
) -> None:
    killed = start(f"at_call({moment}, signal.SIGKILL)\nharness.run(load_recipe(recipe))")
    killed.join(60)
    assert killed.exitcode == -signal.SIGKILL, (tmp_path / "log").read_text()
    assert not Run(xvl_maml.runs / expected.folder.name).is_finished
    assert_same_run(harness.run(xvl_maml), expected)
    assert fits == (["XVLMAML"] if trains_again else [])


def test_an_interrupt_ends_with_130_and_one_line_and_the_run_resumes(
    xvl_maml: Recipe, expected: Run, start: Callable[..., BaseProcess], tmp_path: Path
) -> None:
    interrupted = start("""
at_call(MetaObjective, "forward", 5, signal.SIGINT)
sys.argv = ["iglue", "run", recipe]
cli.main()
""")
    interrupted.join(60)
    folder = xvl_maml.runs / expected.folder.name
    assert (tmp_path / "log").read_text() == (
        f"training recipe (seed 0): xvl_maml, {folder}\niglue: interrupted; the same command resumes\n")
    assert interrupted.exitcode == 130
    assert (folder / "checkpoints" / "checkpoint-4").is_dir()
    assert_same_run(harness.run(xvl_maml), expected)


def test_of_two_processes_on_one_run_one_trains_and_both_have_the_result(
    recipe: MakeRecipe, start: Callable[..., BaseProcess], tmp_path: Path
) -> None:
    """The one that trains does not begin before the other has begun to wait."""
    recipe({"trainer": "xvl_maml"})
    code = """
import json, pathlib, time
fit, logs = Trainer.fit, pathlib.Path(log).parent
def fit_beside_another(*args, **kwargs):
    deadline = time.monotonic() + 30
    while not any("waiting" in path.read_text() for path in logs.glob("log*")):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    fit(*args, **kwargs)
Trainer.fit = fit_beside_another
record = harness.run(load_recipe(recipe)).record()
pathlib.Path(log).with_suffix(".json").write_text(json.dumps(record))
"""
    both = [start(code, f"log{number}") for number in range(2)]
    for process in both:
        process.join(120)
        assert process.exitcode == 0, [path.read_text() for path in tmp_path.glob("log*")]
    said = [line for number in range(2) for line in (tmp_path / f"log{number}").read_text().splitlines()]
    assert sorted(line.split()[1] for line in said if line.startswith("training")) == ["finetune", "recipe"]
    assert any("waiting for another process on this run" in line for line in said)
    records = [json.loads((tmp_path / f"log{number}.json").read_text()) for number in range(2)]
    assert records[0] == records[1]
    assert len(list((tmp_path / "runs").iterdir())) == 2
