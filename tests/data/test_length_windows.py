"""Batches of similar length: each example once an epoch, sorted within windows only, and as exact as any others."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest

from iglue_plugins.data.episodes import ShuffledExamples, Steps, batch_epochs, batch_steps
from iglue_plugins.data.length_windows import sort_in_windows
from iglue_plugins.data.loading import loader

LENGTHS = np.random.default_rng(7).integers(5, 30, 100)


class RecordingBatcher:
    """Replaces a batcher of texts of some lengths: a batch is its examples."""

    def __init__(self, lengths: np.ndarray) -> None:
        self.task = SimpleNamespace(name="toy")
        self.texts = SimpleNamespace(lengths=lengths)

    def __len__(self) -> int:
        return len(self.texts.lengths)

    def batch(self, examples: np.ndarray, rng: np.random.Generator) -> list[int]:
        return examples.tolist()


def batches_of(steps: Steps, epoch: int = 0) -> list[list[int]]:
    assert steps.epoch is not None
    return [steps[epoch * steps.epoch + step]["batch"] for step in range(steps.epoch)]


def test_a_window_is_sorted_cut_and_its_batches_are_shuffled() -> None:
    order = np.random.default_rng(0).permutation(40)
    found = sort_in_windows(order, LENGTHS, 4, 5, np.random.default_rng(1))
    for window, shuffled in zip(found.reshape(2, 5, 4), order.reshape(2, 20), strict=True):
        place = {example: number for number, example in enumerate(shuffled.tolist())}
        expected = sorted(shuffled.tolist(), key=lambda example: (LENGTHS[example], place[example]))
        cut = [expected[start : start + 4] for start in range(0, 20, 4)]
        assert sorted(window.tolist()) == sorted(cut)
        assert window.tolist() != cut, "not from short to long"


def test_texts_of_one_length_stay_as_they_were_shuffled_but_for_the_order_of_batches() -> None:
    order = np.random.default_rng(0).permutation(24)
    found = sort_in_windows(order, np.full(24, 9), 4, 6, np.random.default_rng(1)).reshape(6, 4)
    assert sorted(found.tolist()) == sorted(order.reshape(6, 4).tolist())


def test_the_order_that_is_given_is_left_as_it_is() -> None:
    order = np.arange(40)
    sort_in_windows(order, LENGTHS, 4, 5, np.random.default_rng(1))
    assert order.tolist() == list(range(40))


@pytest.mark.parametrize("window", [1, 2, 8, 1000])
@pytest.mark.parametrize("count", [100, 97, 9, 8])
def test_each_example_comes_once_an_epoch(count: int, window: int) -> None:
    steps = batch_epochs([RecordingBatcher(LENGTHS[:count])], 8, 3, 3, seed=0, length_window=window)
    epochs = [batches_of(steps, epoch) for epoch in range(3)]
    for batches in epochs:
        assert [len(batch) for batch in batches] == [8] * (count // 8) + [count % 8] * (count % 8 > 0)
        assert sorted(sum(batches, [])) == list(range(count))
    assert count < 10 or epochs[0] != epochs[1] != epochs[2]


def test_a_window_of_several_batches_needs_less_padding() -> None:
    def places(window: int) -> int:
        steps = batch_epochs([RecordingBatcher(LENGTHS)], 8, 1, 1, seed=0, length_window=window)
        return sum(len(batch) * LENGTHS[batch].max() for batch in batches_of(steps))

    assert LENGTHS.sum() < places(12) < places(4) < 0.9 * places(0)


def test_examples_that_an_epoch_drops_are_of_any_length() -> None:
    """Of 10 examples of different lengths 2 are dropped, as many long as short ones."""
    lengths = np.arange(5, 15)
    steps = batch_steps([RecordingBatcher(lengths)], 4, 10, seed=0, length_window=8)
    dropped: Counter[int] = Counter()
    for epoch in range(1000):
        left = set(range(10)) - set(sum((steps._make_step(2 * epoch + i)["batch"] for i in range(2)), []))
        dropped.update(left)
    assert set(dropped) == set(range(10))
    assert all(150 < count < 250 for count in dropped.values()), dropped


def test_batches_are_a_function_of_seed_and_step_in_worker_processes_too() -> None:
    def made(seed: int = 3) -> Steps:
        return batch_steps([RecordingBatcher(LENGTHS), RecordingBatcher(LENGTHS)], 8, 60, seed, length_window=4)

    expected = [item["batch"] for item in made()]
    assert [made()[step]["batch"] for step in (41, 0, 59, 7)] == [expected[step] for step in (41, 0, 59, 7)]
    assert [item["batch"] for item in loader(made(), 2)] == expected
    assert [item["batch"] for item in made(4)] != expected
    assert expected[0] != expected[1], "languages are shuffled apart from each other"


def test_without_a_window_batches_are_what_they_were() -> None:
    order = np.random.default_rng((5, 1)).permutation(100)
    steps = ShuffledExamples(RecordingBatcher(LENGTHS), 8, (5,))
    assert steps.split_batches(12) == [order[:8].tolist()]
