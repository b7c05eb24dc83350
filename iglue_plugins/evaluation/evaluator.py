"""Evaluation of a model on a task: predictions and scores of a split in a language."""

from __future__ import annotations

from typing import Any

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from iglue_plugins.data.batching import Batcher
from iglue_plugins.evaluation.inference import classify
from iglue_plugins.evaluation.retrieval import candidate_accuracy, evaluate_retrieval
from iglue_plugins.tasks.base import Task

Evaluation = tuple[list[dict[str, Any]], dict[str, float]]


def evaluate(
    task: Task,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    split: str,
    language: str,
    batch_size: int = 256,
) -> Evaluation:
    """Predict the examples of a split in a language, and score the predictions.

    Args:
        task: The task, whose `evaluation` says by which protocol: classification or retrieval.
        model: The model, on its device and in its precision.
        tokenizer: The model's tokenizer.
        split: The split's name.
        language: The language's code.
        batch_size: Examples in a batch; in retrieval, (caption, image) pairs.

    Returns:
        The predictions in the split's order, {"id", "prediction", "label", "score"} with a score in [0, 1], and the
        metrics in percent by name, the task's `main_metric` among them.

    Raises:
        UserError: The task does not have the split or the language, or its data are missing or damaged.
    """
    dataset = task.load(split, language)
    batcher = Batcher(dataset, task, tokenizer, task.region_layout(model.config))
    if task.evaluation == "retrieval":
        return evaluate_retrieval(batcher, model, batch_size)
    predictions = task.predict(classify(model, batcher, batch_size))
    labels = dataset["label"][:]
    scores, metrics = task.score(predictions, labels)
    rows = [
        {"id": id_, "prediction": prediction, "label": label, "score": score}
        for id_, prediction, label, score in zip(dataset["id"][:], predictions, labels, scores, strict=True)
    ]
    return rows, metrics


def validation_score(
    task: Task, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, split: str, language: str
) -> float:
    """Compute the score by which training chooses its best weights.

    This is the task's main metric. Retrieval uses the accuracy over four candidates instead, as VOLTA does, which needs
    four rows for each example rather than one for each image.

    Args:
        task: The task.
        model: The model, on its device and in its precision.
        tokenizer: The model's tokenizer.
        split: The split's name.
        language: The language's code.

    Returns:
        The score in percent.

    Raises:
        UserError: As `evaluate`.
    """
    if task.evaluation == "retrieval":
        batcher = Batcher(task.load(split, language), task, tokenizer, task.region_layout(model.config))
        return candidate_accuracy(batcher, model, task.rows_per_example)
    return evaluate(task, model, tokenizer, split, language)[1][task.main_metric]
