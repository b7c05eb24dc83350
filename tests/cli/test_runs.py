"""`iglue runs`: the table, what is refused, and what asks before it removes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from made_runs import SCORES, make_checkpoint, make_run, record, start_from

from iglue_plugins.cli import default_command
from iglue_plugins.reporting.comparison import build_comparison
from iglue_plugins.reporting.run_list import target_mean
from iglue_plugins.runs.folder import Run

Iglue = Callable[..., object]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder `runs`, in the working folder, with a run of each kind."""
    monkeypatch.chdir(tmp_path)
    runs = tmp_path / "runs"
    first = make_run(runs, "english", "1" * 12)
    make_run(runs, "maml", "2" * 12, trainer="xvl_maml", seed=1, start_from=start_from(first))
    make_run(runs, "dev_only", "3" * 12, scores={"dev": {"en": {"accuracy": 1.0, "examples": 1}}})
    stopped = Run(runs / f"stopped-{'4' * 12}")
    stopped.begin(record(name="stopped", scores={}))
    make_checkpoint(stopped, 3, 9)
    failed = Run(runs / f"failed-{'5' * 12}")
    failed.begin(record(name="failed", task="xvnli", scores={}))
    failed.note_failure(ValueError("no luck"))
    (make_run(runs, "damaged", "6" * 12).record_path).write_text("{")
    return runs


def test_the_table_names_every_run_and_what_has_become_of_it(folder: Path, iglue: Iglue) -> None:
    ended = iglue("runs")
    assert (ended.code, ended.err) == (0, "")
    lines = {line.split()[0]: line for line in ended.out.splitlines()}
    mean = (SCORES["de"] + SCORES["ru"]) / 2  # English is the source, and Turkish was trained on
    for run, parts in {
        "runs/english-111111111111": ("mini/xvnli", "finetune", "0", "finished", f"{mean:.1f}", "2026-11-27 10:00"),
        "runs/maml-222222222222": ("xvl_maml", "1", "finished"),
        "runs/dev_only-333333333333": ("finished",),
        "runs/stopped-444444444444": ("stopped at step 3 of 9",),
        "runs/failed-555555555555": ("xvnli", "failed"),
        "runs/damaged-666666666666": ("damaged",),
        "runs/failed-555555555555:": ("failed: ValueError: no luck (before its first checkpoint)",),
        "runs/damaged-666666666666:": ("damaged: runs/damaged-666666666666/record.json: the record is damaged",),
        "6": ("6 runs,",),
    }.items():
        assert [part for part in parts if part not in lines[run]] == [], lines[run]


def test_json_has_the_rows_unrounded(folder: Path, iglue: Iglue) -> None:
    rows = {row["name"]: row for row in json.loads(iglue("runs", "--json", folder).out)}
    assert rows.keys() == {"english", "maml", "dev_only", "stopped", "failed", "damaged"}
    english = rows["english"]
    assert english == {
        "folder": str(folder / "english-111111111111"), "name": "english", "task": "mini/xvnli", "trainer": "finetune",
        "seed": 0, "limit": None, "state": "finished", "detail": "", "split": "test", "mean": 55.0,
        "date": "2026-11-27T10:00:00+00:00",
        "bytes": sum(path.stat().st_size for path in (folder / "english-111111111111").rglob("*") if path.is_file()),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("options", "names"),
    [
        (["--task", "xvnli"], {"failed"}),
        (["--trainer", "xvl_maml"], {"maml"}),
        (["--state", "finished"], {"english", "maml", "dev_only"}),
        (["--name", "*e*d"], {"stopped", "failed", "damaged"}),
        (["--name", "english-1*"], {"english"}),
        (["--seed", "1,2"], {"maml"}),
        (["--seed", "0", "--state", "stopped"], {"stopped"}),
    ],
)
def test_filters(options: list[str], names: set[str], folder: Path, iglue: Iglue) -> None:
    assert {row["name"] for row in json.loads(iglue("runs", *options, "--json").out)} == names


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["nowhere"], "nowhere: cannot be read (No such file or directory)"),
        (["--state", "finish"], "--state: a run is never 'finish'; did you mean 'finished'?"),
        (["--seed", "one"], "--seed: 'one' is not a list of whole numbers"),
        (["show", "."], ".: is not the folder of a run"),
        (["show", "runs/damaged-666666666666"], "runs/damaged-666666666666/record.json: the record is damaged"),
        (["rm", "runs"], "runs: is not the folder of a run"),
        (["rm", "runs/english-111111111111", "--yes"], "maml-222222222222 start from it"),
        (["export", "runs/stopped-444444444444", "a.tar"], "runs/stopped-444444444444: has no record.json"),
        (["import", "a.tar"], "a.tar: cannot be read"),
    ],
)
def test_what_is_refused_ends_with_one_sentence(
    arguments: list[str], sentence: str, folder: Path, iglue: Iglue
) -> None:
    assert sentence in iglue("runs", *arguments).sentence()


def test_the_mean_is_that_of_a_comparison(folder: Path) -> None:
    run = Run(folder / "english-111111111111")
    for language, score in SCORES.items():
        rows = [{"id": str(i), "score": float(i < score / 5)} for i in range(20)]
        run.write_predictions("test", language, rows)
    changed = record(scores={"test": {name: {"accuracy": score, "examples": 20} for name, score in SCORES.items()}})
    run.write_record(changed)
    (row,) = build_comparison([("english", [run.folder])]).rows
    assert row.target_mean.mean == target_mean(run, run.record(), "test") == 55.0


def test_rm_lists_what_goes_and_asks_on_a_terminal(folder: Path, iglue: Iglue, monkeypatch: pytest.MonkeyPatch) -> None:
    run = folder / "maml-222222222222"
    refused = iglue("runs", "rm", run)
    assert refused.code == 2 and "add --yes" in refused.err and str(run) in refused.out and run.exists()
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    for answer, code in (("n", 1), ("y", 0)):
        monkeypatch.setattr("typer.confirm", lambda *_, answer=answer, **__: confirm(answer))
        assert iglue("runs", "rm", run).code == code
        assert run.exists() == (answer == "n")


def confirm(answer: str) -> bool:
    import typer

    if answer == "n":
        raise typer.Abort
    return True


def test_show_says_what_a_run_is(folder: Path, iglue: Iglue) -> None:
    recipe = {
        "task": {"name": "mini/xvnli"}, "model": {"name": "mini/xuniter"}, "seed": 1,
        "trainer": {"name": "xvl_maml", "inner_lr": 0.5, "steps": 150, "first_order": False},
        "auxiliary_languages": ["tr"], "start_from": "finetune",
    }  # fmt: skip
    run = Run(folder / "maml-222222222222")
    run.write_record(run.record() | {"recipe": recipe})
    shown = iglue("runs", "show", run.folder)
    assert (shown.code, shown.err) == (0, "")
    lines = [line.strip() for line in shown.out.splitlines()]
    assert f"started from {folder / 'english-111111111111'}" in lines
    assert "trainer.inner_lr: 0.5 (default: 0.001)" in lines and "seed: 1 (default: 0)" in lines
    assert not any(line.startswith(("trainer.first_order", "start_from")) for line in lines)
    assert "test, accuracy (%): en 80.0, tr 75.0, de 60.0, ru 50.0" in lines
    assert "model/model.safetensors: 700 bytes" in lines
    assert "2026-11-27T10:00:00+00:00 on h, cpu: iglue run r.yaml" in lines
    assert "torch 2.13.0, commit abc" in lines
    details = json.loads(iglue("runs", "show", run.folder, "--json").out)
    assert details["settings"]["trainer.inner_lr"] == {"value": 0.5, "default": 0.001}
    assert iglue("runs", "show", folder / "stopped-444444444444").out.startswith(
        f"{folder / 'stopped-444444444444'}: stopped at step 3 of 9\n"
    )


def test_export_and_import(folder: Path, iglue: Iglue, tmp_path: Path) -> None:
    run = "runs/english-111111111111"
    assert iglue("runs", "export", run, "a.tar", "--without-models").code == 0
    first = iglue("runs", "import", "a.tar", "--into", "b")
    assert (first.code, first.out) == (0, "b/english-111111111111\n")
    again = iglue("runs", "import", "a.tar", "--into", "b")
    assert (again.code, again.out) == (0, "b/english-111111111111: there already, left as it is\n")
    assert not (tmp_path / "b" / "english-111111111111" / "model").exists()


def test_a_folder_of_a_commands_name_can_be_listed(folder: Path, iglue: Iglue) -> None:
    folder.rename(folder.with_name("show"))
    assert json.loads(iglue("runs", "list", "show", "--json").out) == json.loads(iglue("runs", "./show", "--json").out)
    assert default_command.DefaultCommandGroup.default == "list"


def test_listing_imports_no_torch(folder: Path) -> None:
    program = "import sys\nfrom iglue_plugins.cli import main\nsys.argv = ['iglue', 'runs']\ntry:\n    main()\n"
    program += "finally:\n    print({'torch', 'transformers', 'datasets', 'numpy'} & sys.modules.keys())\n"
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert ended.stdout.splitlines()[-1] == "set()", ended.stderr


def test_a_dry_run_ends_with_1_where_something_is_lacking(iglue: Iglue, tmp_path: Path) -> None:
    recipe = tmp_path / "r.yaml"
    recipe.write_text("task: mini/xvnli\nmodel: mini/xuniter\ntrainer: finetune\n")
    runs = f"runs={tmp_path / 'runs'}"
    whole = iglue("run", recipe, runs, "--dry-run", "--limit", "3")
    assert (whole.code, whole.err) == (0, "")
    assert "r (seed 0, limited to 3), finetune on mini/xvnli: new, 3 steps to train, 15 languages" in whole.out
    lacking = iglue("run", recipe, runs, "trainer.batch_size=1000000", "--dry-run")
    assert lacking.code == 1 and "expected at least the 1000000" in lacking.out.splitlines()[-1]
    assert not (tmp_path / "runs").exists()
