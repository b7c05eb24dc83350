"""Runs on a disk that is full or read-only, and runs with damaged files."""

from __future__ import annotations

import json
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

from iglue_plugins.recipes.recipe import Recipe
from iglue_plugins.runs import runner
from iglue_plugins.runs.folder import Run
from iglue_plugins.trainers.progress import Progress
from iglue_plugins.utils.errors import UserError

MakeRecipe = Callable[..., Recipe]
SameRun = Callable[[Run, Run], None]
IGLUE = """
import ctypes, io, json, resource, shutil
from pathlib import Path
from iglue_plugins.trainers import engine

def mount(*mounts):
    \"\"\"Mounts that this process alone sees, of (source, target, kind, flags, options) each.\"\"\"
    libc, NEW_MOUNTS, PRIVATE_AND_BELOW = ctypes.CDLL(None), 0x00020000, 0x00044000
    if sys.platform != "linux" or libc.unshare(NEW_MOUNTS) or any(
            libc.mount(*each) for each in ((b"none", b"/", None, PRIVATE_AND_BELOW, None), *mounts)):
        print(json.dumps("nothing can be mounted here"))
        os._exit(0)

def iglue(*arguments):
    \"\"\"The exit code, and what it said on standard error.\"\"\"
    said, sys.stdout, sys.stderr, sys.argv = sys.stderr, io.StringIO(), io.StringIO(), ["iglue", *map(str, arguments)]
    try:
        cli.main()
    except SystemExit as ended:
        return ended.code or 0, sys.stderr.getvalue().splitlines()
    finally:
        sys.stdout = sys.stderr = said

ended, disk, place = [], Path(disk), disk.encode()
"""
FULL = """
def limit(room):
    with open(disk / "ballast", "wb") as file:
        file.write(bytes(max(0, shutil.disk_usage(disk).free - room)))

def lift():
    (disk / "ballast").unlink()

mount((b"tmpfs", place, b"tmpfs", 0, b"size=16m"))
"""
TOO_LARGE = """
def limit(room):
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, resource.RLIM_INFINITY))

def lift():
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
"""
RUN_FULL = """
from iglue_plugins.reporting import exports
from iglue_plugins.runs import training
for owner, name, call, room in (
    (training, "write_atomic", 1, 0),
    (engine.ObjectiveTrainer, "_save_checkpoint", 1, 200_000),
    (engine.ObjectiveTrainer, "_save_checkpoint", 2, 400_000),
    (PreTrainedTokenizerBase, "save_pretrained", 1, 20_000),
    (Run, "write_predictions", 2, 0),
    (Run, "write_record", 1, 0),
    (exports, "write", 1, 0),
):
    original, calls, before = getattr(owner, name), iter(range(1, 1000)), []
    def limited(*args, **kwargs):
        if next(calls) == call:
            limit(room)
        return original(*args, **kwargs)
    setattr(owner, name, limited)
    ended.append(iglue("compare", recipe, "--output", disk / "comparison"))
    setattr(owner, name, original)
    lift()
ended.append(iglue("compare", recipe, "--output", disk / "comparison"))
shutil.copytree(disk, outside)
print(json.dumps(ended))
"""
RUN_READ_ONLY = """
BIND, AGAIN_READ_ONLY = 0x1000, 0x1021
mount((place, place, None, BIND, None), (place, place, None, AGAIN_READ_ONLY, None))
ended = [iglue("run", recipe), iglue("compare", recipe, "--output", outside), iglue("run", recipe, "seed=1"),
         iglue("run", recipe, "evaluation.splits=[dev]")]
print(json.dumps(ended))
"""


def told(log: Path) -> list:
    found = json.loads(log.read_text().splitlines()[-1])
    if isinstance(found, str):
        pytest.skip(found)
    return found


@pytest.mark.parametrize(
    ("system", "reason"), [(FULL, "No space left on device"), (TOO_LARGE, "File too large")], ids=["full", "too large"]
)
def test_a_full_disk_is_an_error_message_and_finished_work_is_kept(
    system: str, reason: str, recipe: MakeRecipe, start: Callable[..., BaseProcess], same_run: SameRun, tmp_path: Path
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    made = recipe(
        {
            "trainer": "xvl_maml",
            "start_from": "model",
            "evaluation": {"languages": ["en", "tr", "de"]},
            "runs": str(disk / "runs"),
        }
    )
    start(f"disk, outside = {str(disk)!r}, {str(tmp_path / 'outside')!r}\n{IGLUE}{system}{RUN_FULL}").join(120)
    *failed, finished = told(tmp_path / "log")
    expected = runner.run(made.model_copy(update={"runs": tmp_path / "expected"}))
    run = f"{disk}/runs/{expected.folder.name}"
    assert finished == [0, [f"recipe (seed 0): finished before, reused: {run}"]]
    places = [
        f"{run}/recipe.yaml",
        run,
        run,
        run,
        f"{run}/predictions/test/tr.jsonl",
        f"{run}/record.json",
        f"{disk}/comparison/comparison.csv",
    ]
    reasons = [reason, reason, "a file could not be written to its end", *[reason] * 4]
    for (code, said), place, why in zip(failed, places, reasons, strict=True):
        *before, sentence = said
        assert code == 2
        assert sentence.startswith(f"iglue: {place}: cannot be written ({why})")
        expected_lines = ("training recipe", "evaluating recipe", "recipe (seed 0): ", f"{run}/checkpoints/checkpoint-")
        assert all(line.startswith(expected_lines) for line in before), before
    assert failed[3][1][1].startswith(f"{run}/checkpoints/checkpoint-4: half-written or damaged")
    assert (tmp_path / "outside" / "comparison" / "comparison.png").is_file()
    same_run(Run(tmp_path / "outside" / "runs" / expected.folder.name), expected)


def test_a_finished_run_can_be_read_on_a_read_only_disk(
    recipe: MakeRecipe, start: Callable[..., BaseProcess], tmp_path: Path
) -> None:
    made = recipe()
    folder = runner.run(made).folder
    start(f"disk, outside = {str(made.runs)!r}, {str(tmp_path / 'outside')!r}\n{IGLUE}{RUN_READ_ONLY}").join(60)
    run, compare, unfinished, other_split = told(tmp_path / "log")
    assert run == compare == [0, [f"recipe (seed 0): finished before, reused: {folder}"]]
    assert (tmp_path / "outside" / "comparison.csv").is_file()
    reason = "cannot be written (Read-only file system)"
    assert unfinished[0] == other_split[0] == 2
    assert unfinished[1][-1].startswith(f"iglue: {made.runs}/recipe-")
    assert reason in unfinished[1][-1]
    (sentence,) = other_split[1]
    assert sentence.startswith(f"iglue: {folder}/processes.json: {reason}")
    assert list(made.runs.iterdir()) == [folder]


# Damage


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize(("damaged", "first_step"), [([4], 2), ([2, 4], 0)], ids=["the last", "all"])
def test_a_checkpoint_damaged_after_it_was_finished_is_not_resumed(
    damaged: list[int],
    first_step: int,
    recipe: MakeRecipe,
    start: Callable[..., BaseProcess],
    same_run: SameRun,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = recipe({"trainer": "xvl_maml", "start_from": "model"})
    start("at_call(MetaObjective, 'forward', 6, signal.SIGKILL)\nrunner.run(load_recipe(recipe))").join(60)
    (folder,) = made.runs.glob("recipe-*")
    for step in damaged:
        truncate(folder / "checkpoints" / f"checkpoint-{step}" / "optimizer.pt")
    steps, on_step_begin = [], Progress.on_step_begin
    monkeypatch.setattr(
        Progress,
        "on_step_begin",
        lambda self, args, state, control, **kwargs: (
            (steps.append(state.global_step), on_step_begin(self, args, state, control, **kwargs)) and None
        ),
    )
    capfd.readouterr()
    found = runner.run(made)
    said = capfd.readouterr().err.splitlines()
    assert [line.partition(": ")[0] for line in said if "half-written" in line] == [
        f"{folder}/checkpoints/checkpoint-{step}" for step in reversed(damaged)
    ]
    assert steps[0] == first_step
    same_run(found, runner.run(made.model_copy(update={"runs": tmp_path / "expected"})))


def test_damaged_files_of_a_run_are_named(recipe: MakeRecipe, fits: list[str]) -> None:
    run = runner.run(recipe({}, "evaluation.languages=[en]"))
    for file in ("model.safetensors", "tokenizer.json", "config.json"):
        whole = (run.model_dir / file).read_bytes()
        truncate(run.model_dir / file)
        with pytest.raises(UserError, match=f"{run.model_dir}.*; if it is damaged, delete {run.folder} and run again"):
            runner.run(recipe({"evaluation": {"languages": ["en", "tr"]}}))
        (run.model_dir / file).write_bytes(whole)
    assert fits == ["Finetune"]


def test_the_training_need_not_be_repeated_after_its_record_is_damaged(
    recipe: MakeRecipe, same_run: SameRun, fits: list[str], tmp_path: Path
) -> None:
    trainer = {"name": "finetune", "steps": 3, "validate_every": 2, "batch_size": 8}
    made, other = (recipe({"trainer": trainer, "runs": str(tmp_path / name)}) for name in ("damaged", "expected"))
    run, expected = runner.run(made), runner.run(other)
    truncate(run.record_path)
    with pytest.raises(UserError, match=f"{run.record_path}: .*; delete it and run again"):
        runner.run(made)
    run.record_path.unlink()
    same_run(runner.run(made), expected)
    assert fits == ["Finetune", "Finetune"]
