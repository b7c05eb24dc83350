"""Inputs follow their rows, whatever a model's tensors are; a batch's sides stay parts of its inputs."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from iglue_plugins.data.batching import Batch, Batcher
from iglue_plugins.data.inputs import Inputs
from iglue_plugins.tasks.marvl import MaRVL
from iglue_plugins.tasks.xvnli import XVNLI

IMAGES = {"a": [[0, 0]], "b": [[1, 1], [1, 1]], "c": [[8, 8]]}


@pytest.fixture
def inputs() -> Inputs:
    """Four rows of three images; the images are shared, and each row says which of them it has."""
    return Inputs(
        {
            "ids": torch.arange(12).view(4, 3),
            "layers": [{"key": torch.arange(4.0)}, (torch.arange(4) * 10, None)],
            "images": torch.arange(6).view(3, 2),
            "image_of_row": torch.tensor([2, 0, 2, 1]),
        },
        rows=4,
        shared=frozenset({"images"}),
    )


def rows_of(inputs: Inputs) -> list[list[float]]:
    """The numbers of each row, found at every depth."""
    first, (tens, nothing) = inputs["layers"]
    assert nothing is None and isinstance(inputs["layers"], list) and isinstance(inputs["layers"][1], tuple)
    return [
        [*ids, key, ten, *inputs["images"][image].tolist()]
        for ids, key, ten, image in zip(
            inputs["ids"].tolist(), first["key"].tolist(), tens.tolist(), inputs["image_of_row"].tolist(), strict=True
        )
    ]


def test_a_model_takes_inputs_as_keyword_arguments(inputs: Inputs) -> None:
    assert dict(**inputs) == inputs.tensors
    assert (len(inputs), list(inputs), "ids" in inputs, "labels" in inputs) == (4, [*inputs.tensors], True, False)


@pytest.mark.parametrize(
    ("index", "expected"),
    [
        (torch.tensor([3, 0, 3]), [3, 0, 3]),
        (np.asarray([2, 1]), [2, 1]),
        (torch.tensor([True, False, False, True]), [0, 3]),
        (np.asarray([False, True, False, False]), [1]),
        (torch.zeros(4, dtype=torch.bool), []),
        (torch.tensor([], dtype=torch.int64), []),
        (slice(1, 3), [1, 2]),
        (slice(2, 100), [2, 3]),
        (slice(None, None, 2), [0, 2]),
        (slice(-1, None), [3]),
        (slice(4, 8), []),
    ],
)
def test_selected_rows_keep_all_of_theirs(
    inputs: Inputs, index: Tensor | np.ndarray | slice, expected: list[int]
) -> None:
    selected, rows = inputs.select(index), rows_of(inputs)
    assert rows_of(selected) == [rows[i] for i in expected]
    assert selected.rows == len(expected) and selected.shared == {"images"}
    assert selected["images"] is inputs["images"], "shared values stay whole"


def test_rows_are_repeated_side_by_side_or_in_sequence(inputs: Inputs) -> None:
    rows = rows_of(inputs)
    each, whole = inputs.repeat_each(3), inputs.repeat_all(3)
    assert rows_of(each) == [row for row in rows for _ in range(3)]
    assert rows_of(whole) == rows * 3
    assert each.rows == whole.rows == 12
    assert each["images"] is whole["images"] is inputs["images"]


def test_a_single_time_copies_nothing(inputs: Inputs) -> None:
    for repeated in (inputs.repeat_each(1), inputs.repeat_all(1)):
        assert repeated["ids"].data_ptr() == inputs["ids"].data_ptr()
        assert rows_of(repeated) == rows_of(inputs)


@pytest.mark.parametrize(("size", "sizes"), [(1, [1, 1, 1, 1]), (3, [3, 1]), (4, [4]), (9, [4])])
def test_parts_are_the_rows_in_order(inputs: Inputs, size: int, sizes: list[int]) -> None:
    parts = inputs.split(size)
    assert [part.rows for part in parts] == sizes
    assert sum(map(rows_of, parts), []) == rows_of(inputs)


def test_sides_of_the_same_rows_are_put_together(inputs: Inputs) -> None:
    other = Inputs({"mask": torch.ones(4), "patches": torch.zeros(9)}, 4, frozenset({"patches"}))
    merged = inputs.merge(other)
    assert merged.keys() == inputs.keys() | other.keys() and merged.rows == 4
    assert merged.shared == {"images", "patches"}
    assert merged["mask"] is other["mask"] and merged["ids"] is inputs["ids"]


def test_sides_that_do_not_fit_are_refused(inputs: Inputs) -> None:
    with pytest.raises(ValueError, match=r"of 4 rows and .* do not fit 3 and \['mask'\]"):
        inputs.merge(Inputs({"mask": torch.ones(3)}, 3))
    with pytest.raises(ValueError, match=r"'ids'.* do not fit 4 and \['ids'\]"):
        inputs.merge(Inputs({"ids": torch.ones(4)}, 4))


def test_replaced_values_take_the_place_of_others(inputs: Inputs) -> None:
    embedded = torch.rand(4, 3, 2)
    replaced = inputs.replace(("ids", "images"), {"embedded": embedded})
    assert replaced.keys() == {"layers", "image_of_row", "embedded"}
    assert (replaced.rows, replaced.shared, replaced["embedded"] is embedded) == (4, frozenset(), True)
    assert "ids" in inputs, "what it was made of is left as it is"


def test_a_function_is_applied_at_every_depth_or_to_some_keys(inputs: Inputs) -> None:
    doubled = inputs.map(lambda value: value * 2)
    assert rows_of(doubled.replace(("image_of_row",), {"image_of_row": inputs["image_of_row"]})) == [
        [2 * number for number in row] for row in rows_of(inputs)
    ]
    some = inputs.map(lambda value: value * 2, keys=("ids",))
    assert torch.equal(some["ids"], inputs["ids"] * 2) and some["layers"] is inputs["layers"]
    assert (some.rows, some.shared) == (4, {"images"})
    moved = inputs.to("meta")
    assert {moved["ids"].device.type, moved["layers"][0]["key"].device.type} == {"meta"}


# Batches


@pytest.fixture
def batch(make_batcher: Callable[..., Batcher]) -> Batch:
    rows = [("5", ["a"], "neutral", "5 6 7"), ("6 7 8", ["b"], "entailment", "8")]
    return make_batcher(XVNLI, rows, IMAGES).batch([0, 1])


def shared_tensors(batch: Batch) -> set[str]:
    """The keys of the inputs that are the very tensors of a side."""
    sides = {**batch.text, **batch.image}
    return {key for key, value in batch.inputs.items() if sides.get(key) is value}


def test_a_moved_batch_has_each_tensor_once(batch: Batch) -> None:
    assert shared_tensors(batch) == set(batch.inputs)
    moved = batch.to("meta")
    assert shared_tensors(moved) == set(batch.inputs), "a tensor of a side is moved once, with the inputs"
    tensors = [*moved.inputs.values(), *moved.caption.values(), moved.labels, moved.image_identity, moved.text_identity]
    assert {tensor.device.type for tensor in [*tensors, moved.caption_identity]} == {"meta"}
    assert {tensor.device.type for tensor in batch.inputs.values()} == {"cpu"}, "the batch is left as it is"


def test_a_batch_without_captions_is_moved_too(make_batcher: Callable[..., Batcher]) -> None:
    moved = make_batcher(MaRVL, [("5", ["a", "c"], "True")], IMAGES).batch([0]).to("meta")
    assert (moved.caption, moved.caption_identity, moved.labels.device.type) == (None, None, "meta")


def test_a_function_over_a_batchs_inputs_is_applied_once_to_each_tensor(batch: Batch) -> None:
    seen: list[Tensor] = []
    mapped = batch.map_inputs(lambda value: seen.append(value) or value + 1, ("input_ids",))
    assert [value.tolist() for value in seen] == [batch.text["input_ids"].tolist(), batch.caption["input_ids"].tolist()]
    assert mapped.text["input_ids"] is mapped.inputs["input_ids"]
    assert torch.equal(mapped.inputs["input_ids"], batch.inputs["input_ids"] + 1)
    assert torch.equal(mapped.caption["input_ids"], batch.caption["input_ids"] + 1)
    assert mapped.image["region_features"] is batch.inputs["region_features"], "other keys are left as they are"
    assert mapped.labels is batch.labels
