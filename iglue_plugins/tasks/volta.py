"""VOLTA's task files: what they say of tasks of the kinds that are here too."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from iglue_plugins.utils.errors import UserError, did_you_mean


class Kind(NamedTuple):
    """What a type of task of VOLTA's is here: its head, the process that it goes with, its number of labels."""

    head: str
    process: str
    num_labels: int | None


KINDS = {
    "VL-tri-classifier": Kind("classifier", "normal", 3),
    "VL-classifier-GQA": Kind("vqa", "normal", None),
    "VL-binary-classifier": Kind("image_pair", "nlvr", 2),
    "VL-logit": Kind("image_text_matching", "retrieval", 1),
}
LOSSES = {"BCEWithLogitLoss": "binary_cross_entropy", "CrossEntropyLoss": "cross_entropy", "TripletLoss": "triplet"}
FILES = ("dataroot", "train_annotations_jsonpath", "val_annotations_jsonpath", "features_h5path1", "features_h5path2")


class VoltaTask(BaseModel):
    """The facts about a task. batch_size, learning_rate and epochs are of its training, where the file has one."""

    model_config = ConfigDict(frozen=True)

    name: str
    head: str
    loss: str
    num_labels: int = Field(ge=1)
    max_text_length: int = Field(ge=1, alias="max_seq_length")
    max_boxes: int = Field(ge=1, alias="max_region_num")
    batch_size: int = Field(ge=1)
    learning_rate: float | None = Field(None, gt=0, alias="lr")
    epochs: int | None = Field(None, ge=1, alias="num_epoch")
    splits: dict[str, str] = Field(description="VOLTA's names of the training and the validation split")
    files: dict[str, str] = Field(description="VOLTA's paths, in the place of which data_root stands here")


def read_volta_tasks(path: str | Path) -> dict[str, VoltaTask]:
    """The tasks of a VOLTA task file (config_tasks/*.yml) by their key, such as TASK19.

    Left out are those of kinds that are not here; `read_volta_task` says so of one.

    Raises:
        UserError: the file cannot be read, or a task lacks a fact or has a wrong one.
    """
    return {key: _task(path, key, facts) for key, facts in _content(path).items() if _unsupported(facts) is None}


def read_volta_task(path: str | Path, key: str) -> VoltaTask:
    """A task of a VOLTA task file.

    Raises:
        UserError: as `read_volta_tasks`, or there is no such task, or it is of a kind that is not here.
    """
    content = _content(path)
    if key not in content:
        raise UserError(f"{path}: found no {key}{did_you_mean(key, content)}")
    if problem := _unsupported(content[key]):
        raise UserError(f"{path}: {key}: {problem}")
    return _task(path, key, content[key])


def _content(path: str | Path) -> dict[str, dict[str, Any]]:
    try:
        content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = error.strerror if isinstance(error, OSError) else " ".join(str(error).split())
        raise UserError(f"{path}: cannot be read ({reason}), expected a task file of VOLTA's") from error
    if not isinstance(content, dict) or not all(isinstance(facts, dict) for facts in content.values()):
        raise UserError(f"{path}: found no mapping of tasks to their facts, expected a task file of VOLTA's")
    return content


def _unsupported(facts: dict[str, Any]) -> str | None:
    """Why a task has no counterpart here, or None."""
    kind = KINDS.get(facts.get("type"))
    if kind is None:
        return f"found type '{facts.get('type')}', expected one of {', '.join(KINDS)}"
    if facts.get("process") != kind.process:
        return f"found process '{facts.get('process')}', expected '{kind.process}' with type {facts['type']}"
    return None


def _task(path: str | Path, key: str, facts: dict[str, Any]) -> VoltaTask:
    kind = KINDS[facts["type"]]
    if facts.get("loss") not in LOSSES:
        raise UserError(f"{path}: {key}.loss: found {facts.get('loss')!r}, expected one of {', '.join(LOSSES)}")
    own = {
        "head": kind.head,
        "loss": LOSSES[facts["loss"]],
        "num_labels": facts.get("num_labels", kind.num_labels),
        "splits": {name: facts[f"{name}_split"] for name in ("train", "val") if facts.get(f"{name}_split")},
        "files": {name: facts[name] for name in FILES if facts.get(name)},
    }
    try:
        return VoltaTask.model_validate(facts | own)
    except ValidationError as error:
        first = error.errors()[0]
        place = first["loc"][0]
        found = repr(facts[place]) if place in facts else "nothing"
        raise UserError(
            f"{path}: {key}.{place}: found {found}, expected a fact about the task ({first['msg'].lower()})"
        ) from error
