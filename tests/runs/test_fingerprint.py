"""Which parts of a recipe, its data and its code determine a run's fingerprint."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from iglue_plugins.recipes.recipe import Recipe
from iglue_plugins.runs import fingerprint as fingerprint_module
from iglue_plugins.runs.fingerprint import fingerprint

MakeRecipe = Callable[..., Recipe]


@pytest.fixture
def found(recipe: MakeRecipe) -> Callable[..., str]:
    """Gives a function that returns the fingerprint of a recipe with overrides."""

    def find(*overrides: str, previous: str | None = None) -> str:
        return fingerprint(recipe(None, *overrides), previous)

    return find


def test_fingerprint_is_12_hexadecimal_digits_and_stable(found: Callable[..., str]) -> None:
    assert len(found()) == 12
    assert int(found(), 16) >= 0
    assert found() == found()


@pytest.mark.parametrize(
    "override",
    ["name=other", "runs=other", "evaluation.batch_size=1", "evaluation.languages=[de]",
     "evaluation.precision=bfloat16", "auxiliary_languages=[de]", "trainer.log_every=7", "trainer.steps=3",
     "start_from=/",
     "model.gradient_checkpointing=true"],
)  # fmt: skip
def test_settings_that_do_not_change_the_weights_do_not_count(override: str, found: Callable[..., str]) -> None:
    assert found(override) == found()


@pytest.mark.parametrize(
    "override",
    ["seed=1", "model.config={dropout: 0.2}", "trainer.learning_rate=1", "source_language=de", "trainer=xvl_maml"],
)  # fmt: skip
def test_settings_that_change_the_weights_count(override: str, found: Callable[..., str]) -> None:
    assert found(override) != found()


def test_a_window_of_lengths_counts_where_there_is_one(found: Callable[..., str], recipe: MakeRecipe) -> None:
    """Runs of before there were any keep their fingerprints."""
    assert found("trainer=finetune", "trainer.length_window=0") == found("trainer=finetune")
    assert len({found("trainer=finetune", f"trainer.length_window={window}") for window in (0, 4, 8)}) == 3
    without, with_window = recipe(None, "trainer=finetune"), recipe(None, "trainer=finetune", "trainer.length_window=8")
    assert "length_window" not in without.to_dict()["trainer"]
    assert with_window.to_dict()["trainer"]["length_window"] == 8
    assert with_window.plugin("trainer")[1].length_window == 8


def test_settings_of_examples_count_by_the_examples_alone(
    found: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = found()
    assert found("task.held_out=9") != before
    monkeypatch.setattr("iglue_plugins.mini.base.MiniTask.fingerprint", lambda *args: "the same examples")
    assert found("task.held_out=9") == found()


def test_auxiliary_languages_count_for_a_trainer_that_uses_them(found: Callable[..., str]) -> None:
    assert found("trainer=xvl_maml") != found("trainer=xvl_maml", "auxiliary_languages=[de]")
    assert found("trainer=xvl_maml") != found("trainer=xvl_maml", "auxiliary_languages=[tr, de]")


def test_source_languages_count_and_a_list_of_one_is_that_one(found: Callable[..., str]) -> None:
    assert found("source_language=[en]") == found()
    both = {found("source_language=[en, de]"), found("source_language=[de, en]"), found("source_language=de"), found()}
    assert len(both) == 4


def test_the_stage_before_the_version_and_the_meaning_count(
    found: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    different = {found(), found(previous="abc")}
    monkeypatch.setattr(fingerprint_module, "MEANING", -1)
    different.add(found())
    monkeypatch.setattr(fingerprint_module, "package_version", lambda: "9.9")
    assert len(different | {found()}) == 4


def test_the_code_of_plugins_from_elsewhere_counts(found: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    before, code = found(), fingerprint_module.plugin_code
    monkeypatch.setattr(fingerprint_module, "plugin_code", lambda cls: [*code(cls), {"sha256": "other"}][-1:])
    assert found() != before


def test_what_auto_precision_comes_to_counts(found: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert found() == found("trainer.precision=float32") != found("trainer.precision=bfloat16")
    low = found("trainer.precision=bfloat16")
    monkeypatch.setattr("iglue_plugins.trainers.precision.multiplies_bfloat16", lambda device: True)
    assert found("trainer.precision=auto") == low


def test_a_checkpoint_counts_by_its_content(recipe: MakeRecipe, tiny_checkpoint: Path, tmp_path: Path) -> None:
    for name in ("moved", "changed"):
        shutil.copytree(tiny_checkpoint, tmp_path / name)
    (tmp_path / "changed" / "note.txt").write_text("other")
    expected, moved, changed = (
        fingerprint(recipe({"model": {"name": "xuniter", "checkpoint": str(path)}}), None)
        for path in (tiny_checkpoint, tmp_path / "moved", tmp_path / "changed")
    )
    assert expected == moved != changed


# Data


@pytest.fixture
def iglue(recipe: MakeRecipe, tmp_path: Path) -> Callable[..., str]:
    """Gives a function that returns the fingerprint of XVNLI with a trainer, on files in tmp_path."""

    def find(trainer: str, *overrides: str) -> str:
        made = recipe(
            {"task": {"name": "xvnli", "data_root": str(tmp_path)}, "trainer": trainer, "evaluation": {}}, *overrides
        )
        return fingerprint(made, None)

    return find


def put(path: Path, text: str = "{}\n") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_only_the_examples_that_training_reads_count(iglue: Callable[..., str], tmp_path: Path) -> None:
    annotations = tmp_path / "datasets" / "XVNLI" / "annotations"
    put(annotations / "en" / "train.jsonl")
    few_shot = ["task.auxiliary=few_shot", "task.auxiliary_shots=48", "auxiliary_languages=[ru]"]
    english, russian = iglue("finetune"), iglue("xvl_maml", *few_shot)

    put(annotations / "ru" / "train_48.jsonl")
    put(annotations / "fr" / "train_48.jsonl")
    assert iglue("finetune") == iglue("finetune", *few_shot) == iglue("finetune", "task.auxiliary_shots=1") == english
    assert iglue("xvl_maml", *few_shot) != russian
    russian = iglue("xvl_maml", *few_shot)
    put(annotations / "fr" / "train_48.jsonl", "{} {}\n")
    assert iglue("xvl_maml", *few_shot) == russian
    assert iglue("xvl_maml", *few_shot, "task.auxiliary_shots=1") != russian

    put(annotations / "en" / "train.jsonl", "{} {}\n")
    assert iglue("finetune") != english


def test_validation_reads_its_split(iglue: Callable[..., str], tmp_path: Path) -> None:
    before = iglue("finetune", "trainer.validate_every=5")
    put(tmp_path / "datasets" / "XVNLI" / "annotations" / "en" / "dev.jsonl")
    assert iglue("finetune", "trainer.validate_every=5") != before
