"""The four IGLUE tasks, and captions for pre-training, on the mini world."""

from __future__ import annotations

import hashlib
import json
import random
from abc import abstractmethod
from collections.abc import Callable, Sequence
from functools import cache, cached_property, partial
from typing import Any, ClassVar, NamedTuple

from datasets import Dataset
from PIL import Image

from iglue_plugins.data.regions import InMemoryRegions
from iglue_plugins.mini import ASSETS, world
from iglue_plugins.mini.builtin import (
    MiniCaptionsSpec,
    MiniMaRVLSpec,
    MiniXFlickrCOSpec,
    MiniXGQASpec,
    MiniXVNLISpec,
)
from iglue_plugins.mini.feature_cache import cached_region_features
from iglue_plugins.tasks.base import Task
from iglue_plugins.tasks.marvl import MaRVL
from iglue_plugins.tasks.settings import TaskSettings
from iglue_plugins.tasks.xflickrco import XFlickrCO
from iglue_plugins.tasks.xgqa import XGQA
from iglue_plugins.tasks.xvnli import XVNLI
from iglue_plugins.utils.errors import UserError

WORLD_VERSION = "1"  # to be raised when the same assets give other examples or features; a test notices that

TextByLanguage = Callable[[str], str]  # takes a language's code
ConceptExample = tuple[list[list[int]], TextByLanguage, str]  # the concepts of each scene, the text and the label
EVALUATION_SPLITS = ("dev", "test")


class SceneExample(NamedTuple):
    """An example of a mini task.

    Attributes:
        scenes: Its scenes, one for each image.
        text: Its text in each language.
        label: Its label.
    """

    scenes: list[world.Scene]
    text: TextByLanguage
    label: str


class MiniTask(Task):
    """A task whose examples are made of seeded scenes, the same scenes in every language.

    Attributes:
        sizes: The number of examples in each language, by split.
    """

    sizes: ClassVar[dict[str, int]]

    @abstractmethod
    def make_example(self, rng: random.Random) -> ConceptExample:
        """Draw one example.

        Args:
            rng: The source of all choices.

        Returns:
            The concepts of each of its scenes, its text by language, and its label.
        """

    @cached_property
    def regions(self) -> InMemoryRegions:
        """The region features of the scenes of all splits that have been loaded."""
        return InMemoryRegions(world.FEATURE_SIZE, max_boxes=4)

    def picture(self, image_id: str) -> Image.Image:
        """Draw a scene.

        Args:
            image_id: The scene's id, `<task>/<split>/<example>/<scene>`.

        Returns:
            An RGB picture of 128 x 128 pixels.
        """
        split, example, scene = image_id.removeprefix(f"{self.name}/").split("/")
        return world.render(self.examples(split)[int(example)].scenes[int(scene)])

    @cached_property
    def examples(self) -> Callable[[str], list[SceneExample]]:
        """A function that makes the examples of a split once, and adds their features to `regions`."""
        return cache(self._make_examples)

    def _make_examples(self, split: str) -> list[SceneExample]:
        rng = random.Random(f"{self.name}/{split}")
        view = "test" if split in EVALUATION_SPLITS else "train"
        examples = []
        for number in range(self.sizes[split]):
            concepts_by_scene, text, label = self.make_example(rng)
            scenes = [
                world.make_scene(f"{self.name}/{split}/{number}/{i}", concepts, view)
                for i, concepts in enumerate(concepts_by_scene)
            ]
            examples.append(SceneExample(scenes, text, label))
        scenes = [scene for example in examples for scene in example.scenes]
        features = zip((scene.id for scene in scenes), cached_region_features(scenes), strict=True)
        self.regions.add(dict(features), world.CANVAS, world.CANVAS)
        return examples

    def load(self, split: str, language: str, shots: int | str | None = None) -> Dataset:
        """Load the examples of a split in a language.

        Args:
            split: The split's name.
            language: The language's code.
            shots: The number of examples, the first of the split; None: all of them.

        Returns:
            The examples, always in the same order.

        Raises:
            UserError: The task does not have the split, the language or so many examples.
        """
        self.check_split_language(split, language)
        size = self.sizes[split]
        if shots is None:
            shots = size
        if not isinstance(shots, int) or not 1 <= shots <= size:
            raise UserError(f"task {self.name} has no {shots} shots; choose 1 to {size}")
        examples = self.examples(split)[:shots]
        columns: dict[str, list[Any]] = {
            "id": [f"{split}/{number}" for number in range(len(examples))],
            "image_ids": [[scene.id for scene in example.scenes] for example in examples],
            "text": [example.text(language) for example in examples],
            "language": [language] * len(examples),
            "label": [example.label for example in examples],
        }
        if len(examples[0].scenes) == 1:
            columns["caption"] = [list_names(example.scenes[0].concepts)(language) for example in examples]
        return Dataset.from_dict(columns)

    def fingerprint(self, split: str, language: str, shots: int | str | None = None) -> str:
        """Return a hash of the assets, the sizes of the splits and the version of the world, the same for all examples.

        Args:
            split: One of `splits`.
            language: One of `languages`.
            shots: The number of examples, the first of the split.
        """
        digest = hashlib.sha256(json.dumps([WORLD_VERSION, self.sizes], sort_keys=True).encode())
        for asset in ("concepts.json", "pictures.png"):
            digest.update((ASSETS / asset).read_bytes())
        return digest.hexdigest()


def draw_concepts(rng: random.Random, count: int, excluded: Sequence[int] = ()) -> list[int]:
    """Draw different concepts.

    Args:
        rng: The source of the draw.
        count: How many to draw.
        excluded: Concepts that are not drawn.

    Returns:
        Positions in the lexicon.
    """
    return rng.sample([i for i in range(len(world.lexicon().concepts)) if i not in excluded], count)


def list_names(concepts: list[int]) -> TextByLanguage:
    """Return the text that lists the names of concepts."""

    def text(language: str) -> str:
        lexicon = world.lexicon()
        return lexicon.join_list(lexicon.names(concepts, language), language)

    return text


def shuffled(rng: random.Random, concepts: list[int]) -> list[int]:
    """Return concepts in random order."""
    return rng.sample(concepts, len(concepts))


class MiniXVNLI(MiniXVNLISpec, MiniTask, XVNLI):
    """Two named things: both are in the scene (entailment), one of them is (neutral), or none (contradiction)."""

    default_pairs = "caption"

    def make_example(self, rng: random.Random) -> ConceptExample:
        """Draw a scene of two or three things and a text that names two, as `MiniTask.make_example`."""
        scene = draw_concepts(rng, rng.randint(2, 3))
        label = rng.choice(self.labels)
        present = {"entailment": 2, "neutral": 1, "contradiction": 0}[label]
        named = rng.sample(scene, present) + draw_concepts(rng, 2 - present, excluded=scene)
        return [scene], list_names(shuffled(rng, named)), label


class MiniXGQA(MiniXGQASpec, MiniTask, XGQA):
    """Three kinds of question: is it there, what is the other thing, which thing of a category is there."""

    default_pairs = "caption"

    def __init__(self, settings: TaskSettings | None = None) -> None:
        super().__init__(settings)
        self.labels = ("no", "yes", *(concept.names["en"] for concept in world.lexicon().concepts))

    def make_example(self, rng: random.Random) -> ConceptExample:
        """Draw a question about a scene of two things, as `MiniTask.make_example`."""
        lexicon = world.lexicon()
        scene = draw_concepts(rng, 2)
        asked, other = shuffled(rng, scene)
        kind = rng.choice(("is it there", "what else", "which"))
        if kind == "is it there":
            answer = rng.choice(("no", "yes"))
            named = asked if answer == "yes" else draw_concepts(rng, 1, excluded=scene)[0]
            return [scene], lambda language: lexicon.question(list_names([named])(language), language), answer
        answer, category = lexicon.concepts[other].names["en"], lexicon.concepts[other].category
        if kind == "what else" or lexicon.concepts[asked].category == category:
            return [scene], partial(_ask_what_else, lexicon, asked), answer
        return (
            [scene],
            lambda language: lexicon.question(lexicon.languages[language]["categories"][category], language),
            answer,
        )


def _ask_what_else(lexicon: world.Lexicon, concept: int, language: str) -> str:
    """Ask what else than a concept is there: a list that ends after it, such as 'dog and?'."""
    (name,) = lexicon.names([concept], language)
    return lexicon.question(lexicon.join_list([name, ""], language).rstrip(), language)


class MiniMaRVL(MiniMaRVLSpec, MiniTask, MaRVL):
    """One or two named things: true if both scenes show all of them."""

    def make_example(self, rng: random.Random) -> ConceptExample:
        """Draw two scenes, and a statement that is true if both show all that it names, as `MiniTask.make_example`."""
        named = draw_concepts(rng, rng.randint(1, 2))
        label = rng.choice(self.labels)
        scenes = [named + draw_concepts(rng, 1, excluded=named) for _ in range(2)]
        if label == "False":
            for scene in rng.sample(scenes, rng.randint(1, 2)):
                missing = rng.randrange(len(named))
                scene[missing] = draw_concepts(rng, 1, excluded=[*scene, *named])[0]
        return [shuffled(rng, scene) for scene in scenes], list_names(shuffled(rng, named)), label


class MiniXFlickrCO(MiniXFlickrCOSpec, MiniTask, XFlickrCO):
    """Captions that list what is in the scene."""

    def make_example(self, rng: random.Random) -> ConceptExample:
        """Draw a scene of two or three things and its caption, as `MiniTask.make_example`."""
        scene = draw_concepts(rng, rng.randint(2, 3))
        return [scene], list_names(shuffled(rng, scene)), self.labels[0]


class MiniCaptions(MiniCaptionsSpec, MiniXFlickrCO):
    """Captioned scenes of one to three things, for pre-training only."""

    def make_example(self, rng: random.Random) -> ConceptExample:
        """Draw a scene of one to three things and its caption, as `MiniTask.make_example`."""
        scene = draw_concepts(rng, rng.randint(1, 3))
        return [scene], list_names(shuffled(rng, scene)), self.labels[0]
