"""The four IGLUE tasks, and captions for pre-training, on the mini world."""

from __future__ import annotations

import hashlib
import json
import random
from abc import abstractmethod
from collections.abc import Callable
from functools import cache, cached_property
from typing import ClassVar

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
from iglue_plugins.tasks.base import Task
from iglue_plugins.tasks.marvl import MaRVL
from iglue_plugins.tasks.xflickrco import XFlickrCO
from iglue_plugins.tasks.xgqa import XGQA
from iglue_plugins.tasks.xvnli import XVNLI
from iglue_plugins.utils.errors import UserError

WORLD = "1"  # raise it when the same assets give other examples or features; a test tells

Text = Callable[[str], str]  # language -> text


class MiniTask(Task):
    """A task whose examples are made from seeded scenes, the same scenes in every language."""

    sizes: ClassVar[dict[str, int]]  # examples in each language, by split

    @abstractmethod
    def make_example(self, rng: random.Random) -> tuple[list[list[int]], Text, str]:
        """One example: the concepts of each of its scenes, its text by language, its label."""

    @cached_property
    def regions(self) -> InMemoryRegions:
        return InMemoryRegions(world.FEATURE_SIZE, max_boxes=4)

    def picture(self, image_id: str) -> Image.Image:
        split, number, place = image_id.removeprefix(f"{self.name}/").split("/")
        return world.render(self.examples(split)[int(number)][0][int(place)])

    @cached_property
    def examples(self) -> Callable[[str], list[tuple[list[world.Scene], Text, str]]]:
        """The scenes, texts (by language) and labels of a split, made once; their features go into the store."""
        return cache(self._make_examples)

    def _make_examples(self, split: str) -> list[tuple[list[world.Scene], Text, str]]:
        rng = random.Random(f"{self.name}/{split}")
        view = "test" if split in ("dev", "test") else "train"
        examples = []
        for number in range(self.sizes[split]):
            scenes, text, label = self.make_example(rng)
            examples.append(
                (
                    [
                        world.make_scene(f"{self.name}/{split}/{number}/{i}", concepts, view)
                        for i, concepts in enumerate(scenes)
                    ],
                    text,
                    label,
                )
            )
        features = {scene.id: world.region_features(scene) for scenes, _, _ in examples for scene in scenes}
        self.regions.add(features, world.CANVAS, world.CANVAS)
        return examples

    def load(self, split: str, language: str, shots: int | str | None = None) -> Dataset:
        self.check_split_language(split, language)
        if shots is not None and shots not in range(1, self.sizes[split] + 1):
            raise UserError(f"task {self.name}: found {shots} shots, expected 1 to {self.sizes[split]}")
        examples = self.examples(split)[:shots]
        columns: dict[str, list] = {
            "id": [f"{split}/{number}" for number in range(len(examples))],
            "image_ids": [[scene.id for scene in scenes] for scenes, _, _ in examples],
            "text": [text(language) for _, text, _ in examples],
            "language": [language] * len(examples),
            "label": [label for _, _, label in examples],
        }
        if len(examples[0][0]) == 1:
            columns["caption"] = [describe(scenes[0].concepts)(language) for scenes, _, _ in examples]
        return Dataset.from_dict(columns)

    def fingerprint(self) -> str:
        digest = hashlib.sha256(json.dumps([WORLD, self.sizes], sort_keys=True).encode())
        for asset in ("concepts.json", "pictures.png"):
            digest.update((ASSETS / asset).read_bytes())
        return digest.hexdigest()


def draw_concepts(rng: random.Random, count: int, but: list[int] = ()) -> list[int]:
    return rng.sample([i for i in range(len(world.vocabulary().concepts)) if i not in but], count)


def describe(concepts: list[int]) -> Text:
    def text(language: str) -> str:
        words = world.vocabulary()
        return words.listing(words.names(concepts, language), language)

    return text


def shuffled(rng: random.Random, concepts: list[int]) -> list[int]:
    return rng.sample(concepts, len(concepts))


class MiniXVNLI(MiniXVNLISpec, MiniTask, XVNLI):
    """Two named things: all of them are in the scene (entailment), one of them (neutral), none (contradiction)."""

    default_pairs = "caption"

    def make_example(self, rng: random.Random) -> tuple[list[list[int]], Text, str]:
        scene = draw_concepts(rng, rng.randint(2, 3))
        label = rng.choice(self.labels)
        present = {"entailment": 2, "neutral": 1, "contradiction": 0}[label]
        named = rng.sample(scene, present) + draw_concepts(rng, 2 - present, but=scene)
        return [scene], describe(shuffled(rng, named)), label


class MiniXGQA(MiniXGQASpec, MiniTask, XGQA):
    """Three kinds of question: is it there, what is the other thing, which thing of a category is there."""

    default_pairs = "caption"

    @cached_property
    def labels(self) -> tuple[str, ...]:
        return ("no", "yes", *(concept.names["en"] for concept in world.vocabulary().concepts))

    def make_example(self, rng: random.Random) -> tuple[list[list[int]], Text, str]:
        words = world.vocabulary()
        scene = draw_concepts(rng, 2)
        asked, other = shuffled(rng, scene)
        kind = rng.choice(("is it there", "what else", "which"))
        if kind == "is it there":
            answer = rng.choice(("no", "yes"))
            named = asked if answer == "yes" else draw_concepts(rng, 1, but=scene)[0]
            return [scene], lambda language: words.question(describe([named])(language), language), answer
        category = words.concepts[other].category
        if kind == "what else" or words.concepts[asked].category == category:
            return (
                [scene],
                lambda language: words.question(
                    words.listing([*words.names([asked], language), ""], language).rstrip(), language
                ),
                words.concepts[other].names["en"],
            )
        return (
            [scene],
            lambda language: words.question(words.languages[language]["categories"][category], language),
            words.concepts[other].names["en"],
        )


class MiniMaRVL(MiniMaRVLSpec, MiniTask, MaRVL):
    """One or two named things: true if both scenes show all of them."""

    def make_example(self, rng: random.Random) -> tuple[list[list[int]], Text, str]:
        named = draw_concepts(rng, rng.randint(1, 2))
        label = rng.choice(self.labels)
        scenes = [named + draw_concepts(rng, 1, but=named) for _ in range(2)]
        if label == "False":
            for scene in rng.sample(scenes, rng.randint(1, 2)):
                missing = rng.randrange(len(named))
                scene[missing] = draw_concepts(rng, 1, but=[*scene, *named])[0]
        return [shuffled(rng, scene) for scene in scenes], describe(shuffled(rng, named)), label


class MiniXFlickrCO(MiniXFlickrCOSpec, MiniTask, XFlickrCO):
    """Captions that list what is in the scene."""

    def make_example(self, rng: random.Random) -> tuple[list[list[int]], Text, str]:
        scene = draw_concepts(rng, rng.randint(2, 3))
        return [scene], describe(shuffled(rng, scene)), self.labels[0]


class MiniCaptions(MiniCaptionsSpec, MiniXFlickrCO):
    """Captioned scenes of one to three things, for pre-training only."""

    def make_example(self, rng: random.Random) -> tuple[list[list[int]], Text, str]:
        scene = draw_concepts(rng, rng.randint(1, 3))
        return [scene], describe(shuffled(rng, scene)), self.labels[0]
