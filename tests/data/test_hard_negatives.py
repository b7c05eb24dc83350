"""Hard negatives: nearest images against a loop over all pairs, draws, and pools from a file such as VOLTA's."""

from __future__ import annotations

import gc
import pickle
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from datasets import Dataset
from transformers import AutoTokenizer

from iglue_plugins.data import hard_negatives
from iglue_plugins.data.batching import Batcher
from iglue_plugins.data.hard_negatives import HardNegatives, nearest_images, read_hard_negative_pools
from iglue_plugins.data.processors import regions
from iglue_plugins.data.processors.regions import RegionImages, RegionProcessor
from iglue_plugins.data.regions import InMemoryRegions, RegionLayout
from iglue_plugins.mini import ASSETS
from iglue_plugins.mini.tasks import MiniXFlickrCO
from iglue_plugins.tasks.xflickrco import XFlickrCO
from iglue_plugins.utils.errors import UserError

MakeStore = Callable[[dict[str, list[list[float]]]], InMemoryRegions]


class RecordingStore(InMemoryRegions):
    """Records how many images are read at once."""

    reads: list[int]

    def gather(self, positions: Sequence[int], layout: RegionLayout = RegionLayout()) -> dict[str, torch.Tensor]:
        self.reads.append(len(positions))
        return super().gather(positions, layout)


@pytest.fixture
def store() -> RecordingStore:
    """45 images of one to four regions with 6 features, all of them far from 0 and close to each other."""
    rng = np.random.default_rng(0)
    store = RecordingStore(feature_size=6, max_boxes=4)
    store.add(
        {
            str(i): (100 + rng.normal(size=(1 + i % 4, 6)).astype(np.float32), np.ones((1 + i % 4, 4), np.float32))
            for i in range(45)
        },
        10,
        10,
    )
    store.reads = []
    return store


def images_of(store: InMemoryRegions) -> RegionImages:
    return RegionImages(store, RegionLayout())


def mini_processor() -> RegionProcessor:
    return RegionProcessor(AutoTokenizer.from_pretrained(ASSETS / "tokenizer"))


def nearest_by_a_loop(store: InMemoryRegions, images: Sequence[int], k: int) -> list[list[int]]:
    means = []
    for image in images:
        regions = store.gather([image], RegionLayout(global_region=False))["region_features"][0].double().tolist()
        means.append([sum(column) / len(regions) for column in zip(*regions, strict=True)])
    nearest = []
    for i, mean in enumerate(means):
        distances = {
            j: sum((a - b) ** 2 for a, b in zip(mean, other, strict=True)) for j, other in enumerate(means) if j != i
        }
        nearest.append(sorted(distances, key=distances.get)[:k])
    return nearest


@pytest.mark.parametrize("block", [1, 7, 1000])
@pytest.mark.parametrize("k", [1, 5])
def test_nearest_images_equal_a_loop_over_all_pairs_of_images(
    store: RecordingStore, monkeypatch: pytest.MonkeyPatch, block: int, k: int
) -> None:
    images = np.random.default_rng(1).permutation(45)[:38]
    expected = nearest_by_a_loop(store, images, k)
    monkeypatch.setattr(hard_negatives, "COMPARISON_BLOCK_SIZE", block)
    nearest = nearest_images(images_of(store), images, k)
    assert nearest.tolist() == expected
    assert nearest.dtype == np.int64


def test_regions_are_read_block_by_block(store: RecordingStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(regions, "READ_BLOCK_SIZE", 10)
    nearest_images(images_of(store), np.arange(45), 3)
    assert store.reads == [10, 10, 10, 10, 5]


def test_all_other_images_are_nearest_if_k_is_too_large(store: RecordingStore) -> None:
    assert [sorted(row) for row in nearest_images(images_of(store), np.arange(4), 99).tolist()] == [
        [1, 2, 3],
        [0, 2, 3],
        [0, 1, 3],
        [0, 1, 2],
    ]


def test_every_caption_of_every_image_of_the_pool_is_drawn_and_no_other() -> None:
    image_of_example = np.asarray([2, 0, 1, 2, 0, 3, 2])
    drawn = HardNegatives(image_of_example, np.asarray([[1, 2, -1], [3, 0, 2], [0, -1, -1], [2, 1, -1]]))
    rng = np.random.default_rng(0)
    found = {example: set() for example in range(7)}
    for _ in range(200):
        for example, other in enumerate(drawn.draw(np.arange(7), rng).tolist()):
            found[example].add(other)
    of_image = {0: {1, 4}, 1: {2}, 2: {0, 3, 6}, 3: {5}}
    pools = {0: {1, 2}, 1: {3, 0, 2}, 2: {0}, 3: {2, 1}}
    assert found == {
        example: set().union(*(of_image[other] for other in pools[image]))
        for example, image in enumerate(image_of_example.tolist())
    }


def test_images_of_a_pool_and_then_their_captions_are_equally_likely() -> None:
    drawn = HardNegatives(np.asarray([0, 1, 1, 1, 2]), np.asarray([[1, 2], [0, 2], [0, 1]]))
    found = drawn.draw(np.zeros(6000, dtype=np.int64), np.random.default_rng(0))
    shares = np.bincount(found, minlength=5) / 6000
    assert shares == pytest.approx([0, 1 / 6, 1 / 6, 1 / 6, 1 / 2], abs=0.03)


def test_a_pool_without_a_choice_takes_nothing_from_the_generator() -> None:
    rng = np.random.default_rng(0)
    assert HardNegatives(np.arange(3), np.asarray([[1], [2], [0]])).draw(np.arange(3), rng).tolist() == [1, 2, 0]
    assert rng.bit_generator.state == np.random.default_rng(0).bit_generator.state


def test_mini_examples_keep_the_wrong_candidates_of_the_published_results(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MiniXFlickrCO, "sizes", {"auxiliary": 60})
    task = MiniXFlickrCO()
    batcher = Batcher(task.load("auxiliary", "tr"), task, mini_processor())
    rng, same = np.random.default_rng(5), np.random.default_rng(5)
    texts, _ = task.rows(np.arange(3), batcher, rng)
    assert texts.tolist() == [0, 40, 0, 8, 1, 49, 1, 45, 2, 4, 2, 46]
    same.integers(1, 60, size=(2, 3))
    assert rng.bit_generator.state == same.bit_generator.state, "and so do the examples that are drawn next"


# The file


@pytest.fixture
def volta_file(tmp_path: Path) -> Path:
    """Of images 100, 101, ... 105; pools of 4 with the image itself first, floats as VOLTA writes them."""
    path = tmp_path / "hard_negative.pkl"
    pools = np.asarray([[0, 1, 5, 2], [1, 4, 0, 5], [2, 3, 4, 1], [3, 5, 2, 4], [1, 4, 3, 2], [5, 0, 1, 3]], np.float64)
    path.write_bytes(pickle.dumps({"train_hard_pool": pools, "train_image_list": list(range(100, 106))}, protocol=2))
    return path


def test_pools_of_a_file_leave_out_the_image_itself_and_images_of_no_example(volta_file: Path) -> None:
    everything = read_hard_negative_pools(volta_file, [f"flickr30k/{100 + i}" for i in range(6)])
    assert everything.tolist() == [
        [1, 5, 2, -1],
        [4, 0, 5, -1],
        [3, 4, 1, -1],
        [5, 2, 4, -1],
        [1, 3, 2, -1],
        [0, 1, 3, -1],
    ]
    some = read_hard_negative_pools(volta_file, ["flickr30k/105", "flickr30k/101", "flickr30k/100"])
    assert some.tolist() == [[2, 1, -1, -1], [2, 0, -1, -1], [1, 0, -1, -1]]


def test_a_file_that_lists_none_of_the_images_gives_no_pools(volta_file: Path) -> None:
    assert read_hard_negative_pools(volta_file, ["coco/1", "coco/2"]) is None


def test_a_file_that_lacks_an_image_is_refused(volta_file: Path) -> None:
    with pytest.raises(UserError, match="hard_negative.pkl: lists no pool for 1 of 2 images, among them '7'"):
        read_hard_negative_pools(volta_file, ["flickr30k/101", "flickr30k/7"])


def test_a_pool_without_another_example_is_refused(volta_file: Path) -> None:
    with pytest.raises(UserError, match="pool of image '100' holds none of the other 1 images"):
        read_hard_negative_pools(volta_file, ["flickr30k/100", "flickr30k/103"])


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ([1, 2], "is a list; it has to be a dict with train_hard_pool and train_image_list"),
        (
            {"train_image_list": [1]},
            r"has the keys \['train_image_list'\]; it has to be a dict with train_hard_pool and",
        ),
        (
            {"train_image_list": [1, 2], "train_hard_pool": np.zeros((1, 2))},
            r"train_hard_pool of shape \(1, 2\) does not fit the 2 images",
        ),
        (
            {"train_image_list": [1, 2], "train_hard_pool": np.asarray([[0.0, 2.0]] * 2)},
            "does not fit the 2 images of train_image_list",
        ),
        (
            {"train_image_list": [1, 2], "train_hard_pool": np.asarray([[0.0, 0.5]] * 2)},
            "does not fit the 2 images of train_image_list",
        ),
    ],
)
def test_a_file_of_another_kind_is_refused(tmp_path: Path, content: object, found: str) -> None:
    path = tmp_path / "hard_negative.pkl"
    path.write_bytes(pickle.dumps(content))
    with pytest.raises(UserError, match=found):
        read_hard_negative_pools(path, ["flickr30k/1"])


@pytest.fixture
def flickr(make_store: MakeStore) -> Callable[..., Batcher]:
    """Captions of images 100 to 105 (features 0, 1, 2, ...), the images in turn, in a language."""

    def make(language: str, images: Sequence[int] = range(100, 106), captions: int = 2, **settings: object) -> Batcher:
        class Flickr(XFlickrCO):
            name, source_language = "flickr", "en"
            regions = make_store({f"flickr30k/{image}": [[image, 0]] for image in images})

            def load(self, split: str, language: str, shots: int | str | None = None) -> Dataset:
                raise AssertionError("a batcher is given its examples")

            def fingerprint(self, split: str, language: str, shots: int | str | None = None) -> str:
                return ""

        image_ids = [[f"flickr30k/{image}"] for _ in range(captions) for image in images]
        rows = {
            "text": ["dog"] * len(image_ids),
            "image_ids": image_ids,
            "language": [language] * len(image_ids),
            "label": ["match"] * len(image_ids),
        }
        return Batcher(Dataset.from_dict(rows), Flickr(Flickr.Settings(**settings)), mini_processor())

    return make


def images_of_hard_negatives(batcher: Batcher) -> dict[int, set[int]]:
    """The images whose captions are drawn for each image."""
    found = {image: set() for image in range(6)}
    for seed in range(60):
        texts, images = batcher.task.rows(np.arange(len(batcher)), batcher, np.random.default_rng(seed))
        for text, image in zip(texts[3::4].tolist(), images[3::4].tolist(), strict=True):
            found[image].add(text % 6)
    return found


def test_settings_say_where_hard_negatives_come_from(flickr: Callable[..., Batcher], volta_file: Path) -> None:
    two_nearest = {0: {1, 2}, 1: {0, 2}, 2: {1, 3}, 3: {2, 4}, 4: {3, 5}, 5: {4, 3}}
    of_file = {0: {1, 5, 2}, 1: {4, 0, 5}, 2: {3, 4, 1}, 3: {5, 2, 4}, 4: {1, 3, 2}, 5: {0, 1, 3}}
    assert images_of_hard_negatives(flickr("en", hard_negatives=2)) == two_nearest
    assert images_of_hard_negatives(flickr("en", hard_negatives=2, hard_negatives_file=str(volta_file))) == of_file
    assert images_of_hard_negatives(flickr("de", hard_negatives=2, hard_negatives_file=str(volta_file))) == two_nearest
    other_images = flickr("en", range(200, 206), hard_negatives=2, hard_negatives_file=str(volta_file))
    assert images_of_hard_negatives(other_images) == two_nearest


def test_no_wrong_candidate_has_the_image_of_the_example(flickr: Callable[..., Batcher]) -> None:
    batcher = flickr("en", range(100, 103), captions=5, hard_negatives=99)
    for seed in range(30):
        texts, images = batcher.task.rows(np.arange(15), batcher, np.random.default_rng(seed))
        is_right = (texts % 3 == images).reshape(15, 4)
        assert is_right.tolist() == [[True, False, False, False]] * 15


def test_hard_negatives_are_kept_as_long_as_their_batcher(flickr: Callable[..., Batcher]) -> None:
    batcher = flickr("en")
    task = batcher.task
    first = task.hard_negatives(batcher)
    assert task.hard_negatives(batcher) is first, "computed once"
    kept = [weakref.ref(batcher), weakref.ref(first)]
    del batcher, first
    gc.collect()
    assert [reference() for reference in kept] == [None, None]
