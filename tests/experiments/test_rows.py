"""The rows of a comparison, checked before anything runs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from iglue_plugins.experiments.compare import compare
from iglue_plugins.experiments.launcher import Launch
from iglue_plugins.experiments.rows import load_rows, rows_by_task
from iglue_plugins.runs import runner
from iglue_plugins.utils.errors import UserError

BASE = "task: mini/xvnli\nmodel: mini/xuniter\ntrainer: finetune\n"
META = "extends: finetune.yaml\ntrainer: xvl_maml\n"
Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Gives a function that writes a recipe, and lets no recipe run."""
    monkeypatch.setattr(runner, "run", lambda *_, **__: pytest.fail("a recipe was run"))

    def write_recipe(name: str, text: str) -> Path:
        path = tmp_path / f"{name}.yaml"
        path.write_text(text)
        return path

    return write_recipe


def record(folder: Path, **changes: object) -> Path:
    """Write the record of a run of the baseline."""
    folder.mkdir()
    content = {
        "format": 1, "name": "old", "seed": 0, "task": "mini/xvnli", "trainer": "finetune", "source_language": "en",
        "training_languages": [], "labels_per_step": 32, "steps": 5, "main_metric": "accuracy", "recipe": {},
        "scores": {"test": {"en": {}, "sw": {}}},
    }  # fmt: skip
    (folder / "record.json").write_text(json.dumps(content | changes))
    return folder


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"task": "mini/xgqa", "seed": 3},
            "the rows of task mini/xvnli have seeds 0, but those of mini/xgqa 3; rows that are averaged over tasks",
        ),
        ({"source_language": "sw"}, "recipe 'finetune': evaluation.languages leaves no target .* source en, sw"),
        ({"seed": 3}, "row 'finetune' has seeds 0, but row 'old' has 3"),
        ({"scores": {"test": {"en": {}}}}, "row 'finetune' has languages en, sw, but row 'old' has en"),
        ({"scores": {"dev": {"en": {}}}}, "row 'finetune' has languages en, sw, but row 'old' has none"),
    ],
)
def test_rows_that_cannot_stand_in_one_table_are_refused_before_anything_runs(
    changes: dict[str, object], sentence: str, write: Write, tmp_path: Path
) -> None:
    rows = [record(tmp_path / "run", **changes), write("finetune", BASE)]
    with pytest.raises(UserError, match=sentence):
        compare(rows, [0], "test", Launch(), ["evaluation.languages=[en, sw]"], tmp_path / "out")


def test_rows_are_grouped_by_task(write: Write, tmp_path: Path) -> None:
    recipes = {
        name: write(name, f"{text}name: {name.partition('_')[0]}\n")
        for name, text in (("finetune_a", BASE), ("finetune_b", BASE.replace("xvnli", "xgqa")), ("other_a", BASE))
    }
    old = record(tmp_path / "run", task="mini/marvl", scores={"test": {"en": {}, "sw": {}}})
    paths = [*recipes.values(), old]
    loaded = load_rows(list(recipes.values()), [0], "test", [])
    found = rows_by_task(paths, {old: json.loads((old / "record.json").read_text())}, loaded, "test")
    assert {task: rows.folders for task, rows in found.items()} == {
        "mini/xvnli": {"finetune": [], "other": []},
        "mini/xgqa": {"finetune": []},
        "mini/marvl": {"old": [old]},
    }
    assert [recipe.task.name for recipe in found["mini/xgqa"].recipes["finetune"]] == ["mini/xgqa"]


def test_what_all_rows_lack_is_said_before_anything_runs(write: Write, tmp_path: Path) -> None:
    rows = [
        write("finetune", BASE.replace("mini/xvnli", f"{{name: xvnli, data_root: {tmp_path}}}")),
        write("xvl_maml", META),
    ]
    with pytest.raises(UserError) as error:
        compare(rows, [0, 1], "test", Launch(), [], tmp_path / "out")
    for file in ("en/train.jsonl", "ar/train_48.jsonl", "ru/test.jsonl"):
        assert str(error.value).count(file) == 1


def test_a_row_starts_from_another_row_as_it_is_in_the_table(write: Write) -> None:
    english, meta = write("finetune", BASE), write("xvl_maml", META)
    rows = load_rows([english, meta], [0, 1], "test", ["trainer.steps=5"])
    for row, start in zip(rows[english], rows[meta], strict=True):
        assert start.trainer.settings["steps"] == 5
        assert start.previous() == row
    alone = load_rows([meta], [0], "test", ["trainer.steps=5"])[meta][0]
    assert (alone.trainer.settings["steps"], alone.start_from_settings) == (5, [])
