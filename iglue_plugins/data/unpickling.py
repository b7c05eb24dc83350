"""Safe reading of pickles and .npy files from the internet: nothing that a file asks for is run.

A pickle names the functions that build its objects. Every name is refused here but those that numpy's arrays need, and
these are replaced by the small functions of this module. Numpy's functions trust what a pickle says of sizes and types,
so that a pickle can make them read and write outside of an array.
"""

from __future__ import annotations

import io
import math
import pickle
import pickletools
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, NamedTuple, SupportsIndex

import numpy as np

from iglue_plugins.utils.errors import UserError

MAX_DEPTH = 100  # of containers in containers
MAX_REPEATS = 100  # objects, each counted as often as it is repeated, for each byte of a pickle
ALLOWED_DTYPE_KINDS = "biufcSUO"  # numpy's codes for numbers, bytes, text, and objects, which are in the same pickle


class _RefusedError(Exception):
    """Says what a pickle asks for that is not allowed."""


def safe_loads(data: bytes, source: str) -> Any:
    """Reads a pickle of plain containers, bytes, text, numbers, bools, None, and numpy arrays and scalars of them.

    Args:
        data: The pickle.
        source: The file, or the file and the key in it, for errors.

    Returns:
        The content; arrays are of a subclass of np.ndarray.

    Raises:
        UserError: The pickle asks for anything else, which is named and never run; or it is damaged, holds itself, or
            repeats its parts so often that they would fill the memory.
    """
    try:
        _check_memo(data)
        content = _Unpickler(io.BytesIO(data)).load()
        _check_containers(content, MAX_REPEATS * len(data))
        return content
    except _RefusedError as refusal:
        raise UserError(
            f"{source}: the pickle asks for {refusal}, which is refused and not run; use a file that holds nothing but "
            "numbers, text, lists, dicts and numpy arrays"
        ) from None
    except Exception as error:  # unpickling raises almost any error for damaged data
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(
            f"{source}: the pickle is damaged or cut short ({reason}); download or make the file again"
        ) from error


def safe_load_file(path: str | Path) -> Any:
    """Reads a pickle file; see `safe_loads`.

    Args:
        path: The file.

    Raises:
        UserError: The file cannot be read, asks for something that is refused, or is damaged.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); name a pickle file that can be read") from error
    return safe_loads(data, str(path))


def load_npy(path: str | Path) -> np.ndarray:
    """Reads the array in a .npy file; objects in it are read by `safe_loads`.

    Args:
        path: The file.

    Raises:
        UserError: The file cannot be read, is no .npy file, is cut short, or asks for something that is refused.
    """
    try:
        with Path(path).open("rb") as file:
            shape, dtype = _read_npy_header(file, path)
            if not dtype.hasobject:
                expected, found = math.prod(shape) * dtype.itemsize, Path(path).stat().st_size - file.tell()
                if found < expected:  # numpy would allocate the memory before it notices
                    raise UserError(
                        f"{path}: found {found} bytes of numbers, expected {expected}; it is cut short, so download or "
                        "make the file again"
                    )
                file.seek(0)
                return np.load(file, allow_pickle=False)
            data = file.read()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); name a .npy file that can be read") from error
    array = safe_loads(data, str(path))
    if not isinstance(array, np.ndarray) or array.shape != shape:
        raise UserError(
            f"{path}: found a pickled {type(array).__name__}, expected an array of shape {shape}; download or make the "
            "file again"
        )
    return array


def _read_npy_header(file: io.BufferedReader, path: str | Path) -> tuple[tuple[int, ...], np.dtype]:
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    try:
        shape, _, dtype = readers[np.lib.format.read_magic(file)](file)
        if min(shape, default=0) < 0:
            raise ValueError(f"the shape {shape}")
    except OSError:
        raise
    except Exception as error:  # numpy raises almost any error for a damaged header
        raise UserError(
            f"{path}: is no .npy file, or its header is damaged ({error}); download or make the file again"
        ) from error
    return shape, dtype


def _check_memo(data: bytes) -> None:
    """Refuses a pickle with larger memo indices than its size allows, since Python would allocate memory for them."""
    for opcode, argument, _ in pickletools.genops(data):
        if opcode.name in ("PUT", "BINPUT", "LONG_BINPUT") and isinstance(argument, int) and argument > len(data):
            raise _RefusedError(f"memory for {argument} objects")


def _check_containers(content: Any, limit: int) -> None:
    """Refuses containers that hold themselves, are nested deeply, or hold one container again and again."""
    sizes: dict[int, int] = {}  # of containers with all that they hold, by their identity
    open_containers: set[int] = set()
    stack = [content] if isinstance(content, _CONTAINERS) else []
    while stack:
        container = stack[-1]
        inner = _inner_containers(container)
        if id(container) in sizes:
            stack.pop()
        elif id(container) in open_containers:
            stack.pop()
            open_containers.remove(id(container))
            sizes[id(container)] = (
                1
                + (container.size if isinstance(container, np.ndarray) else len(container))
                + sum(sizes[id(part)] for part in inner)
            )
            if sizes[id(container)] > limit:
                raise _RefusedError(f"more than {limit} objects, most of them repeated")
        else:
            open_containers.add(id(container))
            if len(open_containers) > MAX_DEPTH or any(id(part) in open_containers for part in inner):
                raise _RefusedError(f"containers in containers, more than {MAX_DEPTH} deep or in themselves")
            stack += [part for part in inner if id(part) not in sizes]


def _inner_containers(container: Any) -> list[Any]:
    if isinstance(container, np.ndarray):
        parts = container.ravel().tolist() if container.dtype.hasobject else []
    else:
        parts = [*container, *container.values()] if isinstance(container, dict) else container
    return [part for part in parts if isinstance(part, _CONTAINERS)]


class _Unpickler(pickle.Unpickler):
    """Replaces the allowed functions and refuses all others."""

    def find_class(self, module: str, name: str) -> Any:
        replacement = _REPLACEMENTS.get((module.replace("numpy._core", "numpy.core"), name))
        if replacement is None:
            raise _RefusedError(f"'{module}.{name}'")
        return replacement


class _Replacement(NamedTuple):
    """Wraps a function that a pickle may call; it is immutable, since a pickle can also set attributes."""

    function: Callable[..., Any]

    def __call__(self, *arguments: Any) -> Any:
        return self.function(*arguments)


class _DType:
    """Replaces numpy.dtype: an array's type, of one of ALLOWED_DTYPE_KINDS."""

    def __init__(self, code: str, align: bool = False, copy: bool = False) -> None:
        self.dtype = np.dtype(str(code))
        if not self.dtype.itemsize or self.dtype.kind not in ALLOWED_DTYPE_KINDS:
            raise _RefusedError(f"an array of type '{self.dtype}'")

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        byte_order, *structure = state[1:5]
        if structure != [None, None, None]:
            raise _RefusedError("a structured array")
        self.dtype = self.dtype.newbyteorder(byte_order)


class _Array(np.ndarray):
    """Checks that size, type and content of an array fit each other before numpy gets them."""

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, dtype_holder, fortran_order, content = state
        count, dtype = math.prod(map(_check_length, shape)), dtype_holder.dtype
        kind, size = (list, count) if dtype.kind == "O" else (bytes, count * dtype.itemsize)
        if not isinstance(content, kind) or len(content) != size:
            raise ValueError(f"an array of shape {shape} whose content is of another size")
        super().__setstate__((1, shape, dtype, fortran_order, content))

    def __reduce_ex__(self, protocol: SupportsIndex) -> Any:
        return np.asarray(self).__reduce_ex__(protocol)


def _check_length(value: int) -> int:
    if not isinstance(value, int) or value < 0:
        raise ValueError(f"an array with a side of {value}")
    return value


def _empty_array(*ignored: Any) -> _Array:
    return _Array((0,))


def _array_from_buffer(
    content: bytes, dtype_holder: _DType, shape: tuple[int, ...], order: Literal["A", "C", "F"]
) -> np.ndarray:
    return np.frombuffer(_check_bytes(content), dtype_holder.dtype).reshape(shape, order=order)


def _scalar(dtype_holder: _DType, content: bytes) -> np.generic:
    return np.frombuffer(_check_bytes(content), dtype_holder.dtype, count=1)[0]


def _check_bytes(content: bytes | bytearray) -> bytes | bytearray:
    if not isinstance(content, (bytes, bytearray)):  # the memory of an array could be freed while a view of it exists
        raise ValueError(f"a {type(content).__name__} in the place of bytes")
    return content


def _encode(text: str, encoding: str) -> bytes:
    if encoding != "latin1":
        raise _RefusedError(f"the encoding '{encoding}'")
    return text.encode(encoding)


def _not_called(*arguments: Any) -> None:
    raise _RefusedError("'numpy.ndarray' as a function")


_CONTAINERS = (list, tuple, dict, np.ndarray)
_REPLACEMENTS = {
    ("numpy.core.multiarray", "_reconstruct"): _Replacement(_empty_array),
    ("numpy.core.multiarray", "scalar"): _Replacement(_scalar),
    ("numpy.core.numeric", "_frombuffer"): _Replacement(_array_from_buffer),
    ("numpy", "ndarray"): _Replacement(_not_called),
    ("numpy", "dtype"): _Replacement(_DType),
    ("_codecs", "encode"): _Replacement(_encode),  # pickles of protocol 2 call it for the bytes of an array
}
