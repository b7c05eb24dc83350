"""VOLTA's task files, and the facts that they have about tasks of the types of IGLUE."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from iglue_plugins.utils.errors import UserError, did_you_mean


class TaskType(NamedTuple):
    """The counterpart of one of VOLTA's types of task.

    Attributes:
        head: The kind of head of the models of this package.
        process: The value of `process` that VOLTA uses with the type.
        num_labels: The number of labels; None if the task file has it.
    """

    head: str
    process: str
    num_labels: int | None


TASK_TYPES = {
    "VL-tri-classifier": TaskType("classifier", "normal", 3),
    "VL-classifier-GQA": TaskType("vqa", "normal", None),
    "VL-binary-classifier": TaskType("image_pair", "nlvr", 2),
    "VL-logit": TaskType("image_text_matching", "retrieval", 1),
}
LOSSES = {"BCEWithLogitLoss": "binary_cross_entropy", "CrossEntropyLoss": "cross_entropy", "TripletLoss": "triplet"}
FILES = ("dataroot", "train_annotations_jsonpath", "val_annotations_jsonpath", "features_h5path1", "features_h5path2")


class VoltaTask(BaseModel):
    """The facts about a task in VOLTA's task file, and its training settings where the file has them."""

    model_config = ConfigDict(frozen=True)

    name: str = Field(description="VOLTA's name of the task.")
    head: str = Field(description="The kind of head of the models of this package.")
    loss: str = Field(description="The loss: binary_cross_entropy, cross_entropy or triplet.")
    num_labels: int = Field(ge=1, description="The number of classes.")
    max_text_length: int = Field(
        ge=1, alias="max_seq_length", description="The number of tokens to which texts are truncated."
    )
    max_boxes: int = Field(ge=1, alias="max_region_num", description="The number of regions kept of an image.")
    batch_size: int = Field(ge=1, description="The number of examples in a training batch.")
    learning_rate: float | None = Field(None, gt=0, alias="lr", description="The learning rate of training.")
    epochs: int | None = Field(None, ge=1, alias="num_epoch", description="The number of training epochs.")
    splits: dict[str, str] = Field(description="VOLTA's names of the training and the validation split.")
    files: dict[str, str] = Field(description="VOLTA's paths of the data, which data_root replaces in this package.")


def read_volta_tasks(path: str | Path) -> dict[str, VoltaTask]:
    """Read the supported tasks of a VOLTA task file.

    Args:
        path: The file, one of VOLTA's config_tasks/*.yml.

    Returns:
        The tasks by their key, such as TASK19, without those of types that this package does not support.

    Raises:
        UserError: The file cannot be read, or a fact about a task is missing or invalid.
    """
    return {key: _parse_task(path, key, facts) for key, facts in _content(path).items() if _unsupported(facts) is None}


def read_volta_task(path: str | Path, key: str) -> VoltaTask:
    """Read one task of a VOLTA task file.

    Args:
        path: The file, one of VOLTA's config_tasks/*.yml.
        key: The task's key, such as TASK19.

    Returns:
        The facts about the task.

    Raises:
        UserError: As `read_volta_tasks`, or there is no such task, or it is of a type that is not supported.
    """
    content = _content(path)
    if key not in content:
        raise UserError(f"{path}: there is no {key}{did_you_mean(key, content)}")
    if problem := _unsupported(content[key]):
        raise UserError(f"{path}: {key}: {problem}")
    return _parse_task(path, key, content[key])


def _content(path: str | Path) -> dict[str, dict[str, Any]]:
    """Read a VOLTA task file as a mapping of tasks to their facts."""
    try:
        content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = error.strerror if isinstance(error, OSError) else " ".join(str(error).split())
        raise UserError(f"{path}: cannot be read ({reason}); name a task file of VOLTA") from error
    if not isinstance(content, dict) or not all(isinstance(facts, dict) for facts in content.values()):
        raise UserError(f"{path}: not a mapping of tasks to their facts; name a task file of VOLTA")
    return content


def _unsupported(facts: dict[str, Any]) -> str | None:
    """Say why a task is not supported, or return None if it is."""
    name = facts.get("type")
    if name not in TASK_TYPES:
        return f"the type '{name}' is not supported; it has to be one of {', '.join(TASK_TYPES)}"
    process = TASK_TYPES[name].process
    if facts.get("process") != process:
        return f"the process is '{facts.get('process')}', but has to be '{process}' with type {name}"
    return None


def _parse_task(path: str | Path, key: str, facts: dict[str, Any]) -> VoltaTask:
    task_type = TASK_TYPES[facts["type"]]
    if facts.get("loss") not in LOSSES:
        raise UserError(f"{path}: {key}.loss: it is {facts.get('loss')!r}, but has to be one of {', '.join(LOSSES)}")
    converted = {
        "head": task_type.head,
        "loss": LOSSES[facts["loss"]],
        "num_labels": facts.get("num_labels", task_type.num_labels),
        "splits": {name: facts[f"{name}_split"] for name in ("train", "val") if facts.get(f"{name}_split")},
        "files": {name: facts[name] for name in FILES if facts.get(name)},
    }
    try:
        return VoltaTask.model_validate(facts | converted)
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0])
        found = f"it is {facts[name]!r}" if name in facts else "the key is missing"
        raise UserError(f"{path}: {key}.{name}: {found} ({first['msg'].lower()}); correct the task file") from error
