"""The command line: what it prints, and one sentence with exit code 2 for whatever a user can get wrong."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from iglue_plugins import cli

TRAINER = {"name": "auxiliary_finetune", "steps": 2, "batch_size": 8, "learning_rate": 1e-3}


@dataclass
class Ended:
    code: int
    out: str
    err: str

    def sentence(self) -> str:
        """The one sentence on standard error. Lines on what is being trained, and how far, may stand before it."""
        *before, last = self.err.splitlines()
        assert (self.code, self.out) == (2, ""), self
        assert all(line.startswith(("training ", "recipe (seed ")) for line in before), self.err
        assert last.startswith("iglue: "), self.err
        return last.removeprefix("iglue: ")


@pytest.fixture
def iglue(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Ended]:
    """Calls the command line in this process."""

    def call(*arguments: object) -> Ended:
        monkeypatch.setattr(sys, "argv", ["iglue", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return Ended(ended.value.code, *capsys.readouterr())

    return call


@pytest.fixture
def write_recipe(tmp_path: Path, tiny_checkpoint: Path) -> Callable[..., Path]:
    """Writes a recipe that takes a moment to run, with changes to it."""

    def write(**changes: Any) -> Path:
        recipe = {
            "task": "mini/xvnli",
            "model": {"name": "xuniter", "checkpoint": str(tiny_checkpoint)},
            "trainer": TRAINER,
            "start_from": "model",
            "auxiliary_languages": ["tr"],
            "evaluation": {"splits": ["dev"], "languages": ["en"]},
            "runs": str(tmp_path / "runs"),
        }
        path = tmp_path / "recipe.yaml"
        path.write_text(yaml.safe_dump(recipe | changes))
        return path

    return write


def test_help_names_every_command(iglue: Callable[..., Ended]) -> None:
    ended = iglue("--help")
    assert (ended.code, ended.err) == (0, "")
    assert all(command in ended.out for command in ("run", "compare", "schema", "list", "data"))


@pytest.mark.parametrize(
    "command",
    [
        ["--help"],
        ["list"],
        ["schema"],
        ["run", "nowhere.yaml"],
        ["run", "RECIPE", "trainer.learning_rat=1"],
        ["compare", "RECIPE", "trainers.x=1"],
        ["compare", "nowhere"],
    ],
)
def test_what_computes_nothing_imports_no_torch(command: list[str], write_recipe: Callable[..., Path]) -> None:
    arguments = [str(write_recipe()) if argument == "RECIPE" else argument for argument in command]
    assert imported_by(arguments, {"torch", "transformers", "datasets", "accelerate"}) == set()


def test_a_comparison_of_finished_runs_imports_no_torch(tmp_path: Path) -> None:
    scores = {language: {"accuracy": 100.0, "examples": 1} for language in ("en", "sw")}
    record = {
        "format": 1, "name": "row", "seed": 0, "task": "mini/xvnli", "trainer": "finetune", "scores": {"test": scores},
        "source_language": "en", "training_languages": [], "labels_per_step": 32, "steps": 5, "main_metric": "accuracy",
    }  # fmt: skip
    predictions = tmp_path / "run" / "predictions" / "test"
    predictions.mkdir(parents=True)
    (tmp_path / "run" / "record.json").write_text(json.dumps(record))
    for language in scores:
        (predictions / f"{language}.jsonl").write_text('{"id": "a", "image_ids": ["i"], "score": 1.0}\n')
    command = ["compare", str(tmp_path / "run"), "--output", str(tmp_path / "out")]
    assert imported_by(command, {"torch", "transformers", "datasets", "accelerate"}) == set()
    assert (tmp_path / "out" / "comparison.csv").is_file()
    sliced = ["slices", str(tmp_path / "run"), "--json"]
    assert imported_by(sliced, {"torch", "transformers", "datasets", "accelerate", "matplotlib"}) == set()


def test_help_imports_no_settings() -> None:
    assert imported_by(["--help"], {"pydantic", "numpy"}) == set()


def imported_by(arguments: list[str], looked_for: set[str]) -> set[str]:
    program = f"""
import sys
from iglue_plugins.cli import main
sys.argv = ["iglue", *{arguments!r}]
try:
    main()
finally:
    print("imported:", *({looked_for!r} & sys.modules.keys()))
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert "Traceback" not in ended.stderr, ended.stderr
    return set(ended.stdout.splitlines()[-1].removeprefix("imported:").split())


def test_list_shows_what_ships(iglue: Callable[..., Ended]) -> None:
    ended = iglue("list")
    assert (ended.code, ended.err) == (0, "")
    listed = dict(line.split(": ") for line in ended.out.splitlines())
    assert {"finetune", "auxiliary_finetune", "xvl_maml"} <= set(listed["trainers"].split(", "))
    assert {"mini/xvnli", "mini/xgqa", "mini/marvl", "mini/xflickrco"} <= set(listed["tasks"].split(", "))
    assert {"mini/xuniter", "xuniter"} <= set(listed["models"].split(", "))


def test_schema_is_one_of_recipes(iglue: Callable[..., Ended]) -> None:
    ended = iglue("schema")
    assert ended.code == 0
    assert json.loads(ended.out)["title"] == "iglue_plugins recipe"


def test_run_prints_the_scores_and_the_folder_and_a_finished_run_is_not_repeated(
    iglue: Callable[..., Ended], write_recipe: Callable[..., Path], tmp_path: Path
) -> None:
    recipe = write_recipe()
    first = iglue("run", recipe, "seed=1")
    assert first.code == 0
    folder = Path(first.out.splitlines()[-1])
    record = json.loads((folder / "record.json").read_text())
    assert (record["seed"], record["training_languages"]) == (1, ["tr"])
    assert f"{record['scores']['dev']['en']['accuracy']:.1f}" in first.out
    again = iglue("run", recipe, "seed=1")
    assert (again.code, again.out) == (0, first.out)
    assert again.err == f"recipe (seed 1): finished before, reused: {folder}\n"

    (folder / "record.json").write_text('{"format": 1, "name": ')
    assert str(folder / "record.json") in iglue("run", recipe, "seed=1").sentence()


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"trainer": "xvl_mmal"}, ("recipe.yaml: trainer: there is no trainer 'xvl_mmal'", "did you mean 'xvl_maml'?")),
        (
            {"trainer": TRAINER | {"learning_rat": 1e-3}},
            ("recipe.yaml: trainer.learning_rat: found an unknown key", "did you mean 'learning_rate'?"),
        ),
        ({"seed": "first"}, ("recipe.yaml: seed: found 'first', expected a valid integer",)),
        ({"auxiliary_languages": ["nl"]}, ("recipe.yaml: auxiliary_languages.0: found 'nl'", "task mini/xvnli")),
        ({"auxiliary_languages": ["en"]}, ("recipe.yaml: auxiliary_languages.0: 'en'", "source language")),
        ({"start_from": "finetuen.yaml"}, ("recipe.yaml: start_from: '", "finetuen.yaml' does not exist")),
        (
            {"trainer": TRAINER | {"batch_size": 0}},
            ("recipe.yaml: trainer.batch_size: found 0, expected greater than or equal to 1",),
        ),
        (
            {"trainer": {"name": "xvl_maml", "support_size": 1}},
            ("recipe.yaml: trainer: support_size is 1", "negatives"),
        ),
        ({"trainer": TRAINER | {"examples": 7}}, ("mini/xvnli", "7 training examples", "at least the 8")),
        (
            {"trainer": TRAINER | {"steps": 12, "learning_rate": 1e6}},
            ("training diverged at step ", "lower trainer.learning_rate (1000000.0)"),
        ),
        (
            {"trainer": {"name": "xvl_maml", "support_size": 4, "query_size": 4, "inner_lr": 1e30}},
            ("lower trainer.inner_lr (1e+30) or trainer.learning_rate",),
        ),
    ],
    ids=[
        "unknown trainer", "unknown key", "wrong type", "unknown auxiliary language", "source language as auxiliary",
        "no start", "empty batch", "no negatives", "too few examples", "diverging", "diverging inner loop",
    ],
)  # fmt: skip
def test_a_bad_recipe_ends_with_one_sentence_that_names_the_key(
    changes: dict[str, Any], named: tuple[str, ...], iglue: Callable[..., Ended], write_recipe: Callable[..., Path]
) -> None:
    sentence = iglue("run", write_recipe(**changes)).sentence()
    assert [part for part in named if part not in sentence] == [], sentence


def test_runs_that_cannot_be_written(
    iglue: Callable[..., Ended], write_recipe: Callable[..., Path], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("in the way")
    sentence = iglue("run", write_recipe(runs=str(tmp_path / "file" / "runs"))).sentence()
    assert re.match(rf"{tmp_path}/file/runs/recipe-[0-9a-f]{{12}}: cannot be written \(Not a directory\)", sentence)


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (b"task: mini/xvnli\ntrainer: [finetune\n", "{recipe}: line 3: not valid YAML"),
        (b"task: \xff\n", "the recipe '{recipe}' cannot be read (it is not UTF-8 text)"),
        (b"- task\n", "{recipe}: found ['task'], expected a mapping"),
        ("folder", "the recipe '{recipe}' cannot be read (Is a directory)"),
        (None, "the recipe '{recipe}' cannot be read (No such file or directory)"),
    ],
    ids=["syntax", "not text", "a list", "a folder", "missing"],
)
def test_a_recipe_that_cannot_be_read(
    content: bytes | str | None, named: str, iglue: Callable[..., Ended], tmp_path: Path
) -> None:
    recipe = tmp_path / "recipe.yaml"
    if content == "folder":
        recipe.mkdir()
    elif content is not None:
        recipe.write_bytes(content)
    assert iglue("run", recipe).sentence().startswith(named.format(recipe=recipe))


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("run", "{recipe}", "trainer.steps"), "override 'trainer.steps': "),
        (("compare", "{recipe}", "--seeds", "0,one"), "--seeds: '0,one'"),
        (("compare", "{recipe}", "--seeds", "0,0"), "--seeds: '0,0'"),
        (("compare", "{recipe}", "--margin", "-1"), "--margin: -1 is no margin"),
        (("compare", "{recipe}", "--set", "trainer.steps=0"), "override 'trainer.steps=0': trainer.steps: found 0"),
        (("compare", "{recipe}", "--split", "tset"), "evaluation.splits.0: found 'tset'"),
        (("compare", "{folder}/none"), "{folder}/none: "),
        (("compare", "{recipe}", "{recipe}"), "{recipe}: an earlier row has the name 'recipe'"),
        (("data", "show", "mini/xvnil"), "there is no task 'mini/xvnil'; did you mean 'mini/xvnli'"),
        (("data", "show", "mini/xvnli", "--language", "nl"), "task mini/xvnli has no language 'nl'"),
    ],
)  # fmt: skip
def test_bad_arguments_end_with_one_sentence_that_names_them(
    arguments: tuple[str, ...],
    named: str,
    iglue: Callable[..., Ended],
    write_recipe: Callable[..., Path],
    tmp_path: Path,
) -> None:
    places = {"recipe": write_recipe(), "folder": tmp_path}
    sentence = iglue(*(argument.format(**places) for argument in arguments)).sentence()
    assert named.format(**places) in sentence


def test_an_interrupt_says_that_the_same_command_resumes(
    iglue: Callable[..., Ended], write_recipe: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    from iglue_plugins.runs import runner

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(runner, "run", interrupted)
    ended = iglue("run", write_recipe())
    assert (ended.code, ended.err) == (130, "iglue: interrupted; the same command resumes\n")


@pytest.mark.parametrize("unbuffered", ["", "1"], ids=["at the end", "in printing"])
def test_output_that_nobody_reads_or_that_finds_no_room(unbuffered: str) -> None:
    program = """
from iglue_plugins import cli
cli.app.command("say")(lambda: print("said"))
cli.main()
"""
    command = [sys.executable, "-c", program, "say"]
    environment = os.environ | {"PYTHONUNBUFFERED": unbuffered}
    options = {"cwd": Path(cli.__file__).parents[2], "env": environment, "text": True}
    reading, writing = os.pipe()
    os.close(reading)
    ended = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, **options)
    os.close(writing)
    assert (ended.returncode, ended.stderr) == (1, "")
    if Path("/dev/full").exists():
        with open("/dev/full", "w") as full:
            ended = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, **options)
        assert (ended.returncode, ended.stderr) == (
            2,
            "iglue: the output: cannot be written (No space left on device); "
            "choose a folder that can be written to and has room\n",
        )
