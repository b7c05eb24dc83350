"""The rows of a run's predictions."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from datasets import Dataset

from iglue_plugins.evaluation.prediction_files import read_predictions
from iglue_plugins.evaluation.prediction_rows import image_rows, label_rows
from iglue_plugins.mini.tasks import MiniXVNLI
from iglue_plugins.utils.strict_json import parse_json


def examples(labels: list[str]) -> Dataset:
    return Dataset.from_dict(
        {
            "id": [f"id-{number}" for number in range(len(labels))],
            "image_ids": [[f"store/{number}"] for number in range(len(labels))],
            "text": [f"text {number}" for number in range(len(labels))],
            "label": labels,
        }
    )


def test_a_row_has_all_labels_of_a_small_task_the_most_probable_first() -> None:
    task = MiniXVNLI()
    logits = torch.tensor([[-1.0, 2.0, 0.0], [0.5, 0.5, 0.25]])
    (first, second) = label_rows(
        task, examples([task.labels[0], task.labels[1]]), logits, [task.labels[1], task.labels[0]], [0.0, 1.0]
    )
    assert first == {
        "id": "id-0",
        "image_ids": ["store/0"],
        "text": "text 0",
        "prediction": task.labels[1],
        "label": task.labels[0],
        "score": 0.0,
        "probabilities": pytest.approx(
            {task.labels[i]: torch.sigmoid(logits[0, i]).item() for i in (1, 2, 0)}, rel=1e-5
        ),
    }
    assert list(first["probabilities"]) == [task.labels[i] for i in (1, 2, 0)]
    assert list(second["probabilities"]) == [task.labels[i] for i in (0, 1, 2)], "equal ones stay in the task's order"


def test_of_many_labels_the_ten_best_are_kept_and_the_right_one() -> None:
    task = MiniXVNLI()
    task.labels = tuple(f"answer {number}" for number in range(1842))
    logits = torch.randn(1030, 1842, generator=torch.Generator().manual_seed(0))
    best = logits.argsort(1, descending=True)
    labels = [task.labels[order[number % 30]] for number, order in enumerate(best.tolist())]
    labels[7] = "an answer that the model does not know"
    rows = label_rows(task, examples(labels), logits, task.predict(logits), [0.0] * 1030)
    for number, (row, order) in enumerate(zip(rows, best.tolist(), strict=True)):
        kept = [task.labels[i] for i in order[:10]]
        if number % 30 >= 10:
            kept.append(labels[number])
        assert list(row["probabilities"]) == kept
    expected = logits[-1].double().sigmoid()[best[-1, :10]].tolist()
    assert list(rows[-1]["probabilities"].values())[:10] == pytest.approx(expected, rel=1e-5)
    assert max(len(json.dumps(row["probabilities"])) for row in rows) < 350


def test_the_best_images_come_with_their_similarities() -> None:
    similarity = np.array([[0.25, 0.75, -np.inf], [0.5, 0.125, -np.inf]])
    captions = examples(["", ""])
    images = ["store/0", "store/1", "store/2"]
    first, second = image_rows(captions, similarity, images, np.array([0, 1]), [0.0, 0.5], pooled=True)
    assert first == {
        "id": "id-0",
        "image_ids": ["store/0"],
        "text": "text 0",
        "prediction": ["store/1", "store/0"],
        "label": "store/0",
        "score": 0.0,
        "similarities": [0.75, 0.25],
        "label_similarity": 0.25,
    }
    assert (second["prediction"], second["label_similarity"]) == (["store/0", "store/1"], 0.125)


def test_what_is_not_finite_is_null_so_that_the_file_can_be_read() -> None:
    task = MiniXVNLI()
    logits = torch.full((1, 3), float("nan"))
    rows = label_rows(task, examples([task.labels[0]]), logits, [task.labels[0]], [1.0])
    rows += image_rows(examples([""]), np.array([[np.nan]]), ["store/0"], np.array([0]), [0.0])
    labelled, ranked = (parse_json(json.dumps(row)) for row in rows)
    assert labelled["probabilities"] == dict.fromkeys(task.labels)
    assert (ranked["similarities"], ranked["label_similarity"]) == ([None], None)


def test_a_file_is_scored_as_one_of_earlier_versions(tmp_path: Path) -> None:
    task = MiniXVNLI()
    rows = label_rows(task, examples([task.labels[0]]), torch.zeros(1, 3), [task.labels[0]], [1.0])
    rows += image_rows(examples([""]), np.array([[0.5]]), ["store/0"], np.array([0]), [1.0])
    earlier = [{key: row[key] for key in ("id", "image_ids", "prediction", "label", "score")} for row in rows]
    for name, lines in (("now", rows), ("earlier", earlier)):
        (tmp_path / name).write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    assert read_predictions(tmp_path / "now") == read_predictions(tmp_path / "earlier")
