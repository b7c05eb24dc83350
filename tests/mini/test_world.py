"""Concepts and their names, list patterns, pictures, scenes and region features."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from iglue_plugins.mini import ASSETS, ATLAS_COLUMNS, LANGUAGES, PICTURE_SIZE, world
from iglue_plugins.mini.concepts import CATEGORY_LABELS

LISTS = {
    "en": ["dog", "dog and cat", "dog, cat, and owl"],
    "ja": ["犬", "犬、猫", "犬、猫、鳥"],
    "ar": ["كلب", "كلب وقطة", "كلب وقطة وبومة"],
    "zh": ["狗", "狗和猫", "狗、猫和鸟"],
    "de": ["Hund", "Hund und Katze", "Hund, Katze und Eule"],
}
ITEMS = {
    "en": ["dog", "cat", "owl"],
    "ja": ["犬", "猫", "鳥"],
    "ar": ["كلب", "قطة", "بومة"],
    "zh": ["狗", "猫", "鸟"],
    "de": ["Hund", "Katze", "Eule"],
}


@pytest.fixture
def lexicon() -> world.Lexicon:
    return world.lexicon()


def test_every_concept_has_a_short_name_in_each_of_15_languages(lexicon: world.Lexicon) -> None:
    assert (len(lexicon.concepts), lexicon.known, lexicon.new) == (144, range(120), range(120, 144))
    assert len(LANGUAGES) == 15 and set(lexicon.languages) == set(LANGUAGES)
    for concept in lexicon.concepts:
        assert set(concept.names) == set(LANGUAGES)
        assert concept.category in CATEGORY_LABELS
        for name in concept.names.values():
            assert name == name.strip()
            assert 1 <= len(name.split()) <= 3


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_name_contains_another(lexicon: world.Lexicon, language: str) -> None:
    names = [concept.names[language].casefold() for concept in lexicon.concepts]
    assert [(a, b) for a, b in itertools.permutations(names, 2) if a in b] == []


@pytest.mark.parametrize("language", LISTS)
@pytest.mark.parametrize("count", [1, 2, 3])
def test_lists_follow_the_pattern_of_the_language(lexicon: world.Lexicon, language: str, count: int) -> None:
    assert lexicon.join_list(ITEMS[language][:count], language) == LISTS[language][count - 1]


def test_a_longer_list(lexicon: world.Lexicon) -> None:
    assert lexicon.join_list(["dog", "cat", "owl", "cow", "ant"], "en") == "dog, cat, owl, cow, and ant"
    assert lexicon.join_list(["狗", "猫", "鸟", "牛"], "zh") == "狗、猫、鸟和牛"


@pytest.mark.parametrize(("language", "mark"), [("en", "?"), ("ar", "؟"), ("ja", "？"), ("zh", "？"), ("tr", "?")])
def test_question_marks(lexicon: world.Lexicon, language: str, mark: str) -> None:
    assert lexicon.question("x", language) == f"x{mark}"


# Pictures


def test_pictures_are_the_atlases_in_rows(lexicon: world.Lexicon) -> None:
    cells: list[np.ndarray] = []
    for name, rows in (("pictures.png", 10), ("unseen.png", 2)):
        with Image.open(ASSETS / name) as sheet:
            pixels = np.asarray(sheet.convert("RGBA"))
        assert pixels.shape == (rows * PICTURE_SIZE, ATLAS_COLUMNS * PICTURE_SIZE, 4)
        cells.extend(
            pixels.reshape(rows, PICTURE_SIZE, ATLAS_COLUMNS, PICTURE_SIZE, 4)
            .swapaxes(1, 2)
            .reshape(-1, PICTURE_SIZE, PICTURE_SIZE, 4)
        )
    assert len(world.pictures()) == len(cells) == len(lexicon.concepts)
    for picture, cell in zip(world.pictures(), cells, strict=True):
        assert np.array_equal(np.asarray(picture), cell)
        assert (cell[..., 3] == 255).any(), "a picture, not an empty cell"


def test_objects_stand_in_different_quadrants() -> None:
    for number in range(200):
        scene = world.make_scene(f"x/{number}", [3, 1, 4, 15], "train")
        assert scene.concepts == [3, 1, 4, 15]
        quadrants = set()
        for item in scene.objects:
            x1, y1, x2, y2 = item.box
            assert x2 - x1 == y2 - y1 and world.OBJECT_SIZES[0] <= x2 - x1 <= world.OBJECT_SIZES[1]
            left, top = x1 // 64, y1 // 64
            assert 0 <= x1 and 0 <= y1 and x2 <= 64 * (left + 1) and y2 <= 64 * (top + 1)
            quadrants.add((left, top))
        assert len(quadrants) == 4


def test_five_objects_do_not_fit() -> None:
    with pytest.raises(ValueError):
        world.make_scene("x", [0, 1, 2, 3, 4], "train")


def test_views_have_different_rotations() -> None:
    assert world.ROTATIONS["train"][1] < world.ROTATIONS["test"][0]
    for view, (lowest, highest) in world.ROTATIONS.items():
        turns = [world.make_scene(f"x/{i}", [0], view).objects[0].rotation for i in range(300)]
        assert lowest <= min(turns) < lowest + 1 and highest - 1 < max(turns) <= highest


def test_a_picture_shows_the_background_and_the_objects_in_their_boxes() -> None:
    scene = world.make_scene("x", [7, 90], "test")
    pixels = np.asarray(world.render(scene))
    assert pixels.shape == (world.CANVAS, world.CANVAS, 3)
    covered = np.zeros(pixels.shape[:2], dtype=bool)
    for item in scene.objects:
        x1, y1, x2, y2 = item.box
        covered[y1:y2, x1:x2] = True
        assert (pixels[y1:y2, x1:x2] != scene.background).any(-1).mean() > 0.1
    assert (pixels[~covered] == scene.background).all()


# Region features


def test_the_same_scene_has_the_same_features() -> None:
    first, again = (world.region_features(world.make_scene("x", [5, 6, 7], "train")) for _ in range(2))
    assert np.array_equal(first[0], again[0]) and np.array_equal(first[1], again[1])
    features, boxes = first
    assert (features.shape, features.dtype) == ((3, world.FEATURE_SIZE), np.float32)
    assert (boxes.shape, boxes.dtype) == ((3, 4), np.float32)
    assert boxes.tolist() == [list(item.box) for item in world.make_scene("x", [5, 6, 7], "train").objects]


def test_a_concept_has_other_features_in_another_scene() -> None:
    one, other = (world.region_features(world.make_scene(name, [5], "train"))[0] for name in ("x", "y"))
    assert np.linalg.norm(one - other) > 1


def test_features_have_the_noise_of_their_scene() -> None:
    scene = world.make_scene("x", [5, 6, 7, 8], "train")
    one, other = (world.region_features(replace(scene, id=name))[0] for name in ("x", "y"))
    assert np.std(one - other) == pytest.approx(world.NOISE * 2**0.5, rel=0.15)
    assert world.NOISE > 0


def features_by_concept(view: str, scenes: int) -> np.ndarray:
    """float32 (concepts, scenes, FEATURE_SIZE)."""
    return np.stack(
        [
            [
                world.region_features(world.make_scene(f"{view}/{concept}/{i}", [concept], view))[0][0]
                for i in range(scenes)
            ]
            for concept in range(120)
        ]
    )


def test_features_tell_most_concepts_across_views_but_are_no_identity() -> None:
    centroids = features_by_concept("train", 8).mean(1)
    found = np.linalg.norm(features_by_concept("test", 6)[:, :, None] - centroids, axis=-1).argmin(-1)
    accuracy = (found == np.arange(120)[:, None]).mean()
    assert 0.9 < accuracy < 1
