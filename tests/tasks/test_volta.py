"""Reading VOLTA's task files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from iglue_plugins.tasks.volta import read_volta_task, read_volta_tasks
from iglue_plugins.utils.errors import UserError

NLI: dict[str, Any] = {
    "name": "XVNLI",
    "type": "VL-tri-classifier",
    "loss": "BCEWithLogitLoss",
    "process": "normal",
    "task_id": 19,
    "dataroot": "/data/XVNLI",
    "features_h5path1": "/data/flickr30k.lmdb",
    "features_h5path2": "",
    "train_annotations_jsonpath": "/data/XVNLI/annotations",
    "val_annotations_jsonpath": "/data/XVNLI/annotations",
    "max_seq_length": 80,
    "max_region_num": 36,
    "num_labels": 3,
    "batch_size": 128,
    "eval_batch_size": 512,
    "train_split": "train",
    "val_split": "dev",
    "lr": 0.00002,
    "num_epoch": 10,
}
GQA = {key: value for key, value in NLI.items() if key not in ("num_labels", "lr", "num_epoch")} | {
    "name": "GQA",
    "type": "VL-classifier-GQA",
    "num_labels": 1842,
}


def write(folder: Path, tasks: Any) -> Path:
    (folder / "tasks.yml").write_text(yaml.safe_dump(tasks))
    return folder / "tasks.yml"


def test_the_facts_of_a_task(tmp_path: Path) -> None:
    found = read_volta_task(write(tmp_path, {"TASK19": NLI}), "TASK19")
    assert found.model_dump() == {
        "name": "XVNLI",
        "head": "classifier",
        "loss": "binary_cross_entropy",
        "num_labels": 3,
        "max_text_length": 80,
        "max_boxes": 36,
        "batch_size": 128,
        "learning_rate": 2e-5,
        "epochs": 10,
        "splits": {"train": "train", "val": "dev"},
        "files": {
            "dataroot": "/data/XVNLI",
            "train_annotations_jsonpath": "/data/XVNLI/annotations",
            "val_annotations_jsonpath": "/data/XVNLI/annotations",
            "features_h5path1": "/data/flickr30k.lmdb",
        },
    }


def test_a_file_for_evaluation_has_no_training_settings(tmp_path: Path) -> None:
    found = read_volta_task(write(tmp_path, {"TASK15": GQA}), "TASK15")
    assert (found.head, found.num_labels, found.learning_rate, found.epochs) == ("vqa", 1842, None, None)


def test_tasks_of_other_types_are_left_out(tmp_path: Path) -> None:
    path = write(tmp_path, {"TASK19": NLI, "TASK10": NLI | {"type": "V-logit"}, "TASK1": NLI | {"process": "dialog"}})
    assert [*read_volta_tasks(path)] == ["TASK19"]
    with pytest.raises(
        UserError,
        match=f"^{path}: TASK10: the type 'V-logit' is not supported; it has to be one of VL-tri-classifier, "
        "VL-classifier-GQA, VL-binary-classifier, VL-logit$",
    ):
        read_volta_task(path, "TASK10")
    with pytest.raises(
        UserError, match=f"^{path}: TASK1: the process is 'dialog', but has to be 'normal' with type VL-tri-"
    ):
        read_volta_task(path, "TASK1")


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        (
            "loss",
            "HingeLoss",
            "it is 'HingeLoss', but has to be one of BCEWithLogitLoss, CrossEntropyLoss, TripletLoss$",
        ),
        ("max_seq_length", "long", "it is 'long'"),
        ("max_region_num", 0, "it is 0 .input should be greater than or equal to 1"),
        ("batch_size", None, "it is None"),
        ("lr", -1, "it is -1"),
        ("num_labels", 0, "it is 0"),
    ],
)
def test_an_invalid_fact_is_named(key: str, value: Any, message: str, tmp_path: Path) -> None:
    path = write(tmp_path, {"TASK19": NLI | {key: value}})
    for reading in (read_volta_tasks, lambda path: read_volta_task(path, "TASK19")):
        with pytest.raises(UserError, match=rf"^{path}: TASK19\.{key}: {message}"):
            reading(path)


def test_a_missing_fact_is_named(tmp_path: Path) -> None:
    path = write(tmp_path, {"TASK19": {key: value for key, value in NLI.items() if key != "max_seq_length"}})
    with pytest.raises(UserError, match=r"TASK19.max_seq_length: the key is missing"):
        read_volta_tasks(path)


def test_a_missing_key(tmp_path: Path) -> None:
    path = write(tmp_path, {"TASK19": NLI})
    with pytest.raises(UserError, match=f"^{path}: there is no TASK9; did you mean 'TASK19'?"):
        read_volta_task(path, "TASK9")


@pytest.mark.parametrize("content", [b"[1, 2]", b"TASK1: 3", b"TASK1: [", b"\xff\xfe\x00", b""])
def test_files_that_are_not_task_files(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "tasks.yml"
    path.write_bytes(content)
    with pytest.raises(UserError, match=f"^{path}: .*name a task file of VOLTA"):
        read_volta_tasks(path)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"^{tmp_path}/no.yml: cannot be read .No such file or directory."):
        read_volta_tasks(tmp_path / "no.yml")
