"""The command line of lmms-eval on generated tasks, with the model iglue and with a generative model."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import yaml

from iglue_plugins.evaluation.clusters import group_clusters
from iglue_plugins.integrations.lmms_eval.documents import make_task
from iglue_plugins.integrations.lmms_eval.task_files import DataSource, write_tasks
from iglue_plugins.reporting.lmms_eval_results import read_results
from iglue_plugins.runs.folder import Run
from iglue_plugins.utils.errors import UserError

SHARED = Path(__file__).parents[3] / ".." / "shared" / "iglue"
OURS = ("xvnli", "xgqa", "marvl")
GENERATIVE = ("standin_simple", "standin_chat")
pytestmark = pytest.mark.skipif(
    find_spec("lmms_eval") is None, reason="lmms-eval is not installed here; make test-lmms-eval has it"
)


class Ended(NamedTuple):
    status: int
    text: str


class Written(NamedTuple):
    """The result file, and the samples of each task in the order of its documents."""

    results: Path
    samples: dict[str, list[dict[str, Any]]]


@pytest.fixture(scope="module")
def lmms_eval(mini_tasks: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Ended]:
    """Gives a function that calls lmms-eval in another process, without network, with generative models installed."""
    home = tmp_path_factory.mktemp("home")
    (home / "standin-0.dist-info").mkdir(parents=True)
    (home / "standin-0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: standin\nVersion: 0\n")
    (home / "standin-0.dist-info" / "entry_points.txt").write_text("[lmms_eval.models]\nstandin = standin:MANIFEST\n")
    shutil.copy(Path(__file__).with_name("standin.py"), home)

    def call(**arguments: object) -> Ended:
        given = {"include_path": mini_tasks, **arguments}
        command = [str(part) for name, value in given.items() for part in (f"--{name}", value)]
        environment = os.environ | {"HF_HUB_OFFLINE": "1", "PYTHONPATH": str(home), "HF_HOME": str(home / "hf")}
        ended = subprocess.run(
            [sys.executable, "-m", "lmms_eval", *command, "--log_samples"],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        return Ended(ended.returncode, ended.stdout)

    return call


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("out")


@pytest.fixture(scope="module")
def ended(run_of: Callable[..., Run], lmms_eval: Callable[..., Ended], out: Path) -> dict[str, Ended]:
    """All that is evaluated, each below `out` by its name.

    Starting lmms-eval takes longer than what it does here, so that only our first model and the mistake have a process
    of their own, while the others share one through a file with their arguments.
    """
    of = {
        "xvnli": {"tasks": "mini_xvnli,mini_xvnli_en"},
        "mistake": {"tasks": "mini_marvl_sw,mini_xvnli_sw"},
        "xgqa": {"tasks": "mini_xgqa,mini_xgqa_en"},
        "marvl": {"tasks": "mini_marvl,mini_marvl_en"},
    }
    for name, arguments in of.items():
        folder = run_of("marvl" if name == "mistake" else name).folder
        arguments |= {"model": "iglue", "model_args": f"pretrained={folder},device=cpu,batch_size=256"}
    for name in GENERATIVE:
        of[name] = {"model": name, "tasks": "mini_xvnli,mini_xgqa_ja,mini_marvl_ta", "limit": 60}
    for name, arguments in of.items():
        arguments["output_path"] = str(out / name)
    alone = {name: of.pop(name) for name in ("xvnli", "mistake")}
    (out / "others.yaml").write_text(yaml.safe_dump(list(of.values())))
    calls = {"others": {"config": out / "others.yaml"}} | alone
    with ThreadPoolExecutor(2) as pool:
        return dict(zip(calls, pool.map(lambda arguments: lmms_eval(**arguments), calls.values()), strict=True))


@pytest.fixture(scope="module")
def evaluated(ended: dict[str, Ended], out: Path) -> Callable[[str], Written]:
    """Gives a function that returns what lmms-eval wrote for a name."""

    def written(name: str) -> Written:
        results = list((out / name).rglob("*_results.json"))
        assert len(results) == 1, ended.get(name, ended["others"]).text
        samples = {
            path.stem.partition("_samples_")[2]: list(map(json.loads, path.read_bytes().splitlines()))
            for path in (out / name).rglob("*_samples_*.jsonl")
        }
        return Written(results[0], samples)

    return written


@pytest.mark.parametrize("name", OURS)
def test_our_model_scores_as_by_iglue_evaluate(
    name: str, run_of: Callable[..., Run], evaluated: Callable[[str], Written]
) -> None:
    found, languages = evaluated(name), make_task(f"mini/{name}", {}).languages
    run = run_of(name, *languages)
    for language in languages:
        samples = found.samples[f"mini_{name}_{language}"]
        assert [sample["doc_id"] for sample in samples] == list(range(400))
        expected = run.read_predictions("test", language)
        assert [(sample["filtered_resps"], sample["target"], sample["accuracy"]["score"]) for sample in samples] == [
            (row["prediction"], row["label"], row["score"]) for row in expected
        ]
        assert [
            (
                sample["accuracy"]["id"],
                sample["accuracy"]["language"],
                sample["accuracy"]["text"],
                sample["accuracy"]["label"],
            )
            for sample in samples
        ] == [(row["id"], language, row["text"], row["label"]) for row in expected]
    scores = {language: run.record()["scores"]["test"][language]["accuracy"] for language in languages}
    assert read_results(found.results, f"mini/{name}").languages == pytest.approx(scores)
    mean = json.loads(found.results.read_text())["groups"][f"mini_{name}"]["accuracy,none"]
    assert 100 * mean == pytest.approx(np.mean([scores[language] for language in languages if language != "en"]))


MEANT = {
    "mini/xvnli": ("entailment", "neutral", "contradiction", None),
    "mini/xgqa": ("no", "yes", "lion", "magnet"),
    "mini/marvl": ("True", "False", "True", None),
}


@pytest.mark.parametrize("name", OURS)
def test_its_clustered_errors_are_those_of_the_images(
    name: str, run_of: Callable[..., Run], evaluated: Callable[[str], Written]
) -> None:
    results = json.loads(evaluated(name).results.read_text())["results"]
    run = run_of(name, "sw")
    rows = run.read_predictions("test", "sw")
    (group,) = group_clusters({"sw": [row["id"] for row in rows]}, {"sw": [row["image_ids"] for row in rows]})
    deviations = np.array([row["score"] for row in rows]) - np.mean([row["score"] for row in rows])
    # The plain error has a denominator of n - 1, and pairs of examples of one image are added to it.
    same = group.clusters["sw"][:, None] == group.clusters["sw"]
    pairs = (np.outer(deviations, deviations) * same).sum() - (deviations**2).sum()
    variance = (deviations**2).sum() / (400 - 1) / 400 + pairs / 400**2
    assert results[f"mini_{name}_sw"]["accuracy_stderr_clustered,none"] == pytest.approx(np.sqrt(variance))


@pytest.mark.parametrize("model", GENERATIVE)
def test_a_generative_model_is_asked_and_read(model: str, evaluated: Callable[[str], Written]) -> None:
    written = evaluated(model)
    for name, language in (("xvnli", "zh"), ("xgqa", "ja"), ("marvl", "ta")):
        task = make_task(f"mini/{name}", {})
        examples = task.load("test", language).select(range(60))
        for sample, example in zip(written.samples[f"mini_{name}_{language}"], examples, strict=True):
            assert example["text"] in sample["input"]
            colours = [
                task.pictures.picture(image).resize((1, 1)).getpixel((0, 0))[0] for image in example["image_ids"]
            ]
            meant = MEANT[task.name][(sum(colours) + len(sample["input"])) % 4]
            assert sample["accuracy"]["score"] == (meant == example["label"])
    found = read_results(written.results, "mini/xvnli")
    assert found.label == model and "en" not in found.languages and len(found.languages) == 14
    assert set(found.examples.values()) == {60}
    assert 0 < min(found.languages.values()) < max(found.languages.values()) < 100
    mean = json.loads(written.results.read_text())["groups"]["mini_xvnli"]["accuracy,none"]
    assert 100 * mean == pytest.approx(np.mean(list(found.languages.values())))


def test_a_mistake_ends_with_a_sentence(run_of: Callable[..., Run], ended: dict[str, Ended], out: Path) -> None:
    status, text = ended["mistake"]
    sentence = f"{run_of('marvl').folder}: the model is of task mini/marvl, but the documents are of task mini/xvnli"
    assert (status, text.splitlines()[-1]) == (2, f"iglue: {sentence}")
    assert "Traceback" not in text and not (out / "mistake").exists()
    assert (ended["xvnli"].status, ended["others"].status) == (0, 0)


def test_arguments_of_the_model(run_of: Callable[..., Run], monkeypatch: pytest.MonkeyPatch) -> None:
    from iglue_plugins.integrations.lmms_eval.model import IGLUE

    folder = str(run_of("marvl").folder)
    for batch_size, expected in ((None, 256), (1, 256), ("1", 256), ("auto", 256), ("auto:4", 256), ("8", 8)):
        model = IGLUE.create_from_arg_string(f"pretrained={folder}", {"batch_size": batch_size, "device": "cpu"})
        assert model.predictor.trained.batch_size == expected
    model = IGLUE.create_from_arg_string(
        f"pretrained={folder},batch_size=8,device=cpu", {"batch_size": 1, "max_batch_size": None, "device": "cuda:99"}
    )
    assert (model.predictor.trained.batch_size, model.predictor.trained.model.device.type) == (8, "cpu")
    with pytest.raises(UserError, match="^model_args: pretrained is missing"):
        IGLUE()
    with pytest.raises(UserError, match="^model_args: .* no argument 'dataroot'; did you mean 'data_root'\\?$"):
        IGLUE(pretrained=folder, dataroot="x")
    for batch_size in ("many", 0, "-4", 2.5):
        with pytest.raises(UserError, match=f"^batch_size: '{batch_size}' is neither a whole number above 0 nor"):
            IGLUE(pretrained=folder, batch_size=batch_size)
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UserError, match="^WORLD_SIZE is 2, but the model iglue runs in one process"):
        IGLUE(pretrained=folder)


@pytest.mark.parametrize(
    ("model_args", "sentence"),
    [
        ("runs", "model_args: 'runs' is not a list of name=value, separated by commas"),
        ("pretrained=no/such", "no/such: there is no such folder, and no such model can be fetched from the hub"),
        ("pretrained=no/such,data_root=1", "data_root: there is no folder '1'"),
    ],
)
def test_wrong_arguments_end_the_process(
    model_args: str, sentence: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from iglue_plugins.integrations.lmms_eval.model import IGLUE

    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        IGLUE.create_from_arg_string(model_args, {"batch_size": 1})
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith(f"iglue: {sentence}")


def test_only_generated_tasks_are_answered(run_of: Callable[..., Run], capsys: pytest.CaptureFixture[str]) -> None:
    from lmms_eval.api.instance import Instance

    from iglue_plugins.integrations.lmms_eval.model import IGLUE

    model = IGLUE(pretrained=str(run_of("marvl").folder))
    metadata = {"task": "gqa", "doc_id": 0, "repeats": 1}
    request = Instance("generate_until", ("", {}, None, 0, "gqa", "test"), 0, metadata)
    capsys.readouterr()
    for method, sentence in (
        (model.generate_until, "task gqa: the model iglue answers only tasks that `iglue lmms-eval-tasks` generated"),
        (model.loglikelihood, "the model iglue gives no likelihoods"),
        (model.generate_until_multi_round, "the model iglue answers in one round"),
    ):
        with pytest.raises(SystemExit):
            method([request])
        assert capsys.readouterr().err.startswith(f"iglue: {sentence}")


@pytest.mark.skipif(not SHARED.is_dir(), reason="the annotations of the IGLUE repository are not at hand")
def test_the_real_test_files_load_as_tasks() -> None:
    from lmms_eval.tasks import TaskManager

    folder = write_tasks(["xvnli", "xgqa", "marvl"], DataSource(SHARED))
    manager = TaskManager(include_path=str(folder), include_defaults=False)
    loaded = {name: manager.load_task_or_group(name)[name] for name in manager.all_subtasks}
    assert {name: len(task.test_docs()) for name, task in loaded.items()} == dict.fromkeys(
        (f"xvnli_{language}" for language in ("en", "ar", "es", "fr", "ru")), 1150
    ) | {"xgqa_en": 9666, "marvl_id": 1128, "marvl_sw": 1108, "marvl_ta": 1242, "marvl_tr": 1180, "marvl_zh": 1012}
    for name, task in loaded.items():
        document = task.test_docs()[0]
        assert document["text"] in task.doc_to_text(document), name
    assert manager.all_groups == ["marvl", "xvnli"]
