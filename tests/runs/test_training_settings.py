"""Which settings make two runs more than seeds of one another."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from iglue_plugins.recipes.recipe import load_recipe
from iglue_plugins.runs.folder import Run
from iglue_plugins.runs.record import Start, new_record
from iglue_plugins.runs.training_settings import differing_settings, training_settings

Write = Callable[..., Path]
TRAINER = {"name": "auxiliary_finetune", "steps": 2, "batch_size": 8, "learning_rate": 1e-2}
ENGLISH = {"name": "finetune", "steps": 2}


def record_of(path: Path, start: Start | None = None) -> dict[str, Any]:
    recipe = load_recipe(path)
    return new_record(recipe, Run.open(recipe.runs, recipe.name, "0" * 12), start or Start(), 8)


@pytest.mark.parametrize(
    ("first", "other", "differing"),
    [
        ({}, {"seed": 3, "runs": "elsewhere", "evaluation": {"splits": ["test"]}}, []),
        ({"trainer": TRAINER}, {"trainer": TRAINER | {"save_every": 7, "log_every": 1}}, []),
        ({"trainer": TRAINER}, {"trainer": TRAINER | {"warmup": 0.2}}, ["trainer.warmup"]),
        ({"trainer": ENGLISH, "auxiliary_languages": ["tr"]}, {"trainer": ENGLISH, "auxiliary_languages": ["de"]}, []),
        ({"auxiliary_languages": ["tr"]}, {"auxiliary_languages": ["de"]}, ["auxiliary_languages"]),
    ],
)
def test_what_makes_another_row(write: Write, first: dict, other: dict, differing: list[str]) -> None:
    runs = [training_settings(record_of(write(name, **changes))) for name, changes in (("a", first), ("b", other))]
    assert differing_settings(runs) == differing


def test_settings_of_the_stage_before_count_wherever_its_folder_is(write: Write, tmp_path: Path) -> None:
    changes = ({"steps": 2}, {"steps": 3}, {"save_every": 9})
    stages = [training_settings(record_of(write("a", trainer=TRAINER | change))) for change in changes]
    starts = [Start(tmp_path / "gone" / "model", "0" * 12, (), settings) for settings in stages]
    first, other, same = (training_settings(record_of(write("b"), start)) for start in starts)
    assert differing_settings([first, other]) == ["start_from.trainer.steps"]
    assert differing_settings([first, same]) == []


def test_records_without_the_settings_of_the_stage_before_look_into_its_folder(write: Write, tmp_path: Path) -> None:
    before = Run.open(tmp_path, "before", "1" * 12)
    before.write_record(record_of(write("a", trainer=TRAINER | {"steps": 3})))
    record = record_of(write("b"), Start(before.model_dir, "1" * 12))
    assert training_settings(record)["start_from.trainer.steps"] == 3


def test_settings_of_a_plugin_that_is_not_installed_count(write: Write) -> None:
    first = training_settings(record_of(write("a"))) | {"trainer.name": "gone", "trainer.save_every": 1}
    assert differing_settings([first, first | {"trainer.save_every": 2}]) == ["trainer.save_every"]


def test_records_from_before_a_setting_of_examples_are_of_its_default(write: Write, tmp_path: Path) -> None:
    records = [
        record_of(write("a", task=task)) for task in ({"name": "mini/xvnli"}, {"name": "mini/xvnli", "held_out": 9})
    ]
    before, held_out = map(training_settings, records)
    earlier = {key: value for key, value in before.items() if key != "task.held_out"}
    starts = [Start(tmp_path / "gone" / "model", "0" * 12, (), settings) for settings in (before, earlier)]
    first, other = (training_settings(record_of(write("b"), start)) for start in starts)
    assert differing_settings([first, other]) == []
    del records[0]["recipe"]["task"]["held_out"]
    assert differing_settings([training_settings(records[0]), before]) == []
    assert differing_settings([before, held_out]) == ["task.held_out"]
