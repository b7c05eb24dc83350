"""Numbers in base64 of another type than float32: refused by name, in TSVs and LMDBs; float32 never is."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from iglue_plugins.data.conversion.base64_numbers import decode_numbers, guess_type
from iglue_plugins.utils.errors import UserError

RNG = np.random.default_rng(0)
COUNT = 576
NUMBERS = {
    "normal": RNG.standard_normal(COUNT),
    "rectified": np.maximum(RNG.standard_normal(COUNT), 0),
    "mostly zeros": RNG.gamma(0.5, size=COUNT) * (RNG.random(COUNT) < 0.3),
    "long tail": np.exp(2 * RNG.standard_normal(COUNT)),
    "small": RNG.uniform(0, 1e-3, COUNT),
    "whole": RNG.integers(0, 50, COUNT),
    "tenths": RNG.integers(0, 30, COUNT) / 10,
    "ones": np.ones(COUNT),
    "pixels": RNG.uniform(0, 640, COUNT),
    "half precision once": RNG.standard_normal(COUNT).astype(np.float16),
}


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("name", NUMBERS)
def test_the_type_is_told_by_the_magnitudes(name: str, dtype: str) -> None:
    exact = NUMBERS[name].astype(np.float32)
    assert guess_type(exact.astype(dtype).tobytes()) == dtype
    if dtype == "float64":
        assert guess_type((exact / np.float64(3)).tobytes()) == dtype


@pytest.mark.parametrize("count", [4, 8, 16, 32, 144])
def test_float32_is_not_taken_for_another_type(count: int) -> None:
    for numbers in NUMBERS.values():
        for start in range(0, COUNT - count + 1, 4):
            assert guess_type(numbers[start : start + count].astype(np.float32).tobytes()) == "float32"


@pytest.mark.parametrize("dtype", ["float16", "float64"])
@pytest.mark.parametrize("field", ["features", "boxes"])
@pytest.mark.parametrize("format", ["tsv", "lmdb in base64"])
def test_another_type_is_refused(
    format: str, field: str, dtype: str, write_source: Callable, store: Path, source_error: Callable
) -> None:
    image = {
        "features": RNG.gamma(2, 0.2, (36, 8)).astype(np.float32),
        "boxes": RNG.uniform(1, 100, (36, 4)).astype(np.float32),
        "img_w": 100,
        "img_h": 100,
    }
    source = write_source(format, {"1": image | {field: image[field].astype(dtype)}})
    for stored_dtype in ("float16", "float32"):
        error = source_error(source, store.with_name(stored_dtype), dtype=stored_dtype)
        assert f"{field}: look like {dtype} in base64, expected float32; make the source again with float32" in error


def test_fewer_boxes_than_an_lmdb_says_are_refused(write_source: Callable, store: Path, source_error: Callable) -> None:
    features, boxes = np.ones((2, 8), dtype=np.float32), np.ones((2, 4), dtype=np.float16)
    image = {"features": features, "boxes": boxes, "img_w": 9, "img_h": 9, "num_boxes": 2}
    source = write_source("lmdb in base64", {"1": image})
    assert "key 1: found 1 boxes in base64, expected num_boxes 2" in source_error(source, store)


def test_what_is_not_base64_is_named() -> None:
    with pytest.raises(UserError, match="^here: neither numbers nor float32 in base64"):
        decode_numbers("no base64", "here")
    with pytest.raises(UserError, match="^here: neither numbers nor float32 in base64"):
        decode_numbers(base64.b64encode(b"12345"), "here")
