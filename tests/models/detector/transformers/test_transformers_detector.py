"""Regions of detectors of transformers: the same boxes and scores as their image processors make of their outputs."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_transformers_detectors import MODELS, NAMES, QUERIES, WITH_BACKBONE, SaveDetector, make_processor
from transformers import AutoImageProcessor, AutoModelForObjectDetection

from iglue_plugins.models.detector.feature_maps import box_means
from iglue_plugins.models.detector.transformers_detector import TransformersDetector, load
from iglue_plugins.models.extraction.base import PictureRegions, UnusablePictureError

FindDetector = Callable[[str], Path]


def regions_of(detector: TransformersDetector, *pictures: Image.Image) -> list[PictureRegions]:
    found = detector.extract([detector.prepare(picture) for picture in pictures])
    assert all(isinstance(regions, PictureRegions) for regions in found)
    return found  # type: ignore[return-value]


def reference(folder: Any, picture: Image.Image) -> tuple[Any, dict[str, np.ndarray]]:
    """Returns the saved detector's output, and what its image processor makes of it, each box once."""
    model = AutoModelForObjectDetection.from_pretrained(folder).eval()
    processor = AutoImageProcessor.from_pretrained(folder)
    inputs = processor(images=picture, return_tensors="pt")
    if model.config.model_type == "yolos":
        inputs.pop("pixel_mask", None)
    with torch.inference_mode():
        output = model(**inputs)
    sizes = [(picture.height, picture.width)]
    (found,) = processor.post_process_object_detection(output, threshold=0.0, target_sizes=sizes)
    boxes = found["boxes"].clamp(min=0).minimum(torch.tensor([picture.width, picture.height] * 2))
    order = found["scores"].argsort(descending=True, stable=True).tolist()
    firsts = {tuple(boxes[place].tolist()): place for place in reversed(order)}  # a box's best class
    places = [place for place in order if place in firsts.values()]
    kept = {"boxes": boxes[places], "scores": found["scores"][places], "classes": found["labels"][places]}
    return output, {key: value.numpy() for key, value in kept.items()}


@pytest.mark.parametrize("kind", MODELS)
def test_boxes_classes_and_scores_are_those_of_the_image_processor(
    kind: str, saved_detector: FindDetector, photos: list[Image.Image]
) -> None:
    folder = saved_detector(kind)
    detector = load(str(folder))
    assert list(detector.class_names) == NAMES
    for picture in photos[:2]:
        (regions,) = regions_of(detector, picture)
        _, expected = reference(folder, picture)
        assert regions.classes is not None and regions.scores is not None
        count = len(expected["boxes"])  # RT-DETR's gives as many pairs of a box and a class as there are queries
        assert 2 <= count <= len(regions.boxes) <= QUERIES
        np.testing.assert_array_equal(regions.boxes[:count], expected["boxes"])
        np.testing.assert_array_equal(regions.scores[:count], expected["scores"])
        np.testing.assert_array_equal(regions.classes[:count], expected["classes"])
        assert regions.boxes.dtype == regions.scores.dtype == regions.features.dtype == np.float32
        assert (regions.scores[1:] <= regions.scores[:-1]).all()


@pytest.mark.parametrize("kind", MODELS)
def test_features_are_the_last_hidden_states_of_the_queries(
    kind: str, saved_detector: FindDetector, photos: list[Image.Image]
) -> None:
    folder = saved_detector(kind)
    detector = load(str(folder))
    (regions,) = regions_of(detector, photos[0])
    output, _ = reference(folder, photos[0])
    hidden = output.last_hidden_state[0, -QUERIES:]
    assert regions.features.shape == (len(regions.boxes), detector.feature_size)
    # A query is known by its score: each feature is of the query that has the region's.
    softmax = output.logits.shape[-1] == len(NAMES) + 1
    scores = (output.logits[0].softmax(-1)[:, :-1] if softmax else output.logits[0].sigmoid()).max(-1).values
    assert len(scores.unique()) == QUERIES
    for feature, score in zip(regions.features, regions.scores, strict=True):
        np.testing.assert_array_equal(feature, hidden[scores == float(score)][0].numpy())


@pytest.mark.parametrize("preset", ["queries", "backbone"])
@pytest.mark.parametrize("kind", MODELS)
def test_a_batch_gives_what_its_pictures_give_one_by_one(
    kind: str, preset: str, saved_detector: FindDetector, photos: list[Image.Image]
) -> None:
    if preset == "backbone" and kind not in WITH_BACKBONE:
        pytest.skip("has no backbone")
    detector = load(str(saved_detector(kind)), preset)
    together = regions_of(detector, *photos)
    for picture, regions in zip(photos, together, strict=True):
        (alone,) = regions_of(detector, picture)
        np.testing.assert_allclose(regions.features, alone.features, atol=1e-5)
        np.testing.assert_allclose(regions.boxes, alone.boxes, atol=1e-3)
        np.testing.assert_allclose(regions.scores, alone.scores, atol=1e-5)
        np.testing.assert_array_equal(regions.classes, alone.classes)


@pytest.mark.parametrize("kind", WITH_BACKBONE)
def test_the_preset_backbone_averages_the_last_map_over_the_boxes(
    kind: str, saved_detector: FindDetector, photos: list[Image.Image]
) -> None:
    detector = load(str(saved_detector(kind)), "backbone")
    (regions,) = regions_of(detector, photos[0])
    model = AutoModelForObjectDetection.from_pretrained(saved_detector(kind)).eval()
    backbone = next(part for part in model.modules() if type(part).__name__.endswith("Backbone"))
    with torch.inference_mode():
        features = backbone(detector.prepare(photos[0]).pixels[None]).feature_maps[-1][0]
    assert len(features) == detector.feature_size
    expected = box_means(features, torch.from_numpy(regions.boxes) / torch.tensor([*photos[0].size] * 2))
    np.testing.assert_allclose(regions.features, expected, atol=1e-5)


@pytest.mark.parametrize("preset", ["queries", "backbone"])
def test_padding_of_the_processor_is_no_part_of_the_picture(
    preset: str, detector_folder: SaveDetector, photos: list[Image.Image]
) -> None:
    """With a mask DETR's attention leaves padding out; its map is the same where the convolutions see no padding."""
    folder = detector_folder("detr", make_processor("detr", pad_size={"height": 192, "width": 144}))
    detector = load(str(folder), preset)
    prepared = detector.prepare(photos[0])
    assert prepared.pixels.shape == (3, 192, 144) and int(prepared.facts.sum()) == 96 * 144
    (regions,) = regions_of(detector, photos[0])
    if preset == "queries":
        _, expected = reference(folder, photos[0])
        np.testing.assert_array_equal(regions.boxes, expected["boxes"])
        np.testing.assert_array_equal(regions.scores, expected["scores"])
    else:
        top = load(str(detector_folder("detr")), preset)
        unpadded = regions_of(top, photos[0])[0].features
        assert regions.features.shape[1] == unpadded.shape[1]
        model = AutoModelForObjectDetection.from_pretrained(folder).eval()
        with torch.inference_mode():
            features = model.model.backbone.model(prepared.pixels[None]).feature_maps[-1][0]
        whole = features[:, : features.shape[1] // 2].amax((1, 2)).numpy()
        assert (regions.features <= whole + 1e-5).all()  # nothing of the lower half, which is padding


def test_boxes_lie_within_the_picture_and_have_an_area(saved_detector: FindDetector, photos: list[Image.Image]) -> None:
    """Boxes that reach beyond a border are cut there."""
    detector = load(str(saved_detector("rt_detr")))
    for picture, regions in zip(photos, regions_of(detector, *photos), strict=True):
        assert (regions.boxes >= 0).all() and (regions.boxes[:, 2:] <= picture.size).all()
        assert (regions.boxes[:, :2] < regions.boxes[:, 2:]).all()


def test_the_number_of_boxes_is_an_option(saved_detector: FindDetector, photos: list[Image.Image]) -> None:
    folder = str(saved_detector("detr"))
    (many,) = regions_of(load(folder), photos[0])
    (few,) = regions_of(load(folder, boxes=5), photos[0])
    assert (len(many.boxes), len(few.boxes)) == (QUERIES, 5)
    np.testing.assert_array_equal(few.features, many.features[:5])


def test_a_store_says_how_the_regions_were_made(detector_folder: SaveDetector) -> None:
    folder = detector_folder("detr")
    settings = load(str(folder), boxes=7).settings
    assert (settings.detector, settings.weights, settings.preset) == ("detector-detr", "detector-detr", "queries")
    assert settings.options["boxes"] == 7
    assert settings.options["image_processor"]["size"] == {"shortest_edge": 96, "longest_edge": 144}
    assert settings.options["image_backend"] == "pil"
    (folder / "notes.txt").write_text("another content")
    assert load(str(folder)).settings.revision != settings.revision


def test_a_detector_goes_to_other_processes(saved_detector: FindDetector, photos: list[Image.Image]) -> None:
    detector = load(str(saved_detector("rt_detr")), "backbone")
    (expected,) = regions_of(detector, photos[0])
    (found,) = regions_of(pickle.loads(pickle.dumps(detector)), photos[0])
    np.testing.assert_array_equal(found.features, expected.features)


@pytest.mark.parametrize("size", [(8, 100), (1000, 20)])
def test_a_picture_too_small_or_too_oblong(size: tuple[int, int], saved_detector: FindDetector) -> None:
    detector = load(str(saved_detector("detr")))
    with pytest.raises(UnusablePictureError, match="a side of fewer than 16 pixels, or of more than 32 times"):
        detector.prepare(Image.new("RGB", size))


def test_bfloat16(saved_detector: FindDetector, photos: list[Image.Image]) -> None:
    folder = str(saved_detector("detr"))
    (exact,), (rough,) = (regions_of(load(folder, precision=name), photos[0]) for name in ("float32", "bfloat16"))
    assert rough.features.dtype == np.float32
    assert rough.scores == pytest.approx(exact.scores, abs=0.05)
    assert not np.array_equal(rough.scores, exact.scores)
