"""The mini benchmark's world: concepts with pictures and names, and scenes made of them."""

from __future__ import annotations

import json
import math
import random
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from PIL import Image

from iglue_plugins.mini import ASSETS, ATLAS_COLUMNS, PICTURE_SIZE

CANVAS = 128  # pixels a side; a scene has up to four objects, one in each quadrant
SIZES = (40, 60)  # pixels a side of an object
ROTATIONS = {"train": (-14.0, 4.0), "test": (6.0, 14.0)}  # degrees: no view of a picture is in both
GAINS = (0.7, 1.3)  # of brightness and saturation
LUMINANCE = np.asarray([0.299, 0.587, 0.114])


@dataclass(frozen=True)
class Concept:
    emoji: str
    category: str
    names: dict[str, str]


@dataclass(frozen=True)
class Vocabulary:
    """Concepts, and how each language lists and asks."""

    concepts: tuple[Concept, ...]
    languages: dict[str, dict]

    def names(self, concepts: list[int], language: str) -> list[str]:
        return [self.concepts[i].names[language] for i in concepts]

    def listing(self, items: list[str], language: str) -> str:
        """'a, b and c' by the language's own CLDR list pattern."""
        patterns = self.languages[language]["list_patterns"]
        if len(items) < 3:
            return patterns["2"].format(*items) if len(items) == 2 else items[0]
        text = patterns["end"].format(items[-2], items[-1])
        for item in items[-3:0:-1]:
            text = patterns["middle"].format(item, text)
        return patterns["start"].format(items[0], text)

    def question(self, text: str, language: str) -> str:
        return text + self.languages[language]["question_mark"]


@lru_cache(maxsize=1)
def vocabulary() -> Vocabulary:
    facts = json.loads((ASSETS / "concepts.json").read_text(encoding="utf-8"))
    return Vocabulary(tuple(Concept(**concept) for concept in facts["concepts"]), facts["languages"])


@lru_cache(maxsize=1)
def pictures() -> tuple[Image.Image, ...]:
    """One RGBA picture of 64 x 64 pixels for each concept."""
    sheet = Image.open(ASSETS / "pictures.png").convert("RGBA")
    corners = (
        (i % ATLAS_COLUMNS * PICTURE_SIZE, i // ATLAS_COLUMNS * PICTURE_SIZE) for i in range(len(vocabulary().concepts))
    )
    return tuple(sheet.crop((x, y, x + PICTURE_SIZE, y + PICTURE_SIZE)) for x, y in corners)


@dataclass(frozen=True)
class SceneObject:
    concept: int
    box: tuple[int, int, int, int]  # x1 y1 x2 y2, pixels
    rotation: float  # degrees
    gains: tuple[float, float]  # brightness, saturation


@dataclass(frozen=True)
class Scene:
    """A picture of a few objects; `id` seeds every choice but the concepts, so equal ids are equal scenes."""

    id: str
    background: tuple[int, int, int]
    objects: tuple[SceneObject, ...]

    @property
    def concepts(self) -> list[int]:
        return [item.concept for item in self.objects]


def make_scene(scene_id: str, concepts: list[int], view: str) -> Scene:
    """A scene of the concepts, each in a quadrant of its own; view: 'train' or 'test'."""
    rng = random.Random(scene_id)
    objects = []
    for concept, quadrant in zip(concepts, rng.sample(range(4), len(concepts)), strict=True):
        size = rng.randint(*SIZES)
        x = quadrant % 2 * CANVAS // 2 + rng.randint(0, CANVAS // 2 - size)
        y = quadrant // 2 * CANVAS // 2 + rng.randint(0, CANVAS // 2 - size)
        objects.append(
            SceneObject(
                concept,
                (x, y, x + size, y + size),
                rng.uniform(*ROTATIONS[view]),
                (rng.uniform(*GAINS), rng.uniform(*GAINS)),
            )
        )
    return Scene(scene_id, tuple(rng.randint(215, 255) for _ in range(3)), tuple(objects))


def render(scene: Scene) -> Image.Image:
    """The scene as an RGB picture of 128 x 128 pixels."""
    canvas = Image.new("RGB", (CANVAS, CANVAS), scene.background)
    for item in scene.objects:
        picture = _turned(pictures()[item.concept], item.rotation, item.box[2] - item.box[0])
        canvas.paste(
            picture.convert("RGB").convert("RGB", _colour_matrix(*item.gains)), item.box[:2], picture.getchannel("A")
        )
    return canvas


def _turned(picture: Image.Image, degrees: float, size: int) -> Image.Image:
    """Rotated about its centre and scaled to size x size pixels, in one step."""
    scale, centre = PICTURE_SIZE / size, PICTURE_SIZE / 2
    cosine, sine = scale * math.cos(math.radians(degrees)), scale * math.sin(math.radians(degrees))
    shift = centre - (cosine - sine) * size / 2, centre - (sine + cosine) * size / 2
    return picture.transform(
        (size, size),
        Image.Transform.AFFINE,
        (cosine, -sine, shift[0], sine, cosine, shift[1]),
        Image.Resampling.BILINEAR,
    )


def _colour_matrix(brightness: float, saturation: float) -> tuple[float, ...]:
    mixed = brightness * (saturation * np.eye(3) + (1 - saturation) * LUMINANCE)
    return tuple(np.hstack([mixed, np.zeros((3, 1))]).ravel())


FEATURE_SIZE = 64
PATCH = 8  # pixels a side to which a region is shrunk
NOISE = 0.2  # standard deviation, in units of the features' own


@lru_cache(maxsize=1)
def _projection() -> np.ndarray:
    """A fixed random orthonormal projection of 8 x 8 RGB pixels, float32 (192, 64)."""
    matrix = np.random.RandomState(0).standard_normal((PATCH * PATCH * 3, FEATURE_SIZE))
    return np.linalg.qr(matrix)[0].astype(np.float32)


def region_features(scene: Scene) -> tuple[np.ndarray, np.ndarray]:
    """What a frozen detector would give: features float32 (regions, 64) from the pixels, boxes float32 (regions, 4)."""
    canvas = render(scene)
    boxes = np.asarray([item.box for item in scene.objects], dtype=np.float32)
    patches = [canvas.resize((PATCH, PATCH), Image.Resampling.BOX, box=item.box) for item in scene.objects]
    pixels = np.stack([np.asarray(patch, dtype=np.float32).ravel() for patch in patches]) / 255
    features = (pixels - 0.6) @ _projection() * 4
    noise = np.random.RandomState(random.Random(scene.id + "/noise").getrandbits(32))
    return features + NOISE * noise.standard_normal(features.shape).astype(np.float32), boxes
