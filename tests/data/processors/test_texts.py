"""Texts are tokenized once, cut at the task's length, padded batch by batch, and known by their tokens."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from transformers import AutoTokenizer

from iglue_plugins.data.batching import Batcher
from iglue_plugins.data.processors.texts import TokenizedTexts
from iglue_plugins.mini import ASSETS
from iglue_plugins.tasks.xvnli import XVNLI


@pytest.fixture
def texts(make_batcher: Callable[..., Batcher]) -> TokenizedTexts:
    """Three texts of 3, 5 and 4 token ids."""
    rows = [("5", ["a"], "neutral"), ("6 7 8", ["a"], "neutral"), ("9 9", ["a"], "neutral")]
    return make_batcher(XVNLI, rows, {"a": [[0, 0]]}).texts


def test_texts_are_padded_in_any_order_and_repeatedly(texts: TokenizedTexts) -> None:
    ids, mask = texts.pad(np.asarray([2, 0, 2]))
    assert ids.tolist() == [[0, 9, 9, 2], [0, 5, 2, 1], [0, 9, 9, 2]]
    assert mask.sum(1).tolist() == texts.lengths[[2, 0, 2]].tolist() == [4, 3, 4]


def test_texts_may_be_padded_to_a_length(texts: TokenizedTexts) -> None:
    ids, mask = texts.pad(np.asarray([0, 1]), length=6)
    assert ids.tolist() == [[0, 5, 2, 1, 1, 1], [0, 6, 7, 8, 2, 1]]
    assert mask.tolist() == [[1, 1, 1, 0, 0, 0], [1, 1, 1, 1, 1, 0]]


def test_the_text_side_has_ids_and_mask_of_the_rows(texts: TokenizedTexts) -> None:
    inputs = texts.inputs(np.asarray([0, 2]))
    assert (inputs.rows, set(inputs)) == (2, {"input_ids", "attention_mask"})
    assert inputs["input_ids"].tolist() == [[0, 5, 2, 1], [0, 9, 9, 2]]
    assert inputs["attention_mask"].tolist() == [[1, 1, 1, 0], [1, 1, 1, 1]]


def test_long_texts_are_cut_but_keep_their_end_token() -> None:
    tokenizer = AutoTokenizer.from_pretrained(ASSETS / "tokenizer")
    ids, mask = TokenizedTexts(["dog " * 50, "dog"], tokenizer, max_length=10).pad(np.asarray([0, 1]))
    assert ids.shape == mask.shape == (2, 10)
    assert mask.sum(1)[0] == 10
    assert ids[0, -1] == tokenizer.eos_token_id
    assert set(ids[1][mask[1] == 0].tolist()) == {tokenizer.pad_token_id}


def test_texts_that_differ_only_where_they_are_cut_are_the_same() -> None:
    tokenizer = AutoTokenizer.from_pretrained(ASSETS / "tokenizer")
    texts = TokenizedTexts(["dog " * 50, "cat", "dog " * 60, "dog"], tokenizer, max_length=10)
    assert texts.identity.tolist() == [0, 1, 0, 3]
