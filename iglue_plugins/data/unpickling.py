"""Pickles and .npy files from the internet, read without running anything that they ask for.

A pickle names the functions that build its objects. Here every name is refused but those that numpy's arrays need, and
for these stand small functions of our own: numpy's own trust what a pickle says of sizes and types, and can be made to
read and write outside of an array.
"""

from __future__ import annotations

import io
import math
import pickle
import pickletools
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from iglue_plugins.utils.errors import UserError

KINDS = "biufcSUO"  # numpy's codes for numbers, bytes, text, and objects, which the same pickle holds


class _RefusedError(Exception):
    """A pickle asks for something that is not on the list; the text says what."""


def safe_loads(data: bytes, source: str) -> Any:
    """What a pickle holds: plain containers, bytes, text, numbers, bools, None, and numpy arrays and scalars of them.

    source: the file, or the file and the key in it, for errors. Arrays are of a subclass of np.ndarray.

    Raises:
        UserError: the pickle asks for anything else (named, never run), or is damaged.
    """
    try:
        _check_memo(data)
        return _Unpickler(io.BytesIO(data)).load()
    except _RefusedError as refusal:
        raise UserError(
            f"{source}: found a pickle that asks for {refusal}, which is refused without being run, "
            "expected only numbers, text, lists, dicts and numpy arrays"
        ) from None
    except Exception as error:  # a damaged pickle raises almost anything
        reason = str(error) or type(error).__name__
        raise UserError(
            f"{source}: found a pickle that is damaged or cut short ({reason}), expected a whole one"
        ) from error


def safe_load_file(path: str | Path) -> Any:
    """What a pickle file holds, as `safe_loads`.

    Raises:
        UserError: the file cannot be read, asks for something that is refused, or is damaged.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}), expected a pickle") from error
    return safe_loads(data, str(path))


def load_npy(path: str | Path) -> np.ndarray:
    """The array in a .npy file; objects in it go the way of `safe_loads`.

    Raises:
        UserError: the file cannot be read, is no .npy file, is cut short, or asks for something that is refused.
    """
    try:
        with Path(path).open("rb") as file:
            shape, dtype = _read_npy_header(file, path)
            if not dtype.hasobject:
                expected, found = math.prod(shape) * dtype.itemsize, Path(path).stat().st_size - file.tell()
                if found < expected:  # numpy would set the memory aside before it looks
                    raise UserError(f"{path}: found {found} bytes of numbers, expected {expected}; it is cut short")
                file.seek(0)
                return np.load(file, allow_pickle=False)
            data = file.read()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}), expected a .npy file") from error
    array = safe_loads(data, str(path))
    if not isinstance(array, np.ndarray) or array.shape != shape:
        raise UserError(f"{path}: found a pickled {type(array).__name__}, expected an array of shape {shape}")
    return array


def _read_npy_header(file: io.BufferedReader, path: str | Path) -> tuple[tuple[int, ...], np.dtype]:
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    try:
        shape, _, dtype = readers[np.lib.format.read_magic(file)](file)
        if min(shape, default=0) < 0:
            raise ValueError(f"the shape {shape}")
    except OSError:
        raise
    except Exception as error:  # a damaged header raises almost anything
        raise UserError(
            f"{path}: found no .npy file, or one with a damaged header ({error}), expected a whole one"
        ) from error
    return shape, dtype


def _check_memo(data: bytes) -> None:
    """Refuse a number of remembered objects that no pickle of this size has: Python would set memory aside for them."""
    for opcode, argument, _ in pickletools.genops(data):
        if opcode.name in ("PUT", "BINPUT", "LONG_BINPUT") and argument > len(data):
            raise _RefusedError(f"memory for {argument} objects")


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        stand_in = _STAND_INS.get((module.replace("numpy._core", "numpy.core"), name))
        if stand_in is None:
            raise _RefusedError(f"'{module}.{name}'")
        return stand_in


class _StandIn(NamedTuple):
    """A function that a pickle may call; immutable, since a pickle may also set attributes of what it finds."""

    function: Callable[..., Any]

    def __call__(self, *arguments: Any) -> Any:
        return self.function(*arguments)


class _DType:
    """An array's type, one of KINDS."""

    def __init__(self, code: str, align: bool = False, copy: bool = False) -> None:
        self.dtype = np.dtype(str(code))
        if not self.dtype.itemsize or self.dtype.kind not in KINDS:
            raise _RefusedError(f"an array of type '{self.dtype}'")

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        byte_order, *structure = state[1:5]
        if structure != [None, None, None]:
            raise _RefusedError("a structured array")
        self.dtype = self.dtype.newbyteorder(byte_order)


class _Array(np.ndarray):
    """An array whose size, type and content are checked to fit before numpy gets them."""

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, holder, fortran_order, content = state
        count, dtype = math.prod(map(_length, shape)), holder.dtype
        kind, size = (list, count) if dtype.kind == "O" else (bytes, count * dtype.itemsize)
        if not isinstance(content, kind) or len(content) != size:
            raise ValueError(f"an array of shape {shape} whose content is of another size")
        super().__setstate__((1, shape, dtype, fortran_order, content))

    def __reduce_ex__(self, protocol: int) -> Any:
        return np.asarray(self).__reduce_ex__(protocol)


def _length(value: int) -> int:
    if not isinstance(value, int) or value < 0:
        raise ValueError(f"an array with a side of {value}")
    return value


def _empty_array(*ignored: Any) -> _Array:
    return _Array((0,))


def _array_from_buffer(content: bytes, holder: _DType, shape: tuple[int, ...], order: str) -> np.ndarray:
    return np.frombuffer(_bytes(content), holder.dtype).reshape(shape, order=order)


def _scalar(holder: _DType, content: bytes) -> np.generic:
    return np.frombuffer(_bytes(content), holder.dtype, count=1)[0]


def _bytes(content: bytes | bytearray) -> bytes | bytearray:
    if not isinstance(content, (bytes, bytearray)):  # an array's memory can be given back while another looks at it
        raise ValueError(f"a {type(content).__name__} in the place of bytes")
    return content


def _encode(text: str, encoding: str) -> bytes:
    if encoding != "latin1":
        raise _RefusedError(f"the encoding '{encoding}'")
    return text.encode(encoding)


def _not_called(*arguments: Any) -> None:
    raise _RefusedError("'numpy.ndarray' as a function")


_STAND_INS: dict[tuple[str, str], _StandIn] = {
    (module, name): _StandIn(function)
    for module, name, function in [
        ("numpy.core.multiarray", "_reconstruct", _empty_array),
        ("numpy.core.multiarray", "scalar", _scalar),
        ("numpy.core.numeric", "_frombuffer", _array_from_buffer),
        ("numpy", "ndarray", _not_called),
        ("numpy", "dtype", _DType),
        ("_codecs", "encode", _encode),  # the bytes of an array in pickles of protocol 2
    ]
}
