"""Evaluation of a model on a task: predictions and scores of a split in a language."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from datasets import Dataset
from transformers import PreTrainedModel

from iglue_plugins.data.batching import Batcher
from iglue_plugins.data.loading import Workers, worker_count
from iglue_plugins.data.processors.base import Processor
from iglue_plugins.evaluation.example_facts import example_facts
from iglue_plugins.evaluation.inference import classify
from iglue_plugins.evaluation.prediction_rows import label_rows
from iglue_plugins.evaluation.retrieval import candidate_accuracy, evaluate_retrieval
from iglue_plugins.tasks.base import Task

Evaluation = tuple[list[dict[str, Any]], dict[str, float]]


def evaluate(
    task: Task,
    model: PreTrainedModel,
    processor: Processor,
    split: str,
    language: str,
    batch_size: int = 256,
    workers: Workers = "auto",
    limit: int | None = None,
) -> Evaluation:
    """Predict the examples of a split in a language, and score the predictions.

    Args:
        task: The task, whose `evaluation` says by which protocol: classification or retrieval.
        model: The model, on its device and in its precision.
        processor: The model's processor.
        split: The split's name.
        language: The language's code.
        batch_size: Examples in a batch; in retrieval, (caption, image) pairs.
        workers: The number of processes that make batches ahead.
        limit: The number of examples, the first ones, for a smoke test; None takes all.

    Returns:
        The predictions in the split's order, with a score in [0, 1] each, as `prediction_rows` makes them, with what
        `example_facts` knows of their images, and the metrics in percent by name, the task's `main_metric` among them.

    Raises:
        UserError: The task does not have the split or the language, or its data are missing or damaged.
    """
    batcher = Batcher(_first(task.load(split, language), limit), task, processor, captions=False)
    rows, metrics = _evaluate(batcher, model, task, batch_size, worker_count(workers, processor.reads))
    return [row | facts for row, facts in zip(rows, example_facts(task, batcher), strict=True)], metrics


def make_validator(
    task: Task,
    model: PreTrainedModel,
    processor: Processor,
    split: str,
    language: str,
    batch_size: int = 256,
    workers: Workers = "auto",
    limit: int | None = None,
) -> Callable[[], float]:
    """Make the score by which training chooses its best weights.

    The score is the task's main metric. Retrieval uses the accuracy over four candidates instead, as VOLTA does, which
    needs four rows for each example rather than one for each image. The examples are prepared once for all
    validations.

    Args:
        task: The task.
        model: The model that is trained.
        processor: The model's processor.
        split: The split's name.
        language: The language's code.
        batch_size: Examples in a batch; in retrieval, (caption, image) pairs.
        workers: The number of processes that make batches ahead.
        limit: The number of examples, the first ones, for a smoke test; None takes all.

    Returns:
        A function that scores the model's weights as they are, in percent.

    Raises:
        UserError: The task does not have the split or the language, or its data are missing or damaged.
    """
    examples = task.load(split, language)
    if limit is not None and task.evaluation == "retrieval":  # wrong candidates are captions of another image
        limit = max(limit, _second_image(examples) + 1)
    batcher = Batcher(_first(examples, limit), task, processor, captions=False)
    count = worker_count(workers, processor.reads)

    def validate() -> float:
        if task.evaluation == "retrieval":
            return candidate_accuracy(batcher, model, task.rows_per_example, batch_size, count)
        return _evaluate(batcher, model, task, batch_size, count)[1][task.main_metric]

    return validate


def _first(examples: Dataset, limit: int | None) -> Dataset:
    return examples if limit is None else examples.select(range(min(limit, len(examples))))


def _second_image(examples: Dataset) -> int:
    """Return the position of the first example of another image than that of the first one; 0 if there is none."""
    images = examples["image_ids"]
    return next((place for place in range(len(images)) if images[place] != images[0]), 0)


def _evaluate(batcher: Batcher, model: PreTrainedModel, task: Task, batch_size: int, workers: int) -> Evaluation:
    if task.evaluation == "retrieval":
        return evaluate_retrieval(batcher, model, batch_size, workers, getattr(task, "pool", None))
    logits = classify(model, batcher, batch_size, workers=workers)
    predictions = task.predict(logits)
    scores, metrics = task.score(predictions, batcher.dataset["label"][:])
    return label_rows(task, batcher.dataset, logits, predictions, scores), metrics
