"""xGQA: the loss counts each answer."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from batches import labelled

from iglue_plugins.tasks.base import Task


def test_loss_is_the_sum_over_answers_of_binary_cross_entropy(small: Callable[[str], Task]) -> None:
    task = small("xgqa")
    assert task.num_labels == len(set(task.labels)) == 122
    logits = torch.randn(3, 122, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([0, 121, 60])
    total = 0.0
    for row, label in zip(logits, labels, strict=True):
        for i, logit in enumerate(row):
            total -= torch.nn.functional.logsigmoid(logit if i == label else -logit).item()
    assert task.loss(logits, labelled(labels)).item() == pytest.approx(total / 3, rel=1e-12)


def test_questions_are_cut_at_40_tokens(small: Callable[[str], Task]) -> None:
    assert small("xgqa").max_text_length == 40
    assert small("xvnli").max_text_length == 80
