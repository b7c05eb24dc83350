"""The different ones of texts, and where each content occurs first, whatever is read at once."""

from __future__ import annotations

import numpy as np
import pytest

from iglue_plugins.data.processors import different_texts as module
from iglue_plugins.data.processors.different_texts import different_texts, first_places


@pytest.mark.parametrize("block_size", [1, 3, 1000])
def test_different_texts_stand_in_the_order_of_their_first_occurrence(
    monkeypatch: pytest.MonkeyPatch, block_size: int
) -> None:
    monkeypatch.setattr(module, "BLOCK_SIZE", block_size)
    drawn = np.random.default_rng(0).integers(40, size=200)
    texts = [f"{'獅子' * (number % 5)}{number}" * (number > 0) for number in drawn.tolist()]
    different, numbers = different_texts(iter(texts))
    assert different.to_pylist() == list(dict.fromkeys(texts))
    assert [different[number].as_py() for number in numbers.tolist()] == texts
    assert first_places(text.encode() for text in texts).tolist() == [texts.index(text) for text in texts]


def test_texts_that_are_all_different_stay_as_they_are() -> None:
    different, numbers = different_texts(["b", "a", ""])
    assert (different.to_pylist(), numbers.tolist()) == (["b", "a", ""], [0, 1, 2])
