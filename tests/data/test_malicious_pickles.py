"""Pickles that ask for code or would fill the memory, through each reader of pickles: refused, and nothing is run."""

from __future__ import annotations

import contextlib
import io
import json
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path

import h5py
import lmdb
import numpy as np
import pytest
from malicious_pickles import malicious_pickles

from iglue_plugins.data.annotations.readers import gqa, read_answers
from iglue_plugins.data.conversion.converter import convert
from iglue_plugins.data.hard_negatives import read_pool_file
from iglue_plugins.data.unpickling import load_npy, safe_load_file
from iglue_plugins.models.configuration import XUniterConfig
from iglue_plugins.models.text_weights import load_text_weights
from iglue_plugins.models.uniter import XUniterForVisionAndLanguage
from iglue_plugins.models.volta.weights import read_weights
from iglue_plugins.utils.errors import UserError

NAMES = sorted(malicious_pickles(Path("marker")))


def with_content(name: str, read: Callable[[Path], object]) -> Callable[[Path, bytes], object]:
    """Reads a file that is nothing but the pickle."""

    def read_file(folder: Path, pickled: bytes) -> object:
        (folder / name).write_bytes(pickled)
        return read(folder / name)

    return read_file


def npy(pickled: bytes) -> bytes:
    header = b"{'descr': '|O', 'fortran_order': False, 'shape': ()}"
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + pickled


def npy_source(folder: Path, pickled: bytes) -> object:
    np.save(folder / "1.npy", np.ones((1, 4)))
    (folder / "1_info.npy").write_bytes(npy(pickled))
    return convert([folder], folder / "store", "npy")


def npy_file(folder: Path, pickled: bytes) -> object:
    (folder / "a.npy").write_bytes(npy(pickled))
    return load_npy(folder / "a.npy")


def lmdb_source(folder: Path, pickled: bytes, key: bytes) -> object:
    with lmdb.open(str(folder / "a.lmdb"), map_size=2**24) as env, env.begin(write=True) as transaction:
        transaction.put(b"keys", pickle.dumps([b"1"]))
        transaction.put(b"1", pickle.dumps({}))
        transaction.put(key, pickled)
    return convert([folder / "a.lmdb"], folder / "store")


def zip_of_weights(pickled: bytes) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, part in {"data.pkl": pickled, "version": b"3\n", "byteorder": b"little"}.items():
            archive.writestr(f"archive/{name}", part)
    return content.getvalue()


def legacy_weights(pickled: bytes) -> bytes:
    system = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"short": 2, "int": 4, "long": 4}}
    start = b"".join(pickle.dumps(part, 2) for part in (0x1950A86A20F9469CFC6C, 1001, system))
    return start + pickled + pickle.dumps([], 2)


def weights(pack: Callable[[bytes], bytes]) -> Callable[[Path, bytes], object]:
    return lambda folder, pickled: with_content("w.bin", read_weights)(folder, pack(pickled))


def text_weights(folder: Path, pickled: bytes) -> object:
    sizes = {"hidden_size": 8, "num_attention_heads": 1, "num_hidden_layers": 1, "intermediate_size": 8}
    (folder / "config.json").write_text(json.dumps({"model_type": "xlm-roberta", "vocab_size": 9, **sizes}))
    (folder / "pytorch_model.bin").write_bytes(zip_of_weights(pickled))
    return load_text_weights(XUniterForVisionAndLanguage(XUniterConfig(vocab_size=9, **sizes)), str(folder))


READERS: dict[str, Callable[[Path, bytes], object]] = {
    "a pickle": with_content("a.pkl", safe_load_file),
    "questions": with_content("a.pkl", lambda path: list(gqa(path, ("no", "yes")))),
    "answers": with_content("a.pkl", read_answers),
    "hard negatives": with_content("a.pkl", read_pool_file),
    "an .npy file": npy_file,
    "an .npy source": npy_source,
    "an image of an LMDB": lambda folder, pickled: lmdb_source(folder, pickled, b"1"),
    "the keys of an LMDB": lambda folder, pickled: lmdb_source(folder, pickled, b"keys"),
    "weights, a pickle": weights(bytes),
    "weights, a zip file": weights(zip_of_weights),
    "weights, legacy": weights(legacy_weights),
    "weights of a text model": text_weights,
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_run(name: str, reader: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder, marker = tmp_path / "read", tmp_path / "marker"
    folder.mkdir()
    with pytest.raises(UserError) as error:
        READERS[reader](folder, malicious_pickles(marker)[name])
    assert not marker.exists()
    assert str(error.value).strip() and "\n" not in str(error.value)


def test_a_pickle_in_an_attribute_of_an_h5_file_is_not_read(tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    with h5py.File(tmp_path / "a.h5", "w") as file:
        group = file.create_group("1")
        values = {"features": np.ones((1, 4)), "boxes": np.ones((1, 4)), "img_w": 9, "img_h": 9}
        for number, pickled in enumerate(malicious_pickles(marker).values()):
            for holder in (file, group):
                holder.attrs[f"{number}"] = np.void(pickled[:1000])
        for field, value in values.items():
            group[field] = value
    assert convert([tmp_path / "a.h5"], tmp_path / "store")[0].images == 1
    assert not marker.exists()


def test_the_pickles_would_run(tmp_path: Path) -> None:
    """An ordinary unpickler makes the file: the test above would see it."""
    marker = tmp_path / "marker"
    for name in ("os.mkdir", "eval", "exec", "np.memmap", "an array of objects", "a state that is called"):
        with contextlib.suppress(Exception):
            pickle.loads(malicious_pickles(marker)[name])
        assert marker.exists(), name
        marker.rmdir() if marker.is_dir() else marker.unlink()
