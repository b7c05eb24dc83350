"""Pickles and .npy files that are read without running anything, and those that are refused."""

from __future__ import annotations

import os
import pickle
import random
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from iglue_plugins.data.unpickling import load_npy, safe_load_file, safe_loads
from iglue_plugins.utils.errors import UserError

RECONSTRUCT = np.zeros(1).__reduce__()[0]
SCALAR = np.float32(1).__reduce__()[0]
FROM_BUFFER = np.zeros(1).__reduce_ex__(5)[0]
SHARED = Path(__file__).parents[2].parent / "shared"

ARRAYS = [
    np.arange(6, dtype=np.float32).reshape(2, 3),
    np.asfortranarray(np.arange(6, dtype=np.float32).reshape(2, 3)),
    np.arange(3, dtype=">f4"),
    np.arange(3, dtype=np.float16),
    np.asarray(7),
    np.zeros((0, 4), dtype=np.float32),
    np.asarray([True, False]),
    np.asarray(["a", "größer"]),
    np.asarray([b"ab"]),
    np.asarray([1 + 2j]),
]


class Forged:
    """Is pickled as a call of a function, and the state to set on its result."""

    def __init__(self, *reduced: Any) -> None:
        self.reduced = reduced

    def __reduce__(self) -> tuple[Any, ...]:
        return self.reduced


def forged_array(shape: Any, dtype: Any, content: Any) -> Forged:
    return Forged(RECONSTRUCT, (np.ndarray, (0,), b"b"), (1, shape, dtype, False, content))


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
class TestPlainContent:
    def test_containers(self, protocol: int) -> None:
        content = {"a": [1, 2.5, None, True, 2**100], ("b", 3): {"c": b"\x00\xff"}, 7: "größer"}
        assert safe_loads(pickle.dumps(content, protocol), "a pickle") == content

    @pytest.mark.parametrize("array", ARRAYS, ids=lambda array: f"{array.dtype}{array.shape}")
    def test_arrays(self, array: np.ndarray, protocol: int) -> None:
        if protocol < 3 and not array.size:
            pytest.skip("such a pickle of an empty array calls bytes(), which is refused")
        found = safe_loads(pickle.dumps({"array": array}, protocol), "a pickle")["array"]
        assert isinstance(found, np.ndarray)
        assert found.dtype.newbyteorder("=") == array.dtype.newbyteorder("=")
        assert found.shape == array.shape
        assert (found == array).all()

    def test_scalars(self, protocol: int) -> None:
        content = [np.float32(0.1), np.int64(-5), np.bool_(True), np.str_("ü")]
        found = safe_loads(pickle.dumps(content, protocol), "a pickle")
        assert found == content
        assert [type(value) for value in found] == [type(value) for value in content]

    def test_objects_in_an_array(self, protocol: int) -> None:
        info = {"bbox": np.ones((2, 4), dtype=np.float32), "image_width": 640}
        found = safe_loads(pickle.dumps(np.asarray(info, dtype=object), protocol), "a pickle").item()
        assert found["image_width"] == 640
        assert found["bbox"].tolist() == np.ones((2, 4)).tolist()

    def test_module_names_of_numpy_1(self, protocol: int) -> None:
        if protocol >= 4:
            pytest.skip("the pickle holds the length of the module name, so it cannot be replaced by a shorter one")
        data = pickle.dumps(np.arange(3), protocol)
        assert b"numpy._core" in data
        assert safe_loads(data.replace(b"numpy._core", b"numpy.core"), "a pickle").tolist() == [0, 1, 2]


def test_an_array_from_a_pickle_can_be_pickled() -> None:
    found = pickle.loads(pickle.dumps(safe_loads(pickle.dumps(np.arange(3)), "a pickle")))
    assert type(found) is np.ndarray
    assert found.tolist() == [0, 1, 2]


def test_a_function_is_named_and_not_run(tmp_path: Path) -> None:
    path = tmp_path / "evil.pkl"
    path.write_bytes(pickle.dumps([1, Forged(os.mkdir, (str(tmp_path / "made"),))], 0))
    with pytest.raises(UserError) as error:
        safe_load_file(path)
    assert str(error.value).startswith(f"{path}: the pickle asks for '{os.mkdir.__module__}.mkdir', which is refused")
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    ("data", "refused"),
    [
        (b"cos\nsystem\n(S'true'\ntR.", "'os.system'"),
        (b"(ios\nsystem\n.", "'os.system'"),
        (b"\x80\x04\x8c\x05numpy\x8c\x0bctypeslib.x\x93.", "'numpy.ctypeslib.x'"),
        (b"cnumpy\nndarray\n(I3\ntR.", "'numpy.ndarray' as a function"),
        (b"c_codecs\nencode\n(Vabc\nVrot13\ntR.", "the encoding 'rot13'"),
        (b"\x80\x04Nr\xff\xff\xff\x7f.", "memory for 2147483647 objects"),
        (pickle.dumps(OrderedDict(a=1)), "'collections.OrderedDict'"),
        (pickle.dumps({1}, 2), "'__builtin__.set'"),
        (pickle.dumps(Forged(eval, ("1",))), "'builtins.eval'"),
        (pickle.dumps(Forged(np.load, ("x",))), "'numpy.load'"),
        (pickle.dumps(Path("x")), "'pathlib.PosixPath'"),
        (pickle.dumps(np.zeros(2, dtype=[("a", "i4")])), "an array of type '|V4'"),
        (
            pickle.dumps(
                Forged(np.dtype, ("O", False, True), (3, "|", None, ("a",), {"a": (np.dtype("O"), 0)}, 8, 1, 0))
            ),
            "a structured array",
        ),
    ],
)
def test_other_names_are_refused(data: bytes, refused: str) -> None:
    with pytest.raises(UserError) as error:
        safe_loads(data, "a pickle")
    assert str(error.value).startswith(f"a pickle: the pickle asks for {refused}, which is refused")


@pytest.mark.parametrize(
    "forged",
    [
        forged_array((1000,), np.dtype("O"), []),
        forged_array((1000,), np.dtype("f4"), b"1234"),
        forged_array((2,), np.dtype("O"), bytes(16)),
        forged_array((-1,), np.dtype("f4"), b""),
        forged_array((2**62, 8), np.dtype("f4"), b""),
        forged_array(("2",), np.dtype("f4"), bytes(8)),
        forged_array((2,), "f4", bytes(8)),
        Forged(SCALAR, (np.dtype("f8"), b"1234")),
        Forged(SCALAR, (np.dtype("O"), bytes(8))),
        Forged(SCALAR, (np.dtype("f8"), np.zeros(1))),
        Forged(FROM_BUFFER, (np.zeros(3), np.dtype("f8"), (3,), "C")),
        Forged(FROM_BUFFER, (bytes(16), np.dtype("O"), (2,), "C")),
        Forged(FROM_BUFFER, (bytes(16), np.dtype("f8"), (3,), "C")),
    ],
)
def test_an_array_whose_content_does_not_fit_is_damaged(forged: Forged) -> None:
    with pytest.raises(UserError, match="^a pickle: the pickle is damaged or cut short"):
        safe_loads(pickle.dumps(forged), "a pickle")


@pytest.mark.parametrize("name", ["function", "x", "__call__", "__class__"])
def test_a_pickle_cannot_change_what_it_may_call(name: str) -> None:
    set_attribute = b"\x80\x02cnumpy.core.multiarray\n_reconstruct\nN}(X" + bytes([len(name), 0, 0, 0]) + name.encode()
    with pytest.raises(UserError, match="damaged"):
        safe_loads(set_attribute + b"K\x01u\x86b.", "a pickle")
    assert safe_loads(pickle.dumps(np.arange(3)), "a pickle").tolist() == [0, 1, 2]


def test_a_pickle_cut_short_anywhere_is_damaged() -> None:
    data = pickle.dumps({"a": np.arange(3), "b": ["text", 1.5, np.float32(2)]})
    for length in range(len(data)):
        with pytest.raises(UserError, match=r"^a pickle: the pickle is damaged or cut short \(.+\)"):
            safe_loads(data[:length], "a pickle")


def test_a_pickle_with_a_wrong_byte_is_read_or_refused_with_a_user_error() -> None:
    data = pickle.dumps({"a": np.arange(3), "b": ["text", 1.5, np.float32(2)], "c": np.asarray({"d": 1})})
    rng = random.Random(0)
    outcomes = set()
    for _ in range(500):
        damaged = bytearray(data)
        damaged[rng.randrange(len(data))] = rng.randrange(256)
        try:
            safe_loads(bytes(damaged), "a pickle")
            outcomes.add("read")
        except UserError:
            outcomes.add("refused")
    assert outcomes == {"read", "refused"}


@pytest.mark.parametrize("read", [safe_load_file, load_npy])
def test_a_file_that_cannot_be_read_is_named(read: Any, tmp_path: Path) -> None:
    for path in (tmp_path / "missing", tmp_path):
        with pytest.raises(UserError, match=r"cannot be read \(.+\); name a ") as error:
            read(path)
        assert str(error.value).startswith(f"{path}: ")


@pytest.mark.parametrize("array", ARRAYS, ids=lambda array: f"{array.dtype}{array.shape}")
def test_npy_files_are_read(array: np.ndarray, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", array)
    found = load_npy(tmp_path / "a.npy")
    assert found.dtype == array.dtype
    assert found.tolist() == array.tolist()


def test_objects_in_npy_files_are_read_safely(tmp_path: Path) -> None:
    np.save(tmp_path / "a_info.npy", {"bbox": np.ones((1, 4)), "image_id": "a"})
    assert load_npy(tmp_path / "a_info.npy").item()["image_id"] == "a"
    np.save(tmp_path / "evil.npy", np.asarray([Forged(os.mkdir, (str(tmp_path / "made"),))], dtype=object))
    with pytest.raises(UserError, match=r"evil\.npy: the pickle asks for '\w+\.mkdir'"):
        load_npy(tmp_path / "evil.npy")
    assert not (tmp_path / "made").exists()


def npy(header: str, content: bytes, version: int = 1) -> bytes:
    return b"\x93NUMPY" + bytes([version, 0]) + len(header).to_bytes(2, "little") + header.encode() + content


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is no .npy file"),
        (b"PK\x03\x04 a zip file", "is no .npy file"),
        (npy("{'descr': '<f4', 'fortran_order': False, 'shape': (3,)}", b"", version=9), "is no .npy file"),
        (npy("{'descr': '<f4', 'fortran_order': False, 'shape': (3", bytes(12)), "is no .npy file"),
        (npy("{'descr': '<f4', 'fortran_order': False, 'shape': (3,)}", bytes(11)), "found 11 bytes of numbers, exp"),
        (npy("{'descr': '<f4', 'fortran_order': False, 'shape': (10**12,)}", b""), "is no .npy file"),
        (npy("{'descr': '<f4', 'fortran_order': False, 'shape': (-1,)}", bytes(8)), "is no .npy file"),
        (npy("{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000,)}", b""), "found 0 bytes of numbers"),
        (
            npy("{'descr': '|O', 'fortran_order': False, 'shape': (3,)}", pickle.dumps([1, 2, 3])),
            "found a pickled list",
        ),
        (npy("{'descr': '|O', 'fortran_order': False, 'shape': (3,)}", pickle.dumps(np.zeros(2))), "found a pickled "),
        (
            npy("{'descr': '|O', 'fortran_order': False, 'shape': ()}", pickle.dumps(np.asarray({}))[:-9]),
            "the pickle is damaged or cut short",
        ),
    ],
)
def test_damaged_npy_files_are_refused(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    path.write_bytes(content)
    with pytest.raises(UserError) as error:
        load_npy(path)
    assert str(error.value).startswith(f"{path}: {message}")


@pytest.mark.skipif(not SHARED.is_dir(), reason=f"no annotation files in {SHARED}")
def test_the_pickles_among_iglues_annotation_files_are_read() -> None:
    files = sorted((SHARED / "iglue" / "datasets").rglob("*.pkl"))
    assert files
    for file in files:
        assert safe_load_file(file) == pickle.loads(file.read_bytes())
