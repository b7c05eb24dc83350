"""The IGLUE tasks: fingerprints, settings, copies on the model hub, and evaluation of a model."""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset, Features, Image, Value
from PIL import Image as Pictures
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from transformers import PreTrainedTokenizerFast

from iglue_plugins.data.processors.regions import RegionProcessor
from iglue_plugins.evaluation.evaluator import evaluate
from iglue_plugins.models.plugin import XUniter
from iglue_plugins.tasks.iglue.task import IGLUETask
from iglue_plugins.utils.errors import UserError

Put, Make = Callable[..., Path], Callable[..., IGLUETask]
EVERY_TASK = pytest.mark.parametrize("name", ["xvnli", "xgqa", "marvl", "xflickrco"])

MACHINE = "machine_translated"
VOLTA = """
TASK19:
  name: XVNLI
  type: VL-tri-classifier
  process: normal
  loss: BCEWithLogitLoss
  num_labels: 3
  max_seq_length: 50
  max_region_num: 100
  batch_size: 128
"""


# Fingerprints


def test_the_same_data_elsewhere_have_the_same_fingerprint(
    put: Put, put_regions: Put, make: Make, data_root: Path
) -> None:
    put("XVNLI/annotations/en/train.jsonl")
    put_regions("flickr30k", "012")
    shutil.copytree(data_root, data_root.parent / "copy")
    expected = make("xvnli").fingerprint("train", "en")
    elsewhere: tuple[dict[str, str], ...] = (
        {},
        {"data_root": str(data_root.parent / "copy")},
        {"data_root": str(data_root / "datasets"), "regions": str(data_root / "regions")},
    )
    assert {make("xvnli", **settings).fingerprint("train", "en") for settings in elsewhere} == {expected}


@pytest.mark.parametrize(
    ("file", "examples", "settings"),
    [
        ("XVNLI/annotations/en/train.jsonl", ("train", "en"), {}),
        ("XVNLI/annotations/es/test.jsonl", ("test", "es"), {}),
        ("XVNLI/annotations_machine-translate/fr/dev_gmt.jsonl", ("auxiliary", "fr"), {"auxiliary": MACHINE}),
        ("XVNLI/annotations/ru/train_48.jsonl", ("few_shot", "ru", 48), {}),
        ("XVNLI/annotations/ru/train_48.jsonl", ("auxiliary", "ru"), {"auxiliary": "few_shot"}),
    ],
)
def test_the_content_of_the_file_with_the_examples_counts(
    file: str, examples: tuple[Any, ...], settings: dict[str, str], put: Put, make: Make
) -> None:
    others = (("dev", "en"), ("test", "ar"), ("few_shot", "ru", 1))
    before = [make("xvnli").fingerprint(*other) for other in others]
    found = {make("xvnli", **settings).fingerprint(*examples)}
    for content in ({}, {"gold_label": "entailment"}):
        put(file, **content)
        found.add(make("xvnli", **settings).fingerprint(*examples))
    assert len(found) == 3
    assert [make("xvnli").fingerprint(*other) for other in others] == before


def test_answers_and_questions_that_are_left_out_count(put: Put, put_answers: Put, make: Make) -> None:
    found = {make("xgqa").fingerprint("train", "en")}
    put_answers()
    found.add(make("xgqa").fingerprint("train", "en"))
    put_answers(["yes"])
    found.add(make("xgqa").fingerprint("train", "en"))
    assert len(found) == 3


def test_the_region_store_of_the_images_counts(put_regions: Put, make: Make) -> None:
    found = {make("marvl").fingerprint("train", "en")}
    store = put_regions("nlvr2", "01")
    found.add(make("marvl").fingerprint("train", "en"))
    shutil.rmtree(store)
    put_regions("nlvr2", "01", seed=1)
    found.add(make("marvl").fingerprint("train", "en"))
    assert len(found) == 3
    put_regions("marvl-sw_fewshot", "01")  # of no split
    put_regions("marvl-sw", "01")  # of test sets
    assert make("marvl").fingerprint("train", "en") in found


def test_other_readings_have_other_fingerprints(make: Make, tmp_path: Path, data_root: Path) -> None:
    (tmp_path / "tasks.yml").write_text(VOLTA)
    (tmp_path / "hard_negative.pkl").write_bytes(b"any")
    settings: list[dict[str, Any]] = [{}, {"max_boxes": 10}, {"volta_tasks": str(tmp_path / "tasks.yml")}]
    assert len({make("xvnli", **given).fingerprint("train", "en") for given in settings}) == len(settings)
    copies = [make("xvnli", hub=hub).fingerprint("test", "fr") for hub in (False, True, "other")]
    assert len(set(copies)) == 3
    assert make("xvnli", max_boxes=36).fingerprint("train", "en") == make("xvnli").fingerprint("train", "en")
    plain, hard = make("xflickrco"), make("xflickrco", hard_negatives_file=str(tmp_path / "hard_negative.pkl"))
    assert plain.fingerprint("train", "en") != hard.fingerprint("train", "en")
    assert plain.fingerprint("test", "en") == hard.fingerprint("test", "en")


@EVERY_TASK
def test_settings_that_name_paths_do_not_count_by_themselves(name: str, make: Make) -> None:
    settings = type(make(name).settings)
    paths = {key for key, field in settings.model_fields.items() if "Path" in str(field.annotation)}
    assert paths == {"data_root", "pictures", "regions", "volta_tasks"}
    assert paths | {"hub"} <= settings.fingerprint_exclude


# Reading as VOLTA does


@pytest.mark.parametrize(("name", "regions"), [("xvnli", 36), ("xgqa", 37), ("marvl", 37), ("xflickrco", 37)])
def test_regions_of_an_image(name: str, regions: int, make: Make) -> None:
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(WordLevel({})))
    with_global, without = RegionProcessor(tokenizer), RegionProcessor(tokenizer, global_region=False)
    assert with_global.layout(make(name)).max_regions == regions
    assert without.layout(make(name)).max_regions == 36
    assert without.layout(make(name, max_boxes=10)).max_regions == 10


def test_a_task_file_of_volta_sets_text_length_and_number_of_regions(make: Make, tmp_path: Path) -> None:
    path = tmp_path / "tasks.yml"
    path.write_text(VOLTA)
    task = make("xvnli", volta_tasks=str(path))
    assert (task.max_text_length, task.max_boxes) == (50, 100)
    assert make("xvnli", volta_tasks=str(path), max_boxes=7).max_boxes == 7
    assert (make("xvnli").max_text_length, make("xgqa").max_text_length) == (80, 40)
    with pytest.raises(UserError, match=f"^{path}: there is no TASK15"):
        make("xgqa", volta_tasks=str(path))


# The hub's copies


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Two rows of XVNLI in each language, with red images; one is unlabelled."""
    file, folder = io.BytesIO(), tmp_path / "copy"
    Pictures.new("RGB", (4, 3), (255, 0, 0)).save(file, "PNG")
    rows = [
        {
            "label": label,
            "caption": "c",
            "hypothesis": f"h{i}",
            "caption_id": "c",
            "pair_id": f"p{i}",
            "flikr30k_id": f"{i}.jpg",
            "image": {"bytes": file.getvalue(), "path": None},
        }
        for i, label in enumerate(("neutral", "-"))
    ]
    features = Features({key: Value("string") for key in rows[0]} | {"image": Image()})
    (folder / "data").mkdir(parents=True)
    for language in ("en", "ar", "es", "fr", "ru"):
        Dataset.from_list(rows, features=features).to_parquet(folder / "data" / f"{language}-00000-of-00001.parquet")
    return folder


def test_the_test_set_comes_from_the_copy_if_asked(
    copy: Path, put: Put, make: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    put("XVNLI/annotations/fr/test.jsonl")
    put("XVNLI/annotations/fr/train_1.jsonl")
    task = make("xvnli", hub=str(copy))
    assert task.load("test", "fr")["text"][:] == ["h0"]
    assert capsys.readouterr().err.endswith(
        f"{copy}: left out 1 of 2 rows, which have none of the task's labels; found 1 examples, 1150 are published\n"
    )
    assert len(task.load("few_shot", "fr", 1)) == 3
    assert len(make("xvnli").load("test", "fr")) == 3
    assert task.fingerprint("test", "fr") != make("xvnli").fingerprint("test", "fr")
    assert task.fingerprint("train", "en") == make("xvnli").fingerprint("train", "en")


def test_a_picture_of_the_copy(copy: Path, make: Make) -> None:
    task = make("xvnli", hub=str(copy))
    assert task.pictures.picture("flickr30k/0").getpixel((0, 0)) == (255, 0, 0)
    assert task.pictures.picture("flickr30k/0").mode == "RGB"
    assert [task.pictures.has(image) for image in ("flickr30k/0", "flickr30k/7", "gqa/0")] == [True, False, False]
    for image in ("gqa/0", "flickr30k/7"):
        with pytest.raises(UserError, match=f"^image '{image}' is not in the test set"):
            task.pictures.picture(image)
    with pytest.raises(UserError, match="^task xvnli has no pictures, only region features; set task.pictures"):
        _ = make("xvnli").pictures


def test_the_setting_hub_selects_the_copy(make: Make, copy: Path) -> None:
    pinned = make("xvnli").config.hub
    assert make("xvnli").hub is None
    assert str(make("xvnli", hub=True).hub) == f"{pinned.repository}@{pinned.revision}"
    assert str(make("xvnli", hub="main").hub) == f"{pinned.repository}@main"
    assert str(make("xvnli", hub=str(copy)).hub) == str(copy)


# A model


@pytest.mark.parametrize(
    ("name", "file", "store", "names"),
    [
        ("xvnli", "XVNLI/annotations/fr/test.jsonl", "flickr30k", ["0", "1", "2"]),
        ("xgqa", "xGQA/annotations/few_shot/zh/test.json", "gqa", ["n0", "n1", "n2"]),
        ("marvl", "marvl/zero_shot/annotations/marvl-zh.jsonl", "marvl-zh", ["9-0", "9-1", "9-2", "9-3"]),
        ("xflickrco", "xFlickrCO/annotations/zh/test.jsonl", "xflickrco-test", ["0", "1", "2"]),
    ],
)
def test_a_model_is_evaluated(
    name: str,
    file: str,
    store: str,
    names: list[str],
    put: Put,
    put_regions: Put,
    put_answers: Put,
    make: Make,
    tiny_checkpoint: Path,
) -> None:
    put_answers()
    put(file)
    put_regions(store, names)
    task = make(name)
    model, processor = XUniter(XUniter.Settings(checkpoint=str(tiny_checkpoint))).load()
    model.set_head(task.head, task.num_labels)
    language = "fr" if name == "xvnli" else "zh"
    rows, scores = evaluate(task, model, processor, "test", language)
    assert [row["id"] for row in rows] == task.load("test", language)["id"][:]
    assert scores[task.main_metric] == pytest.approx(100 * sum(row["score"] for row in rows) / len(rows))
