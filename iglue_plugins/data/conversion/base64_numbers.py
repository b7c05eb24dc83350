"""Numbers in base64, which do not say their type: float32 is expected, and other types are recognized.

Neighbouring numbers of a feature or of a box are of like magnitudes. If float64 is read as float32, or float32 as
float16, every second number is made of the last bits of another, and has a magnitude of any size. That tells the type.
"""

from __future__ import annotations

import base64
from typing import Literal

import numpy as np

from iglue_plugins.utils.errors import UserError

SAMPLE_BYTES = 16_384  # of the beginning; that is enough to tell, and takes less than a millisecond
MIN_NUMBERS = 8  # with fewer numbers that are not zero the type cannot be told
MIN_PAIRS_OF_ROUND_NUMBERS = 32
NumberType = Literal["float16", "float32", "float64"]


def decode_numbers(text: str | bytes, where: str) -> np.ndarray:
    """Decodes float32 numbers in base64.

    Args:
        text: The numbers in base64.
        where: The field and its place in the source, for errors.

    Returns:
        (numbers,) float32.

    Raises:
        UserError: The text is not base64, or its bytes are numbers of another type.
    """
    try:
        content = base64.b64decode(text, validate=True)
        numbers = np.frombuffer(content, dtype=np.float32)
    except ValueError as error:  # binascii.Error is a ValueError
        raise UserError(f"{where}: neither numbers nor float32 in base64 ({error}); make the source again") from error
    found = guess_type(content)
    if found != "float32":
        raise UserError(f"{where}: look like {found} in base64, expected float32; make the source again with float32")
    return numbers


def guess_type(content: bytes) -> NumberType:
    """Guesses the type of numbers from their magnitudes.

    Args:
        content: The numbers' bytes, little-endian; a whole number of float32.

    Returns:
        The type; 'float32' if it cannot be told.
    """
    sample = content[:SAMPLE_BYTES]
    may_be_float64 = not len(content) % 8
    halves = np.frombuffer(sample, dtype=np.float16)
    if not _is_float16(halves):
        is_float64 = may_be_float64 and _is_float64_read_as_float32(np.frombuffer(sample, dtype=np.float32))
        return "float64" if is_float64 else "float32"
    if may_be_float64 and _magnitudes(np.frombuffer(sample)).std() < _magnitudes(halves).std():
        return "float64"
    return "float16"


def _is_float16(numbers: np.ndarray) -> bool:
    """Tells whether numbers read as float16 are of like magnitudes in even and odd places.

    In float32 the even places hold the last bits of numbers, which are random, or zero for round numbers.
    """
    even, odd = _magnitudes(numbers[::2]), _magnitudes(numbers[1::2])
    if min(len(even), len(odd)) < MIN_NUMBERS:
        return False
    spread = float(odd.std())
    return (
        abs(len(even) - len(odd)) <= 0.2 * len(odd) + 2 * len(odd) ** 0.5
        and float(even.std()) <= 3 * spread + 0.25
        and abs(float(even.mean() - odd.mean())) <= 2 * spread + 0.25
    )


def _is_float64_read_as_float32(numbers: np.ndarray) -> bool:
    """Tells whether the odd places of numbers, read as float32, hold the first bits of float64, the even the last.

    The first bits of a float64 from 2^-32 to 2^32 are those of a float32 from 2^-3 to 2^5.
    """
    even, odd = _magnitudes(numbers[::2]), _magnitudes(numbers[1::2])
    if len(odd) < MIN_NUMBERS or float(((odd >= -3) & (odd < 5)).mean()) < 0.99:
        return False
    if not len(even):
        return len(odd) >= MIN_PAIRS_OF_ROUND_NUMBERS
    return float((np.abs(even) > 16).mean()) >= 0.5


def _magnitudes(numbers: np.ndarray) -> np.ndarray:
    """Returns the binary logarithms of numbers that are not zero; 128 for those that are not finite."""
    with np.errstate(invalid="ignore"):  # signalling NaNs
        wide = np.abs(numbers.astype(np.float64))
    return np.log2(np.where(np.isfinite(wide), wide, 2.0**128)[wide != 0])
