"""Texts come from the auxiliary data, or from what else there is, and without labels."""

from __future__ import annotations

import pytest
from datasets import Dataset

from iglue_plugins import registry
from iglue_plugins.advice.texts import read_texts
from iglue_plugins.tasks.spec import ExampleSet
from iglue_plugins.utils.errors import UserError


class SomeSplits:
    name = "some"
    training_splits = {"auxiliary": "auxiliary"}

    def __init__(self, *splits: tuple) -> None:
        self.splits = splits

    def available_splits(self):
        return iter(self.splits)

    def load(self, split, language, shots=None):
        if split == "auxiliary":
            raise UserError("no auxiliary data")
        return Dataset.from_dict({"text": [f"{split} {shots} {i}" for i in range(3)]})


def test_auxiliary_texts_come_first() -> None:
    found = read_texts(registry.tasks.load("mini/xvnli")(), "sw", 5)
    assert (len(found.texts), found.examples) == (5, ExampleSet("auxiliary", "sw"))
    assert (found.size, found.reason) == (1000, None)


def test_other_splits_follow_with_most_shots_and_the_test_split_last() -> None:
    task = SomeSplits(("test", "sw", (None,)), ("few_shot", "id", ("5",)), ("few_shot", "sw", ("1", "48")))
    found = read_texts(task, "sw", 2)
    assert (found.texts, found.size) == (("few_shot 48 0", "few_shot 48 1"), None)
    assert found.reason == "no auxiliary data"
    assert read_texts(SomeSplits(("test", "sw", (None,))), "sw", 2).examples.split == "test"


def test_a_language_without_texts_is_a_sentence() -> None:
    with pytest.raises(UserError, match=r"task some: there are no texts in 'sw' \(no auxiliary data\)"):
        read_texts(SomeSplits(("test", "id", (None,))), "sw", 2)
