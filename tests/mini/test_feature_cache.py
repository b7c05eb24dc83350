"""The cache of region features: the same features to the bit, and no error where it cannot be used."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import datasets
import numpy as np
import pytest

from iglue_plugins.mini import world
from iglue_plugins.mini.feature_cache import cache_folder, cached_region_features
from iglue_plugins.mini.world import Scene, make_scene, region_features


@pytest.fixture
def scenes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Scene]:
    """Scenes of one to three objects, and an empty cache."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    return [make_scene(f"scene/{i}", list(range(i, i + 1 + i % 3)), "train") for i in range(5)]


def assert_features_of(scenes: list[Scene]) -> None:
    for scene, (features, boxes) in zip(scenes, cached_region_features(scenes), strict=True):
        expected = region_features(scene)
        np.testing.assert_array_equal(features, expected[0], strict=True)
        np.testing.assert_array_equal(boxes, expected[1], strict=True)


def test_features_from_the_cache_are_the_same_to_the_bit(scenes: list[Scene], monkeypatch: pytest.MonkeyPatch) -> None:
    assert_features_of(scenes)
    with monkeypatch.context() as patch:
        patch.setattr(world, "region_features", None)  # nothing is drawn again
        assert_features_of(scenes)
    assert_features_of(scenes[:3])
    assert len(list(cache_folder().iterdir())) == 2


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: bytes(40),
        lambda content: content[:-4],
        lambda content: content[:-4] + b"\x00\x00\x80\x3f",  # another number
    ],
)
def test_a_damaged_cache_is_made_anew(scenes: list[Scene], damage: Callable[[bytes], bytes]) -> None:
    assert_features_of(scenes)
    (file,) = cache_folder().iterdir()
    content = file.read_bytes()
    file.write_bytes(damage(content))
    assert_features_of(scenes)
    assert file.read_bytes() == content


def test_a_folder_that_cannot_be_written_is_done_without(scenes: list[Scene]) -> None:
    cache_folder().parent.mkdir(parents=True)
    cache_folder().touch()  # a file in the folder's place
    assert_features_of(scenes)
