"""The runner: the files of a run, its starting points, and the reuse of finished runs."""

from __future__ import annotations

import datetime
import platform
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from iglue_plugins.recipes.recipe import Recipe, load_recipe
from iglue_plugins.runs import plugins, runner
from iglue_plugins.runs.folder import Run
from iglue_plugins.runs.training_settings import training_settings
from iglue_plugins.utils.errors import UserError

TIMINGS = {"training_seconds", "evaluation_seconds", "peak_memory_gib"}
MakeRecipe = Callable[..., Recipe]


def weights(run: Run) -> bytes:
    return (run.model_dir / "model.safetensors").read_bytes()


# A run


def test_a_run_leaves_a_record_predictions_a_model_and_logs(recipe: MakeRecipe) -> None:
    made = recipe({"trainer": {"name": "xvl_maml", "steps": 4}, "start_from": "model", "seed": 5})
    run = runner.run(made)
    record = run.record()
    fingerprint = run.folder.name.rpartition("-")[2]
    assert run.folder == made.runs / f"recipe-{fingerprint}"
    scores = record.pop("scores")
    data = plugins.make_task(made).fingerprint("test", "en")
    assert record.pop("data") == {"test": {"en": data, "tr": data}}
    versions, timings = record.pop("versions"), record.pop("timings")
    assert record.pop("parameters") == sum(p.numel() for p in plugins.load_model(made, run.model_dir)[0].parameters())
    (process,) = record.pop("processes")
    assert [code["package"] for code in record.pop("code")["task"]] == ["tiny_task"]
    assert record == {
        "format": 1, "name": "recipe", "fingerprint": fingerprint, "seed": 5, "task": "tiny/xvnli",
        "precision": "float32", "trainer": "xvl_maml", "source_language": "en",
        "training_languages": ["tr"], "labels_per_step": 4,
        "steps": 4, "main_metric": "accuracy", "start_from": None, "recipe": made.to_dict(),
    }  # fmt: skip
    assert timings.keys() == TIMINGS
    assert all(value > 0 for value in timings.values())
    assert {"iglue_plugins", "python", "torch", "transformers"} <= versions.keys()
    assert process["versions"] == versions
    assert process["host"] == platform.node()
    assert process["device"].startswith("cpu")
    assert datetime.datetime.now(datetime.UTC) >= datetime.datetime.fromisoformat(process["date"])
    assert list(scores) == ["test"]
    assert list(scores["test"]) == ["en", "tr"]
    for language, found in scores["test"].items():
        rows = run.read_predictions("test", language)
        assert [row["id"] for row in rows] == [f"test/{number}" for number in range(6)]
        assert found == {"accuracy": pytest.approx(100 * sum(row["score"] for row in rows) / 6), "examples": 6}

    assert load_recipe(run.recipe_path) == made
    assert sorted(path.name for path in run.folder.iterdir()) == [
        "model",
        "predictions",
        "recipe.yaml",
        "record.json",
        "tensorboard",
    ]
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= {path.name for path in run.model_dir.iterdir()}


def test_a_finished_run_is_returned_untouched(
    recipe: MakeRecipe, fits: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    made = recipe()
    first = runner.run(made)
    before = {path: (path.stat().st_mtime_ns, path.stat().st_ino) for path in first.folder.rglob("*")}
    capsys.readouterr()
    assert runner.run(made).folder == first.folder
    assert {path: (path.stat().st_mtime_ns, path.stat().st_ino) for path in first.folder.rglob("*")} == before
    assert runner.run(recipe(None, "name=other")).folder == first.folder
    assert fits == ["Finetune"]
    reused = f"finished before, reused: {first.folder}\n"
    assert capsys.readouterr() == ("", f"recipe (seed 0): {reused}other (seed 0): {reused}")


def test_a_reused_stage_is_said_once(recipe: MakeRecipe, capsys: pytest.CaptureFixture[str]) -> None:
    made = recipe({"trainer": "auxiliary_finetune"})
    runner.run(made.previous())
    capsys.readouterr()
    runner.run(made)
    reused, begun, *_ = capsys.readouterr().err.splitlines()
    assert reused.startswith("finetune (seed 0): finished before, reused: ")
    assert begun.startswith("training recipe (seed 0): new: auxiliary_finetune, ")


def test_again_sets_a_finished_run_aside(
    recipe: MakeRecipe, fits: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    made = recipe({"trainer": "auxiliary_finetune"})
    first, before = runner.run(made), (made.runs, *made.runs.iterdir())
    aside = first.folder.with_name(f"{first.folder.name}.before-1")
    second = runner.run(made, again=True)
    assert (second.folder, fits) == (first.folder, ["Finetune", "AuxiliaryFinetune", "AuxiliaryFinetune"])
    assert {*before, aside} == {made.runs, *made.runs.iterdir()}
    assert Run(aside).record()["scores"] == second.record()["scores"]
    assert f"runs anew; the finished run is now {aside}\n" in capsys.readouterr().err
    assert runner.run(made).folder == first.folder
    assert len(fits) == 3


def test_splits_and_languages_are_added_without_training_again(recipe: MakeRecipe, fits: list[str]) -> None:
    run = runner.run(recipe())
    first = run.record()
    for overrides, scored in (
        (["evaluation.splits=[dev]"], {"test": {"en", "tr"}, "dev": {"en", "tr"}}),
        (["evaluation.languages=[de]"], {"test": {"en", "tr", "de"}, "dev": {"en", "tr"}}),
    ):
        assert runner.run(recipe(None, *overrides)).folder == run.folder
        record = run.record()
        assert {split: set(of_split) for split, of_split in record["scores"].items()} == scored
        assert {language: record["scores"]["test"][language] for language in ("en", "tr")} == first["scores"]["test"]
        assert record["timings"]["training_seconds"] == first["timings"]["training_seconds"]
    assert len(run.read_predictions("dev", "en")) == 5
    assert fits == ["Finetune"]


def test_lost_predictions_are_made_again(recipe: MakeRecipe, fits: list[str]) -> None:
    run = runner.run(recipe())
    expected = run.read_predictions("test", "tr")
    run.predictions_path("test", "tr").unlink()
    runner.run(recipe())
    assert run.read_predictions("test", "tr") == expected
    assert fits == ["Finetune"]


def test_a_damaged_record_says_what_to_do(recipe: MakeRecipe, fits: list[str]) -> None:
    run = runner.run(recipe())
    expected = run.record()["scores"]
    run.record_path.write_text(run.record_path.read_text()[:100])
    with pytest.raises(UserError, match=f"{run.record_path}: .*; delete it and run again"):
        runner.run(recipe())
    run.record_path.unlink()
    runner.run(recipe())
    assert run.record()["scores"] == expected
    assert fits == ["Finetune"]


def test_the_seed_decides_the_weights(recipe: MakeRecipe, tmp_path: Path) -> None:
    """The weights of a model without a checkpoint depend on the seed too, and not on earlier random numbers."""
    processor = plugins.load_model(recipe(), None)[1]
    processor.save_pretrained(tmp_path / "tokenizer")
    config = {
        "vocab_size": len(processor.tokenizer),
        "hidden_size": 8,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 8,
        "region_feature_size": 64,
        "pooler_size": 8,
        "contrastive_size": 4,
    }
    model = {"name": "xuniter", "config": config, "tokenizer": str(tmp_path / "tokenizer")}
    found = []
    for folder, seed in (("a", 0), ("b", 0), ("c", 1)):
        torch.rand(3)
        made = recipe({"model": model, "runs": str(tmp_path / folder)}, f"seed={seed}", "evaluation.languages=[en]")
        found.append(runner.run(made))
    assert found[0].folder.name == found[1].folder.name != found[2].folder.name
    assert weights(found[0]) == weights(found[1]) != weights(found[2])


# Where a run starts from


def test_start_from_finetune_trains_the_baseline_once(recipe: MakeRecipe, fits: list[str]) -> None:
    run = runner.run(recipe({"trainer": "xvl_maml"}))
    (baseline,) = (Run(path) for path in run.folder.parent.glob("finetune-*"))
    assert baseline.record()["training_languages"] == []
    assert run.record()["start_from"] == {
        "fingerprint": baseline.record()["fingerprint"],
        "path": str(baseline.model_dir),
        "settings": training_settings(baseline.record()),
    }
    assert (run.record()["trainer"], baseline.record()["trainer"]) == ("xvl_maml", "finetune")
    runner.run(recipe({"trainer": "auxiliary_finetune"}))
    runner.run(recipe(file="english"))
    assert fits == ["Finetune", "XVLMAML", "AuxiliaryFinetune"]


def test_start_from_a_recipe_adds_to_the_training_languages(recipe: MakeRecipe, fits: list[str]) -> None:
    recipe({"trainer": "auxiliary_finetune", "auxiliary_languages": ["tr"]}, file="turkish")
    made = recipe({"trainer": "xvl_maml", "auxiliary_languages": ["de"], "start_from": "turkish.yaml", "seed": 1})
    run = runner.run(made)
    assert fits == ["Finetune", "AuxiliaryFinetune", "XVLMAML"]
    assert run.record()["training_languages"] == ["tr", "de"]
    (turkish,) = (Run(path).record() for path in run.folder.parent.glob("turkish-*"))
    assert (turkish["training_languages"], turkish["seed"]) == (["tr"], 1)
    again = recipe({"trainer": "auxiliary_finetune", "auxiliary_languages": ["tr"], "start_from": str(run.folder)})
    assert runner.run(again).record()["training_languages"] == ["tr", "de"]


def test_a_run_or_its_checkpoint_as_the_start_gives_the_same_weights(
    recipe: MakeRecipe, tmp_path: Path, fits: list[str]
) -> None:
    baseline = runner.run(recipe(file="english"))
    folder, checkpoint = (
        runner.run(recipe({"trainer": "auxiliary_finetune", "start_from": str(path)}))
        for path in (baseline.folder, baseline.model_dir)
    )
    assert fits == ["Finetune", "AuxiliaryFinetune", "AuxiliaryFinetune"]
    assert weights(folder) == weights(checkpoint) != weights(baseline)
    assert folder.record()["start_from"]["fingerprint"] == baseline.record()["fingerprint"]
    assert checkpoint.record()["start_from"]["path"] == str(baseline.model_dir)

    with pytest.raises(UserError, match=f"start_from: .{tmp_path}. is not a recipe, run or checkpoint"):
        runner.run(recipe({"start_from": str(tmp_path)}))


def test_other_weights_at_the_start_are_another_run(recipe: MakeRecipe, tmp_path: Path, tiny_checkpoint: Path) -> None:
    checkpoint = tmp_path / "checkpoint"
    shutil.copytree(tiny_checkpoint, checkpoint)
    made = recipe({"model": {"name": "xuniter", "checkpoint": str(checkpoint)}}, "evaluation.languages=[en]")
    first = runner.run(made)
    path = checkpoint / "model.safetensors"
    save_file({name: value / 2 for name, value in load_file(path).items()}, path, metadata={"format": "pt"})
    assert runner.run(made).folder != first.folder


# What training adds to the record


def test_validation_is_in_the_record(recipe: Callable[..., Recipe]) -> None:
    trainer = {"name": "finetune", "epochs": 2, "batch_size": 8, "validate_every": "epoch"}
    record = runner.run(recipe({"trainer": trainer})).record()
    assert record["steps"] == 8
    assert record["validation"].keys() == {"step", "score"}
    assert record["validation"]["step"] in (4, 8)


def test_learned_rates_and_temperature_are_in_the_record(recipe: MakeRecipe) -> None:
    learning = recipe(
        {"trainer": {"name": "xvl_maml", "learned_temperature": True, "learned_rates": "layer"}, "start_from": "model"}
    )
    learned = runner.run(learning).record()["learned"]
    assert {"temperature", "inner_lr/encoder.layers.0", "inner_lr/contrastive.text"} < learned.keys()
    assert 0.02 < learned["temperature"] != 0.07
    assert 1e-4 < learned["inner_lr/encoder.layers.0"] != 1e-3
    assert "learned" not in runner.run(recipe({"trainer": "xvl_maml", "start_from": "model"})).record()
