from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tiny_dual_encoders as tiny
import torch
from loaded_dual_encoders import Drawings
from PIL import Image
from transformers import AutoTokenizer

from iglue_plugins.data.processors.image_processor import load_image_processor
from iglue_plugins.data.processors.pixels import PixelImages, PixelProcessor
from iglue_plugins.utils.errors import UserError


class Counted(Drawings):
    """Drawings that list which of them are read."""

    def __init__(self) -> None:
        self.read: list[str] = []

    def picture(self, image_id: str, least_side: int | None = None) -> Image.Image:
        self.read.append(image_id)
        return super().picture(image_id)


class Album:
    name = "album"
    max_text_length = 12
    max_boxes = None
    global_region_takes_a_box = False

    def __init__(self) -> None:
        self.pictures = Counted()


@pytest.fixture(scope="module")
def make_processor(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., PixelProcessor]:
    def make(name: str = "clip", **settings: object) -> PixelProcessor:
        folder = tmp_path_factory.mktemp(name)
        tiny.save_image_processor(name, folder)
        return PixelProcessor(tiny.byte_tokenizer(), load_image_processor(str(folder)), **settings)

    return make


@pytest.fixture
def album() -> Album:
    return Album()


def test_texts_are_cut_and_padded_to_the_longest_of_a_batch(make_processor: Callable[..., PixelProcessor]) -> None:
    prepared = make_processor().prepare_texts(["abc", "abcdefgh", "abc", "x" * 50], 12)
    assert prepared.lengths.tolist() == [5, 10, 5, 12]
    assert prepared.identity.tolist() == [0, 1, 0, 3]
    inputs = prepared.inputs(np.array([2, 1, 0]))
    assert inputs.rows == 3 and inputs.shared == {"input_ids", "attention_mask"}
    assert inputs["text_rows"].tolist() == [0, 1, 0]
    assert inputs["input_ids"].shape == inputs["attention_mask"].shape == (2, 10)
    assert inputs["attention_mask"].sum(1).tolist() == [5, 10]
    assert inputs["input_ids"][0, 5:].tolist() == [1] * 5  # <pad>
    assert inputs["input_ids"][1, [0, -1]].tolist() == [0, 3]  # <s>, </s>


def test_the_least_limit_cuts_texts(make_processor: Callable[..., PixelProcessor]) -> None:
    def longest(processor: PixelProcessor, max_length: int) -> int:
        return int(processor.prepare_texts(["x" * 90], max_length).lengths[0])

    assert longest(make_processor(max_text_length=20), 80) == 20
    assert longest(make_processor(max_text_length=20), 12) == 12
    assert longest(make_processor(padded_length=16), 80) == 16
    short = make_processor()
    short.tokenizer.model_max_length = 9
    assert longest(PixelProcessor(short.tokenizer, short.image_processor), 80) == 9


def test_a_padded_length_replaces_the_mask(make_processor: Callable[..., PixelProcessor]) -> None:
    inputs = make_processor(padded_length=16, lowercase=True).prepare_texts(["AB", "ab"], 80).inputs(np.array([0, 1]))
    assert inputs.keys() == {"input_ids", "text_rows"} and inputs["input_ids"].shape == (1, 16)
    assert inputs["text_rows"].tolist() == [0, 0], "the model cannot tell them apart"


def test_each_picture_of_a_batch_is_read_once(make_processor: Callable[..., PixelProcessor], album: Album) -> None:
    processor = make_processor()
    images = processor.prepare_images(album)
    positions = images.index(["7", "3", "7", "1"])
    assert positions.tolist() == [0, 1, 0, 2] and images.index(["1", "5", "3"]).tolist() == [2, 3, 1]
    assert album.pictures.read == []
    inputs = images.inputs(np.array([2, 0, 2]))
    assert sorted(album.pictures.read) == ["1", "7"]
    assert inputs.rows == 3 and inputs.shared == {"pixel_values"}
    assert inputs["image_rows"].tolist() == [1, 0, 1]
    expected = processor.image_processor(images=[Drawings().picture(i) for i in ("7", "1")], return_tensors="pt")
    assert inputs["pixel_values"].equal(expected.pixel_values)
    assert inputs.select(np.array([1, 1])).rows == 2
    merged = processor.collate(processor.prepare_texts(["a", "b", "a"], 80).inputs(np.arange(3)), inputs)
    assert merged.rows == 3 and merged.shared == {"pixel_values", "input_ids", "attention_mask"}


def test_naflex_pictures_keep_their_shapes(make_processor: Callable[..., PixelProcessor], album: Album) -> None:
    images = make_processor("siglip2").prepare_images(album)
    inputs = images.inputs(images.index(["0", "6", "0"]))
    assert inputs.shared == {"pixel_values", "pixel_attention_mask", "spatial_shapes"}
    assert inputs["pixel_values"].shape == (2, 12, 3 * tiny.PATCH**2)
    assert inputs["spatial_shapes"][0].tolist() != inputs["spatial_shapes"][1].tolist()
    assert inputs["pixel_attention_mask"].sum(1).equal(inputs["spatial_shapes"].prod(1))


def test_a_missing_picture_is_named_before_any_is_read(
    make_processor: Callable[..., PixelProcessor], album: Album
) -> None:
    images = make_processor().prepare_images(album)
    with pytest.raises(UserError, match="task album: there is no picture of image 'gone'"):
        images.index(["1", "gone"])
    assert album.pictures.read == []


def test_a_picture_that_the_image_processor_refuses_is_named() -> None:
    def refuse(**_: object) -> None:
        raise ValueError("height:1 and width:1 must be larger\nthan that")

    images = PixelImages(Drawings(), refuse, "album")
    with pytest.raises(UserError, match=r"cannot read a picture among 3 \(height:1 and width:1 must be larger\)"):
        images.inputs(images.index(["3"]))


def test_descriptors_are_tiny_pictures_that_are_read_once(album: Album) -> None:
    images = PixelImages(album.pictures, None, "album")
    positions = images.index(["0", "1", "2"])
    tiny_pictures = images.descriptors(positions)
    assert tiny_pictures.shape == (3, 8 * 8 * 3) and tiny_pictures.dtype == torch.float32
    torch.testing.assert_close(tiny_pictures.mean(1), torch.zeros(3), rtol=0, atol=1e-6)
    torch.testing.assert_close(tiny_pictures.norm(dim=1), torch.ones(3))
    assert images.descriptors(positions[::-1]).equal(tiny_pictures.flip(0))
    assert album.pictures.read == ["0", "1", "2"]


def test_descriptors_are_near_each_other_where_pictures_look_alike() -> None:
    sky, dark_sky = Image.linear_gradient("L"), Image.linear_gradient("L").point(lambda value: value // 2 + 20)
    pictures = {"sky": sky, "dark sky": dark_sky, "turned": sky.rotate(90), "gray": Image.new("L", (9, 9), 90)}

    class Source:
        def has(self, image_id: str) -> bool:
            return image_id in pictures

        def picture(self, image_id: str, least_side: int | None = None) -> Image.Image:
            return pictures[image_id].convert("RGB")

    images = PixelImages(Source(), None, "album")
    sky, dark_sky, turned, gray = images.descriptors(images.index(pictures))
    assert torch.dist(sky, dark_sky) < 0.05 < 1 < torch.dist(sky, turned)
    assert gray.equal(torch.zeros_like(gray))


def test_prepared_images_work_after_a_fork(make_processor: Callable[..., PixelProcessor], album: Album) -> None:
    images = make_processor().prepare_images(album)
    positions = images.index(["2", "4"])
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=lambda: queue.put(images.inputs(positions)["pixel_values"].numpy()))
    child.start()
    found = queue.get(timeout=60)
    child.join()
    assert np.array_equal(found, images.inputs(positions)["pixel_values"].numpy())


def test_both_parts_are_saved(make_processor: Callable[..., PixelProcessor], tmp_path: Path) -> None:
    processor = make_processor("siglip2")
    processor.save_pretrained(tmp_path)
    assert AutoTokenizer.from_pretrained(tmp_path)("Añ").input_ids == processor.tokenizer("Añ").input_ids
    loaded = load_image_processor(str(tmp_path))
    picture = Drawings().picture("2")
    assert loaded(images=picture, return_tensors="pt").pixel_values.equal(
        processor.image_processor(images=picture, return_tensors="pt").pixel_values
    )
