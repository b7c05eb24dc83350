"""The mini benchmark's world: concepts with pictures and names, and scenes of them with region features."""

from __future__ import annotations

import json
import math
import random
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from iglue_plugins.mini import ASSETS, ATLAS_COLUMNS, PICTURE_SIZE

ATLASES = ("pictures.png", "unseen.png")  # of the benchmark's concepts, and of the new ones
CANVAS = 128  # width and height of a scene in pixels; it has up to four objects, one in each quadrant
OBJECT_SIZES = (40, 60)  # smallest and largest width of an object in pixels
ROTATIONS = {"train": (-14.0, 4.0), "test": (6.0, 14.0)}  # degrees; the ranges do not overlap
GAINS = (0.7, 1.3)  # smallest and largest factor of brightness and saturation
LUMINANCE = np.asarray([0.299, 0.587, 0.114])  # of red, green and blue
FEATURE_SIZE = 64
PATCH = 8  # width in pixels to which a region is shrunk
NOISE = 0.2  # standard deviation of the noise of features


@dataclass(frozen=True)
class Concept:
    """A thing that scenes can show.

    Attributes:
        emoji: Its emoji.
        category: The category of its emoji.
        names: Its name in each language.
    """

    emoji: str
    category: str
    names: dict[str, str]


@dataclass(frozen=True)
class Lexicon:
    """The concepts, and how each language writes lists and questions.

    Attributes:
        concepts: The concepts of the benchmark, and then new ones.
        new: The positions of the new ones, which only the split unseen has.
        languages: By language, its list patterns, question mark and category labels.
    """

    concepts: tuple[Concept, ...]
    new: range
    languages: dict[str, dict[str, Any]]

    @property
    def known(self) -> range:
        """The positions of the benchmark's concepts."""
        return range(self.new.start)

    def names(self, concepts: list[int], language: str) -> list[str]:
        """Return the names of concepts in a language.

        Args:
            concepts: Positions in `concepts`.
            language: The language's code.

        Returns:
            The names.
        """
        return [self.concepts[i].names[language] for i in concepts]

    def join_list(self, items: list[str], language: str) -> str:
        """Join items to a list such as 'a, b and c', by CLDR's list pattern of a language.

        Args:
            items: One or more items.
            language: The language's code.

        Returns:
            The list as a text.
        """
        patterns = self.languages[language]["list_patterns"]
        if len(items) < 3:
            return patterns["2"].format(*items) if len(items) == 2 else items[0]
        text = patterns["end"].format(items[-2], items[-1])
        for item in items[-3:0:-1]:
            text = patterns["middle"].format(item, text)
        return patterns["start"].format(items[0], text)

    def question(self, text: str, language: str) -> str:
        """Add a language's question mark to a text."""
        return text + self.languages[language]["question_mark"]


@lru_cache(maxsize=1)
def lexicon() -> Lexicon:
    """Read the concepts and languages of the benchmark from its assets."""
    benchmark, unseen = (
        json.loads((ASSETS / name).read_text(encoding="utf-8")) for name in ("concepts.json", "unseen.json")
    )
    known, new = ([Concept(**concept) for concept in facts["concepts"]] for facts in (benchmark, unseen))
    return Lexicon((*known, *new), range(len(known), len(known) + len(new)), benchmark["languages"])


@lru_cache(maxsize=1)
def pictures() -> tuple[Image.Image, ...]:
    """Read the pictures of all concepts, RGBA of 64 x 64 pixels."""
    return tuple(
        picture
        for name, concepts in zip(ATLASES, (lexicon().known, lexicon().new), strict=True)
        for picture in _read_atlas(name, len(concepts))
    )


def _read_atlas(name: str, count: int) -> list[Image.Image]:
    sheet = Image.open(ASSETS / name).convert("RGBA")
    corners = ((i % ATLAS_COLUMNS * PICTURE_SIZE, i // ATLAS_COLUMNS * PICTURE_SIZE) for i in range(count))
    return [sheet.crop((x, y, x + PICTURE_SIZE, y + PICTURE_SIZE)) for x, y in corners]


@dataclass(frozen=True)
class SceneObject:
    """A concept as it is shown in a scene.

    Attributes:
        concept: The concept's position in the lexicon.
        box: x1, y1, x2 and y2 in pixels.
        rotation: In degrees.
        gains: Factors of brightness and saturation.
    """

    concept: int
    box: tuple[int, int, int, int]
    rotation: float
    gains: tuple[float, float]


@dataclass(frozen=True)
class Scene:
    """A picture of a few objects.

    Attributes:
        id: The scene's id. It seeds every choice but that of the concepts.
        background: Red, green and blue, 0 to 255.
        objects: The objects.
    """

    id: str
    background: tuple[int, int, int]
    objects: tuple[SceneObject, ...]

    @property
    def concepts(self) -> list[int]:
        """The concepts of the objects, as positions in the lexicon."""
        return [item.concept for item in self.objects]


def make_scene(scene_id: str, concepts: list[int], view: str) -> Scene:
    """Make a scene of concepts, each in another quadrant.

    Args:
        scene_id: The scene's id, which seeds every choice but that of the concepts.
        concepts: One to four positions in the lexicon.
        view: 'train' or 'test'; the two rotate objects by different angles.

    Returns:
        The scene.

    Raises:
        ValueError: There are more than four concepts.
    """
    rng = random.Random(scene_id)
    objects = []
    for concept, quadrant in zip(concepts, rng.sample(range(4), len(concepts)), strict=True):
        size = rng.randint(*OBJECT_SIZES)
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
    background = rng.randint(215, 255), rng.randint(215, 255), rng.randint(215, 255)
    return Scene(scene_id, background, tuple(objects))


def render(scene: Scene) -> Image.Image:
    """Draw a scene as an RGB picture of 128 x 128 pixels."""
    canvas = Image.new("RGB", (CANVAS, CANVAS), scene.background)
    for item in scene.objects:
        picture = _rotate_and_scale(pictures()[item.concept], item.rotation, item.box[2] - item.box[0])
        canvas.paste(
            picture.convert("RGB").convert("RGB", _color_matrix(*item.gains)), item.box[:2], picture.getchannel("A")
        )
    return canvas


def _rotate_and_scale(picture: Image.Image, degrees: float, size: int) -> Image.Image:
    """Rotate a picture about its center and scale it to size x size pixels, in one step."""
    scale, center = PICTURE_SIZE / size, PICTURE_SIZE / 2
    cosine, sine = scale * math.cos(math.radians(degrees)), scale * math.sin(math.radians(degrees))
    shift = center - (cosine - sine) * size / 2, center - (sine + cosine) * size / 2
    return picture.transform(
        (size, size),
        Image.Transform.AFFINE,
        (cosine, -sine, shift[0], sine, cosine, shift[1]),
        Image.Resampling.BILINEAR,
    )


def _color_matrix(brightness: float, saturation: float) -> tuple[float, ...]:
    """Return the 3 x 4 matrix by which PIL changes the brightness and saturation of RGB pixels."""
    mixed = brightness * (saturation * np.eye(3) + (1 - saturation) * LUMINANCE)
    return tuple(np.hstack([mixed, np.zeros((3, 1))]).ravel())


@lru_cache(maxsize=1)
def _projection() -> NDArray[np.float32]:
    """Make the fixed random orthonormal projection of 8 x 8 RGB pixels, (192, 64) float32."""
    matrix = np.random.RandomState(0).standard_normal((PATCH * PATCH * 3, FEATURE_SIZE))
    return np.linalg.qr(matrix)[0].astype(np.float32)


def region_features(scene: Scene) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Compute the region features of a scene from its pixels, in the place of a frozen detector.

    Args:
        scene: The scene, whose id seeds the noise.

    Returns:
        Features (regions, 64) float32 and boxes (regions, 4) float32, x1 y1 x2 y2 in pixels.
    """
    canvas = render(scene)
    boxes = np.asarray([item.box for item in scene.objects], dtype=np.float32)
    patches = [canvas.resize((PATCH, PATCH), Image.Resampling.BOX, box=item.box) for item in scene.objects]
    pixels = np.stack([np.asarray(patch, dtype=np.float32).ravel() for patch in patches]) / 255
    features = (pixels - 0.6) @ _projection() * 4
    noise = np.random.RandomState(random.Random(scene.id + "/noise").getrandbits(32))
    return features + NOISE * noise.standard_normal(features.shape).astype(np.float32), boxes
