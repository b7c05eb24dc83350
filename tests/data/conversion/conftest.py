"""Sources of region features in each format, written as the IGLUE release's scripts write them."""

from __future__ import annotations

import base64
import pickle
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import h5py
import lmdb
import numpy as np
import pytest

from iglue_plugins.data.conversion.converter import convert
from iglue_plugins.utils.errors import UserError

Item = dict[str, Any]  # features (n, D), boxes (n, 4), img_w, img_h
FORMATS = ("h5", "lmdb", "lmdb in base64", "npy", "tsv")


@pytest.fixture(params=FORMATS)
def any_format(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "regions" / "flickr30k"


@pytest.fixture
def conversion_error() -> Callable[..., str]:
    """Converts sources, which must fail, and returns the message of the error."""

    def convert_and_fail(sources: list[Path], store: Path, **options: str) -> str:
        with pytest.raises(UserError) as error:
            convert(sources, store, **options)
        return str(error.value)

    return convert_and_fail


@pytest.fixture
def source_error(conversion_error: Callable) -> Callable[..., str]:
    """Converts a source, which must fail without a finished store, and returns the message of the error."""

    def convert_and_fail(source: Path, store: Path, **options: str) -> str:
        message = conversion_error([source], store, **options)
        assert not (store / "store.json").exists()
        return message

    return convert_and_fail


@pytest.fixture
def items() -> Callable[..., dict[str, Item]]:
    """Images '0' to '<count - 1>' of 1 to 5 boxes with features of size 4."""

    def make(count: int, start: int = 0) -> dict[str, Item]:
        return {str(number): item(number) for number in range(start, start + count)}

    return make


def item(number: int) -> Item:
    rng = np.random.default_rng(number)
    boxes = 1 + number * 3 % 5
    return {
        "features": rng.standard_normal((boxes, 4), dtype=np.float32),
        "boxes": np.tile(np.asarray([[10, 20, 110.5, 99]], dtype=np.float32), (boxes, 1)),
        "img_w": 200 + number,
        "img_h": 100,
    }


@pytest.fixture
def write_source(tmp_path: Path) -> Callable[..., Path]:
    """Writes images in a format; the path's name says which."""

    def write(format: str, images: Mapping[str, Item], name: str = "source") -> Path:
        writer = {
            "h5": write_h5,
            "lmdb": write_lmdb,
            "lmdb in base64": write_base64_lmdb,
            "npy": write_npy,
            "tsv": write_tsv,
        }[format]
        path = tmp_path / f"{name}.{format.split()[0]}"
        writer(path, images)
        return path

    return write


def write_h5(path: Path, images: Mapping[str, Item]) -> None:
    with h5py.File(path, "w") as file:
        for name, image in images.items():
            group = file.create_group(name)
            for field, value in {**image, "num_boxes": len(image["boxes"])}.items():
                group[field] = value


def write_lmdb(path: Path, images: Mapping[str, Item], pack: Callable[[Item], Any] = dict) -> None:
    with lmdb.open(str(path), map_size=2**24) as env, env.begin(write=True) as transaction:
        for name, image in images.items():
            transaction.put(name.encode(), pickle.dumps(pack({**image, "img_id": name})))
        transaction.put(b"keys", pickle.dumps([name.encode() for name in images]))


def write_base64_lmdb(path: Path, images: Mapping[str, Item]) -> None:
    write_lmdb(
        path, images, lambda image: image | {field: base64.b64encode(image[field]) for field in ("features", "boxes")}
    )


def write_npy(path: Path, images: Mapping[str, Item]) -> None:
    path.mkdir(exist_ok=True)
    for name, image in images.items():
        np.save(path / f"{name}.npy", image["features"])
        np.save(
            path / f"{name}_info.npy",
            {
                "bbox": image["boxes"],
                "image_width": image["img_w"],
                "image_height": image["img_h"],
                "num_boxes": 1,
                "cls_prob": None,
            },
        )


def write_tsv(path: Path, images: Mapping[str, Item]) -> None:
    path.write_text("".join(f"{row}\n" for row in tsv_rows(images)))


def tsv_rows(images: Mapping[str, Item]) -> Iterable[str]:
    for name, image in images.items():
        numbers = [base64.b64encode(np.ascontiguousarray(image[field])).decode() for field in ("boxes", "features")]
        yield "\t".join([name, str(image["img_h"]), str(image["img_w"]), *"abcd", str(len(image["boxes"])), *numbers])
