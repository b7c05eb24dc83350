"""Answers to documents, which equal those of `iglue evaluate`, and errors for documents that cannot be answered."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from iglue_plugins.data.conversion.converter import convert
from iglue_plugins.integrations.lmms_eval.documents import make_task
from iglue_plugins.integrations.lmms_eval.predictor import Predictor
from iglue_plugins.recipes.recipe import load_recipe
from iglue_plugins.runs import runner
from iglue_plugins.runs.folder import Run
from iglue_plugins.utils.errors import UserError

ROOT = Path(__file__).parents[3]


def documents(task: str, language: str, **settings: Any) -> list[dict[str, Any]]:
    return [{"task": task, **row} for row in make_task(task, settings).load("test", language)]


@pytest.mark.parametrize("name", ["xvnli", "xgqa", "marvl"])
def test_answers_are_those_of_iglue_evaluate(name: str, run_of: Callable[..., Run]) -> None:
    run = run_of(name, "sw")
    predictor = Predictor(run.folder)
    answers = predictor.answers(predictor.batcher(f"mini/{name}", documents(f"mini/{name}", "sw")))
    assert answers == [row["prediction"] for row in run.read_predictions("test", "sw")]
    assert min(Counter(answers).most_common(2)[-1][1], len(set(answers))) > 1


def test_a_runs_model_folder_stands_for_the_run_and_a_checkpoint_for_itself(
    run_of: Callable[..., Run], tmp_path: Path
) -> None:
    run = run_of("marvl", "sw")
    some = documents("mini/marvl", "sw")[:20]
    alone = shutil.copytree(run.model_dir, tmp_path / "alone")
    found = [Predictor(path, batch_size=7) for path in (run.folder, run.model_dir, alone)]
    assert [predictor.recipe is None for predictor in found] == [False, False, True]
    answers = [predictor.answers(predictor.batcher("mini/marvl", some)) for predictor in found]
    assert answers[0] == answers[1] == answers[2]


def test_a_run_with_an_adapter(tmp_path: Path) -> None:
    recipe = load_recipe(
        ROOT / "recipes" / "mini" / "xvnli" / "finetune.yaml",
        ["model.adapter={type: lora}", "trainer.steps=2", "evaluation.languages=[sw]", f"runs={tmp_path}"],
    )
    run = runner.run(recipe)
    for path in (run.folder, run.model_dir):
        predictor = Predictor(path)
        answers = predictor.answers(predictor.batcher("mini/xvnli", documents("mini/xvnli", "sw")))
        assert answers == [row["prediction"] for row in run.read_predictions("test", "sw")]


def test_a_run_that_is_evaluated_in_bfloat16(tmp_path: Path) -> None:
    overrides = ["trainer.steps=1", "evaluation={languages: [sw], precision: bfloat16}", f"runs={tmp_path}"]
    run = runner.run(load_recipe(ROOT / "recipes" / "mini" / "xvnli" / "finetune.yaml", overrides))
    predictor = Predictor(run.folder)
    answers = predictor.answers(predictor.batcher("mini/xvnli", documents("mini/xvnli", "sw")))
    assert predictor.trained.model.dtype == torch.bfloat16
    assert answers == [row["prediction"] for row in run.read_predictions("test@bfloat16", "sw")]


def test_a_model_of_another_task(run_of: Callable[..., Run], tmp_path: Path) -> None:
    run = run_of("marvl", "sw")
    xvnli = documents("mini/xvnli", "sw")[:2]
    with pytest.raises(UserError, match="the model is of task mini/marvl, but the documents are of task mini/xvnli"):
        Predictor(run.folder).batcher("mini/xvnli", xvnli)
    alone = shutil.copytree(run.model_dir, tmp_path / "alone")
    with pytest.raises(
        UserError, match="the model has head 'image_pair' and 2 labels, but task mini/xvnli needs 'classifier' and 3"
    ):
        Predictor(alone).batcher("mini/xvnli", xvnli)


def test_folders_that_are_not_runs_or_checkpoints(run_of: Callable[..., Run], tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"^pretrained: '{tmp_path}' is not a run or a checkpoint"):
        Predictor(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(UserError, match="config.json: found model_type 'bert', expected one of xuniter, uc2, muniter$"):
        Predictor(tmp_path)
    run = shutil.copytree(run_of("marvl", "sw").folder, tmp_path / "run")
    with pytest.raises(UserError, match=f"^pretrained: '{run / 'modle'}' is not a run or a checkpoint"):
        Predictor(run / "modle")
    shutil.rmtree(run / "model")
    (run / "recipe.yaml").unlink()  # a run whose trainer keeps no model has none
    with pytest.raises(UserError, match="run: has no model"):
        Predictor(run)


@pytest.mark.parametrize("device", ["cuda:99", "gpu"])
def test_a_device_that_is_not_here(device: str, run_of: Callable[..., Run]) -> None:
    with pytest.raises(UserError, match=f"^device: '{device}' is not available \\(.+\\)"):
        Predictor(run_of("marvl", "sw").folder, device=device)


@pytest.fixture
def data_root(tmp_path: Path) -> Path:
    """XVNLI's test set in English, with features of one of its two images."""
    import h5py
    import numpy as np

    home = tmp_path / "iglue"
    path = home / "datasets" / "XVNLI" / "annotations" / "en" / "test.jsonl"
    path.parent.mkdir(parents=True)
    lines = (
        {"gold_label": "neutral", "sentence1": "a", "sentence2": "b", "pairID": f"pair {i}", "Flikr30kID": f"{i}.jpg"}
        for i in range(2)
    )
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    with h5py.File(home / "some.h5", "w") as file:
        group = file.create_group("0")
        group["features"] = np.ones((2, 64), np.float32)
        group["boxes"] = np.asarray([[0, 0, 9, 9]] * 2, np.float32)
        group["img_w"], group["img_h"] = 10, 10
    convert([home / "some.h5"], home / "regions" / "flickr30k")
    return home


@pytest.fixture
def xvnli(run_of: Callable[..., Run], tmp_path: Path) -> Path:
    """A checkpoint with XVNLI's head."""
    return shutil.copytree(run_of("xvnli", "sw").model_dir, tmp_path / "xvnli")


def test_a_document_without_features_is_named(data_root: Path, xvnli: Path) -> None:
    rows = documents("xvnli", "en", data_root=str(data_root))
    predictor = Predictor(xvnli, data_root)
    assert predictor.answers(predictor.batcher("xvnli", rows[:1]))[0] in make_task("xvnli", {}).labels
    with pytest.raises(UserError, match="^xvnli in 'en': document 'pair 1': image '1' has no region features"):
        predictor.batcher("xvnli", rows)


def test_data_root(data_root: Path, xvnli: Path, tmp_path: Path) -> None:
    rows = documents("xvnli", "en", data_root=str(data_root))
    with pytest.raises(UserError, match="^model_args: data_root is missing; name the folder with the data of task"):
        Predictor(xvnli).batcher("xvnli", rows)
    with pytest.raises(UserError, match="^data_root: there is no folder 'no/such'"):
        Predictor(xvnli, "no/such")
    with pytest.raises(UserError, match="^data_root: there is no folder ''"):
        Predictor(xvnli, "")
    with pytest.raises(UserError, match="^data_root: '.*' is given, but task mini/xvnli generates its data"):
        Predictor(xvnli, data_root).batcher("mini/xvnli", documents("mini/xvnli", "sw")[:2])
