"""The pictures of mini tasks: scenes that are drawn, and that need no region features."""

from __future__ import annotations

import numpy as np
import pytest

from iglue_plugins.mini import base, world
from iglue_plugins.mini.tasks import MiniMaRVL
from iglue_plugins.utils.errors import UserError


@pytest.fixture
def task(monkeypatch: pytest.MonkeyPatch) -> MiniMaRVL:
    monkeypatch.setattr(MiniMaRVL, "sizes", dict.fromkeys(MiniMaRVL.sizes, 8))
    return MiniMaRVL(MiniMaRVL.Settings(shared_scenes=3))  # three groups of scenes, 0 to 2


def test_each_image_of_an_example_has_its_scenes_picture(task: MiniMaRVL) -> None:
    for ids, example in zip(task.load("dev", "ja")["image_ids"], task.examples("dev"), strict=True):
        assert len(ids) == 2
        for image_id, scene in zip(ids, example.scenes, strict=True):
            picture = task.pictures.picture(image_id)
            assert task.pictures.has(image_id) and (picture.size, picture.mode) == ((128, 128), "RGB")
            assert np.array_equal(np.asarray(picture), np.asarray(world.render(scene)))


def test_pictures_of_a_split_that_was_not_loaded_are_the_same(task: MiniMaRVL) -> None:
    image_id = task.load("test", "en")["image_ids"][5][1]
    fresh = MiniMaRVL(MiniMaRVL.Settings(shared_scenes=3))
    assert fresh.pictures.picture(image_id).tobytes() == task.pictures.picture(image_id).tobytes()


@pytest.mark.parametrize(
    "image_id",
    ["test/3/0", "test/0/2", "test/-1/0", "test/0/-1", "tset/0/0", "test/0", "test/0/0/0", "test/x/0", "test/²/0", ""],
)
def test_a_scene_that_is_not_there_is_named(task: MiniMaRVL, image_id: str) -> None:
    image_id = f"mini/marvl/{image_id}"
    assert not task.pictures.has(image_id)
    with pytest.raises(UserError, match="^task mini/marvl has no scene '.*'; name one of its examples' image_ids$"):
        task.pictures.picture(image_id)
    with pytest.raises(UserError, match="^task mini/marvl has no scene '.*'; name one of its examples' image_ids$"):
        task.regions.index([image_id])
    assert task.pictures.has("mini/marvl/test/2/1") and not task.pictures.has("mini/xvnli/test/0/0")


def test_region_features_are_computed_where_they_are_read_only(
    task: MiniMaRVL, monkeypatch: pytest.MonkeyPatch
) -> None:
    computed: list[int] = []
    features = base.cached_region_features
    monkeypatch.setattr(base, "cached_region_features", lambda scenes: computed.append(len(scenes)) or features(scenes))
    ids = sum(task.load("dev", "en")["image_ids"], [])
    task.pictures.picture(ids[0])
    task.pictures.has("mini/marvl/train/0/0")
    task.load("test", "tr", 2)
    assert computed == []
    assert len(set(task.regions.index(ids))) == 6
    assert computed == [6], "those of the split"
    task.load("dev", "sw")
    task.regions.index(ids)
    assert computed == [6], "once"


def test_regions_of_a_scene_are_found_by_its_id_alone(task: MiniMaRVL) -> None:
    ids = sum(task.load("dev", "en")["image_ids"], [])
    expected = task.regions.gather(task.regions.index(ids[-1:]))
    regions = MiniMaRVL(task.settings).regions
    found = regions.gather(regions.index(ids[-1:]))
    assert all(found[key].equal(expected[key]) for key in expected)
    with pytest.raises(UserError, match="has no scene"):
        regions.index([ids[0].removeprefix("mini/marvl/")])
