"""lmms-eval's own command line, with our model and with a generative one, on the tasks that are written for it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from iglue_plugins.errors import UserError
from iglue_plugins.integrations.lmms_eval.documents import make_task
from iglue_plugins.integrations.lmms_eval.generating import Source, write_tasks
from iglue_plugins.integrations.lmms_eval.results import read_results
from iglue_plugins.runs import Run

SHARED = Path(__file__).parents[3] / ".." / "shared" / "iglue"
pytestmark = pytest.mark.skipif(
    find_spec("lmms_eval") is None, reason="lmms-eval is not installed here; make test-lmms-eval has it")


class Ended(NamedTuple):
    """What was written: the results, and each task's samples in the order of its documents."""

    text: str
    results: Path | None
    samples: dict[str, list[dict[str, Any]]]


@pytest.fixture
def lmms_eval(mini_tasks: Path, tmp_path: Path) -> Callable[..., Ended]:
    """Calls it in a process of its own, where there is no network; the generative models are at hand."""
    site = tmp_path / "site"
    (site / "standin-0.dist-info").mkdir(parents=True)
    (site / "standin-0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: standin\nVersion: 0\n")
    (site / "standin-0.dist-info" / "entry_points.txt").write_text("[lmms_eval.models]\nstandin = standin:MANIFEST\n")
    shutil.copy(Path(__file__).with_name("standin.py"), site)

    def call(model: str, tasks: str, **arguments: str) -> Ended:
        given = {"model": model, "tasks": tasks, "include_path": mini_tasks, "output_path": tmp_path / "out"}
        given |= arguments
        command = [str(part) for name, value in given.items() for part in (f"--{name}", value)]
        environment = os.environ | {"HF_HUB_OFFLINE": "1", "PYTHONPATH": str(site), "HF_HOME": str(tmp_path / "hf")}
        ended = subprocess.run([sys.executable, "-m", "lmms_eval", *command, "--log_samples"], env=environment,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        found = {path.stem.partition("_samples_")[2]: list(map(json.loads, path.read_bytes().splitlines()))
                 for path in (tmp_path / "out").rglob("*_samples_*.jsonl")}
        return Ended(ended.stdout, next((tmp_path / "out").rglob("*_results.json"), None), found)

    return call


@pytest.mark.parametrize("name", ["xvnli", "xgqa", "marvl"])
def test_our_model_scores_as_by_iglue_evaluate(
    name: str, run_of: Callable[..., Run], lmms_eval: Callable[..., Ended]
) -> None:
    languages = make_task(f"mini/{name}", {}).languages
    run = run_of(name, *languages)
    ended = lmms_eval("iglue", f"mini_{name},mini_{name}_en", model_args=f"pretrained={run.folder}")
    assert ended.results, ended.text
    for language in languages:
        samples = ended.samples[f"mini_{name}_{language}"]
        assert [sample["doc_id"] for sample in samples] == list(range(400))
        expected = run.read_predictions("test", language)
        assert [(sample["filtered_resps"], sample["target"], sample["accuracy"]) for sample in samples] == [
            (row["prediction"], row["label"], row["score"]) for row in expected]
    scores = {language: run.record()["scores"]["test"][language]["accuracy"] for language in languages}
    assert read_results(ended.results, f"mini/{name}").languages == pytest.approx(scores)
    mean = json.loads(ended.results.read_text())["groups"][f"mini_{name}"]["accuracy,none"]
    assert 100 * mean == pytest.approx(np.mean([scores[language] for language in languages if language != "en"]))


MEANT = {
    "mini/xvnli": ("entailment", "neutral", "contradiction", None),
    "mini/xgqa": ("no", "yes", "lion", "magnet"),
    "mini/marvl": ("True", "False", "True", None),
}


@pytest.mark.parametrize("model", ["standin_simple", "standin_chat"])
def test_a_generative_model_is_asked_and_read(model: str, lmms_eval: Callable[..., Ended]) -> None:
    ended = lmms_eval(model, "mini_xvnli,mini_xgqa_ja,mini_marvl_ta", limit="60")
    assert ended.results, ended.text
    for name, language in (("xvnli", "zh"), ("xgqa", "ja"), ("marvl", "ta")):
        task = make_task(f"mini/{name}", {})
        examples = task.load("test", language).select(range(60))
        for sample, example in zip(ended.samples[f"mini_{name}_{language}"], examples, strict=True):
            assert example["text"] in sample["input"]
            colours = [task.picture(image).resize((1, 1)).getpixel((0, 0))[0] for image in example["image_ids"]]
            meant = MEANT[task.name][(sum(colours) + len(sample["input"])) % 4]
            assert sample["accuracy"] == (meant == example["label"])
    found = read_results(ended.results, "mini/xvnli")
    assert found.label == model and "en" not in found.languages and len(found.languages) == 14
    assert set(found.examples.values()) == {60}
    assert 0 < min(found.languages.values()) < max(found.languages.values()) < 100
    mean = json.loads(ended.results.read_text())["groups"]["mini_xvnli"]["accuracy,none"]
    assert 100 * mean == pytest.approx(np.mean(list(found.languages.values())))


def test_a_model_of_another_task_ends_with_a_sentence(
    run_of: Callable[..., Run], lmms_eval: Callable[..., Ended]
) -> None:
    run = run_of("marvl", "sw")
    ended = lmms_eval("iglue", "mini_marvl_sw,mini_xvnli_sw", model_args=f"pretrained={run.folder}")
    assert ended.results is None
    assert (f"Error during evaluation: {run.folder}: found a model of task mini/marvl, expected one of mini/xvnli, as "
            "the documents are") in ended.text


def test_arguments_of_the_model(run_of: Callable[..., Run], monkeypatch: pytest.MonkeyPatch) -> None:
    from iglue_plugins.integrations.lmms_eval.model import IGLUE

    folder = str(run_of("marvl", "sw").folder)
    for batch_size, expected in ((None, 256), (1, 256), ("1", 256), ("auto", 256), ("auto:4", 256), ("8", 8)):
        model = IGLUE.create_from_arg_string(f"pretrained={folder}", {"batch_size": batch_size, "device": "cpu"})
        assert model.predictor.batch_size == expected
    with pytest.raises(UserError, match="^model_args: found no pretrained, expected the folder of a finished run or"):
        IGLUE()
    with pytest.raises(UserError, match="^model_args: found 'dataroot', .*; did you mean 'data_root'\\?$"):
        IGLUE(pretrained=folder, dataroot="x")
    with pytest.raises(UserError, match="^batch_size: found 'many', expected a whole number above 0, or auto$"):
        IGLUE(pretrained=folder, batch_size="many")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UserError, match="^WORLD_SIZE: found 2 processes, expected one for the model iglue$"):
        IGLUE(pretrained=folder)


def test_only_generated_tasks_are_answered(run_of: Callable[..., Run]) -> None:
    from lmms_eval.api.instance import Instance

    from iglue_plugins.integrations.lmms_eval.model import IGLUE

    model = IGLUE(pretrained=str(run_of("marvl", "sw").folder))
    metadata = {"task": "gqa", "doc_id": 0, "repeats": 1}
    request = Instance("generate_until", ("", {}, None, 0, "gqa", "test"), 0, metadata)
    with pytest.raises(UserError, match="^task gqa: found no task that `iglue lmms-eval-tasks` made, expected one for"):
        model.generate_until([request])
    for method in (model.loglikelihood, model.generate_until_multi_round):
        with pytest.raises(UserError, match="expected generate_until, as the generated tasks do"):
            method([request])


@pytest.mark.skipif(not SHARED.is_dir(), reason="the annotations of the IGLUE repository are not at hand")
def test_the_real_test_files_load_as_tasks() -> None:
    from lmms_eval.tasks import TaskManager

    folder = write_tasks(["xvnli", "xgqa", "marvl"], Source(SHARED))
    manager = TaskManager(include_path=str(folder), include_defaults=False)
    loaded = {name: manager.load_task_or_group(name)[name] for name in manager.all_subtasks}
    assert {name: len(task.test_docs()) for name, task in loaded.items()} == dict.fromkeys(
        (f"xvnli_{language}" for language in ("en", "ar", "es", "fr", "ru")), 1150) | {
        "xgqa_en": 9666, "marvl_id": 1128, "marvl_sw": 1108, "marvl_ta": 1242, "marvl_tr": 1180, "marvl_zh": 1012}
    for name, task in loaded.items():
        document = task.test_docs()[0]
        assert document["text"] in task.doc_to_text(document), name
    assert manager.all_groups == ["marvl", "xvnli"]
