"""The task files that are written for lmms-eval."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import pytest
import yaml
from PIL import Image

from iglue_plugins.integrations.lmms_eval import documents
from iglue_plugins.integrations.lmms_eval.task_files import DataSource, clusters, write_tasks
from iglue_plugins.tasks.settings import IGLUE_HOME
from iglue_plugins.utils.errors import UserError

SHARED = Path(__file__).parents[3] / ".." / "shared" / "iglue"
on_real_files = pytest.mark.skipif(
    not SHARED.is_dir(), reason="the annotations of the IGLUE repository are not at hand"
)


class Loader(yaml.SafeLoader):
    """A YAML loader that reads a function as its path."""


Loader.add_constructor("!function", lambda loader, node: loader.construct_scalar(node))


def read(folder: Path, name: str) -> dict[str, Any]:
    return yaml.load((folder / f"{name}.yaml").read_text(encoding="utf-8"), Loader)


def rows(folder: Path, name: str) -> list[dict[str, Any]]:
    lines = (folder / f"{name}.jsonl").read_text(encoding="utf-8").split("\n")
    return [json.loads(line) for line in lines if line]


def test_each_language_is_a_task_and_the_targets_are_a_group(mini_tasks: Path) -> None:
    for name in ("xvnli", "xgqa", "marvl"):
        task = documents.make_task(f"mini/{name}", {})
        group = read(mini_tasks, f"mini_{name}")
        assert group["task"] == [f"mini_{name}_{language}" for language in task.languages if language != "en"]
        assert group["aggregate_metric_list"] == [
            {"metric": "accuracy", "aggregation": "mean", "weight_by_size": False}
        ]
        for language in task.languages:
            assert read(mini_tasks, f"mini_{name}_{language}")["task"] == f"mini_{name}_{language}"
    assert len(list(mini_tasks.iterdir())) == 3 * (2 * 15 + 1)


def test_documents_are_the_examples_of_the_task(mini_tasks: Path) -> None:
    found = rows(mini_tasks, "mini_marvl_ta")
    examples = documents.make_task("mini/marvl", {}).load("test", "ta")
    assert len(found) == len(examples) == 400
    for row, example in zip(found, examples, strict=True):
        assert row.pop("cluster") in example["image_ids"]
        assert row == {"task": "mini/marvl", **example}


def test_documents_name_the_cluster_of_images_that_they_belong_to() -> None:
    """Of four statements the first and the third are linked by an image, and so is the fourth by another."""
    assert _clusters_of([["a"], ["b"], ["a"]]) == ["a", "b", "a"]
    assert _clusters_of([["a", "b"], ["c", "d"], ["e", "b"], ["f", "e"]]) == ["a", "c", "a", "a"]


def _clusters_of(image_ids: list[list[str]]) -> list[str]:
    examples = {"id": [str(number) for number in range(len(image_ids))], "image_ids": image_ids}
    return clusters(datasets.Dataset.from_dict(examples))


def test_the_answer_is_written_beside_what_was_asked(mini_tasks: Path) -> None:
    document = rows(mini_tasks, "mini_marvl_ta")[0] | {"label": "True"}
    (judgement,) = documents.judged(document, ["Yes, both do"]).values()
    assert judgement == {
        "score": 1.0,
        "id": document["id"],
        "language": "ta",
        "text": document["text"],
        "label": "True",
        "cluster": document["cluster"],
        "read_as": "True",
    }
    (wrong,) = documents.judged(document, ["no idea"]).values()
    assert documents.mean_score([judgement, wrong]) == 0.5
    config = read(mini_tasks, "mini_marvl_ta")
    assert (config["cluster_key"], config["metric_list"][0]["metric"]) == ("cluster", "accuracy")
    assert config["metric_list"][0]["aggregation"] == f"{documents.__name__}.mean_score"


def test_a_task_names_functions_that_exist(mini_tasks: Path) -> None:
    config = read(mini_tasks, "mini_xgqa_de")
    options = config["lmms_eval_specific_kwargs"]["default"]
    for key, function in (
        ("doc_to_text", documents.prompt),
        ("doc_to_visual", documents.pictures),
        ("process_results", documents.judged),
    ):
        assert config[key] == f"{documents.__name__}.{function.__name__}"
    document = rows(mini_tasks, "mini_xgqa_de")[0]
    assert document["text"] in documents.prompt(document, options)
    assert "no, yes, alarm clock" in documents.prompt(document, options)
    (picture,) = documents.pictures(document, options)
    assert (picture.size, picture.mode) == ((128, 128), "RGB")
    expected = documents.make_task("mini/xgqa", {}).pictures.picture(document["image_ids"][0])
    assert picture.tobytes() == expected.tobytes()


def test_equal_content_has_one_folder(mini_tasks: Path) -> None:
    first = write_tasks(["mini/marvl"], DataSource())
    kept = sorted(first.parent.iterdir())
    assert write_tasks(["mini/marvl"], DataSource()) == first != mini_tasks
    assert sorted(first.parent.iterdir()) == kept, "nothing unfinished is left behind"


@pytest.fixture
def data_root(tmp_path: Path) -> Path:
    """XVNLI's test set in two of its languages."""
    for language in ("en", "ar"):
        path = tmp_path / "iglue" / "datasets" / "XVNLI" / "annotations" / language / "test.jsonl"
        path.parent.mkdir(parents=True)
        lines = (
            {
                "gold_label": label,
                "sentence1": "caption",
                "sentence2": f"{language}\u2028{label}",
                "pairID": label,
                "Flikr30kID": f"{label}.jpg",
            }
            for label in ("neutral", "entailment")
        )
        path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    return tmp_path / "iglue"


def test_a_group_with_a_missing_language_is_left_out(data_root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_tasks(["xvnli"], DataSource(data_root))
    assert {path.name for path in folder.iterdir()} == {
        "xvnli_en.yaml",
        "xvnli_en.jsonl",
        "xvnli_ar.yaml",
        "xvnli_ar.jsonl",
    }
    assert [row["image_ids"] for row in rows(folder, "xvnli_ar")] == [["flickr30k/neutral"], ["flickr30k/entailment"]]
    notes = [line for line in capsys.readouterr().err.splitlines() if line.startswith("left out")]
    assert notes[0].startswith("left out: xvnli in es, fr, ru: ")
    assert notes[1] == "left out: group xvnli, whose mean needs es, fr, ru too"


def test_the_default_is_every_task_with_data(
    data_root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(IGLUE_HOME, str(data_root))
    folder = write_tasks([], DataSource())
    tasks = {path.stem.rpartition("_")[0] for path in folder.glob("*.jsonl")}
    assert tasks == {"mini_xvnli", "mini_xgqa", "mini_marvl", "xvnli"}
    notes = capsys.readouterr().err
    assert "left out: xgqa: " in notes and "left out: marvl: " in notes


@pytest.fixture
def ended(capsys: pytest.CaptureFixture[str]) -> Callable[[Callable[[], object], str], None]:
    """Checks that a call ends the process with a sentence and exit code 2: lmms-eval would log another error as one of
    its own, and end with 0."""

    def check(call: Callable[[], object], sentence: str) -> None:
        with pytest.raises(SystemExit) as ended:
            call()
        assert ended.value.code == 2
        assert re.fullmatch(f"iglue: {sentence}\n", capsys.readouterr().err)

    return check


def test_pictures_are_given_where_there_are_any(
    data_root: Path, tmp_path: Path, ended: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    images = tmp_path / "images"
    (images / "flickr30k").mkdir(parents=True)
    Image.new("L", (3, 5)).save(images / "flickr30k" / "neutral.png")
    (images / "flickr30k" / "entailment.jpg").write_text("no picture")
    folder = write_tasks(["xvnli"], DataSource(data_root, images=images))
    capsys.readouterr()
    options = read(folder, "xvnli_ar")["lmms_eval_specific_kwargs"]["default"]
    neutral, entailment = rows(folder, "xvnli_ar")
    (picture,) = documents.pictures(neutral, options)
    assert (picture.size, picture.mode) == ((3, 5), "RGB")
    ended(lambda: documents.pictures(entailment, options), r".*entailment.jpg: cannot be read \(.*\).*")
    ended(
        lambda: documents.pictures(neutral | {"image_ids": ["flickr30k/other"]}, options),
        ".*images/flickr30k/other: there is no such picture with the ending .jpg, .*",
    )


def test_documents_and_pictures_of_the_hubs_copy(tmp_path: Path) -> None:
    columns = {
        "label": ["neutral"],
        "caption": ["c"],
        "hypothesis": ["h"],
        "pair_id": ["p"],
        "flikr30k_id": ["7.jpg"],
        "image": [Image.new("RGB", (4, 6), "red")],
    }
    features = datasets.Features({name: datasets.Value("string") for name in columns} | {"image": datasets.Image()})
    (tmp_path / "copy" / "data").mkdir(parents=True)
    for language in ("en", "ar", "es", "fr", "ru"):
        datasets.Dataset.from_dict(columns, features).to_parquet(tmp_path / "copy" / "data" / f"{language}-0.parquet")
    folder = write_tasks(["xvnli"], DataSource(hub=str(tmp_path / "copy")))
    assert read(folder, "xvnli")["task"] == ["xvnli_ar", "xvnli_es", "xvnli_fr", "xvnli_ru"]
    (document,) = rows(folder, "xvnli_fr")
    assert (document["id"], document["text"], document["image_ids"]) == ("p", "h", ["flickr30k/7"])
    options = read(folder, "xvnli_fr")["lmms_eval_specific_kwargs"]["default"]
    (picture,) = documents.pictures(document, options)
    assert (picture.size, picture.getpixel((0, 0))) == ((4, 6), (255, 0, 0))


def test_the_hubs_copy_is_pinned() -> None:
    assert DataSource(hub="pinned").settings()["hub"] is True
    assert DataSource(hub="abc123").settings()["hub"] == "abc123"
    assert DataSource().settings()["hub"] is False


def test_without_pictures_a_generative_model_is_not_asked(
    data_root: Path, ended: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_tasks(["xvnli"], DataSource(data_root))
    capsys.readouterr()
    options = read(folder, "xvnli_ar")["lmms_eval_specific_kwargs"]["default"]
    ended(
        lambda: documents.pictures(rows(folder, "xvnli_ar")[0], options),
        "document 'neutral' of xvnli in 'ar': .* --images or --hub",
    )


@pytest.mark.parametrize(
    ("names", "source", "sentence"),
    [
        (["xflickrco"], {}, "there is no task 'xflickrco' for lmms-eval"),
        (["mini/xvnl"], {}, r"there is no task 'mini/xvnl' .*; did you mean 'mini/xvnli'\?"),
        (["marvl"], {}, "task marvl: its data are not known; set --data-root, --hub or the variable IGLUE_HOME"),
        ([], {"data_root": "no/such"}, "--data-root: there is no folder 'no/such'"),
        (["xvnli"], {"images": "no/such"}, "--images: there is no folder 'no/such'"),
        (["xvnli"], {"data_root": "."}, "XVNLI/annotations/en/test.jsonl: no such file"),
        ([], {"data_root": "."}, "XVNLI/annotations/en/test.jsonl: no such file"),
    ],
)
def test_what_cannot_be_written(
    names: list[str], source: dict[str, str], sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=sentence):
        write_tasks(names, DataSource(**{name: Path(path) for name, path in source.items()}))


@on_real_files
def test_real_files_have_the_published_numbers_of_documents() -> None:
    folder = write_tasks(["xvnli", "xgqa", "marvl"], DataSource(SHARED))
    counts = {path.stem: len(rows(folder, path.stem)) for path in folder.glob("*.jsonl")}
    assert counts == dict.fromkeys((f"xvnli_{language}" for language in ("en", "ar", "es", "fr", "ru")), 1150) | {
        "xgqa_en": 9666,
        "marvl_id": 1128,
        "marvl_sw": 1108,
        "marvl_ta": 1242,
        "marvl_tr": 1180,
        "marvl_zh": 1012,
    }
    assert {path.stem for path in folder.glob("*.yaml")} - counts.keys() == {"xvnli", "marvl"}
