"""The four IGLUE tasks, and captions for pre-training, on the mini world."""

from __future__ import annotations

import hashlib
import json
import random
import re
from abc import abstractmethod
from functools import cached_property, partial
from typing import Any, ClassVar, cast

from datasets import Dataset

from iglue_plugins.mini import ASSETS, world
from iglue_plugins.mini.builtin import (
    MiniCaptionsSpec,
    MiniMaRVLSpec,
    MiniXFlickrCOSpec,
    MiniXGQASpec,
    MiniXVNLISpec,
)
from iglue_plugins.mini.feature_cache import Regions, cached_region_features
from iglue_plugins.mini.scenes import SceneExample, ScenePictures, SceneRegions
from iglue_plugins.mini.settings import MiniSettings
from iglue_plugins.mini.texts import TextByLanguage, ask_what_else, draw_concepts, list_names, shuffled
from iglue_plugins.tasks.base import Task
from iglue_plugins.tasks.marvl import MaRVL
from iglue_plugins.tasks.settings import TaskSettings
from iglue_plugins.tasks.xflickrco import XFlickrCO
from iglue_plugins.tasks.xgqa import XGQA
from iglue_plugins.tasks.xvnli import XVNLI
from iglue_plugins.utils.errors import UserError

WORLD_VERSION = "1"  # to be raised when the same assets give other examples or features; a test notices that

LabelledText = tuple[TextByLanguage, str]
ConceptExample = tuple[list[list[int]], TextByLanguage, str]  # the concepts of each scene, the text and the label
EVALUATION_SPLITS = ("dev", "test")


class MiniTask(Task):
    """A task whose examples are made of seeded scenes, the same scenes in every language.

    Attributes:
        sizes: The number of examples in each language, by split.
    """

    sizes: ClassVar[dict[str, int]]

    def __init__(self, settings: TaskSettings | None = None) -> None:
        super().__init__(settings)
        self._examples_by_split: dict[str, list[SceneExample]] = {}

    @abstractmethod
    def make_example(self, rng: random.Random) -> ConceptExample:
        """Draw one example.

        Args:
            rng: The source of all choices.

        Returns:
            The concepts of each of its scenes, its text by language, and its label.
        """

    @abstractmethod
    def make_text(self, rng: random.Random, scenes: list[list[int]]) -> LabelledText:
        """Draw a text about the scenes of an example, for another example with the same scenes.

        Args:
            rng: The source of all choices.
            scenes: The concepts of each scene.

        Returns:
            The text by language, and its label.
        """

    @property
    def shared_scenes(self) -> int:
        """The number of examples that have the same scenes."""
        return cast("MiniSettings", self.settings).shared_scenes

    @cached_property
    def regions(self) -> SceneRegions:
        """The region features of the scenes."""
        return SceneRegions(self.name, self._regions_of_split)

    @cached_property
    def pictures(self) -> ScenePictures:
        """The drawn scenes."""
        return ScenePictures(self.name, self.scene)

    def examples(self, split: str) -> list[SceneExample]:
        """Make the examples of a split, once.

        Args:
            split: One of `splits`.
        """
        if split not in self._examples_by_split:
            self._examples_by_split[split] = self._make_examples(split)
        return self._examples_by_split[split]

    def scene(self, image_id: str) -> world.Scene | None:
        """Find a scene.

        Args:
            image_id: The scene's id, `<task>/<split>/<group>/<scene>`; a group is the examples with the same scenes.

        Returns:
            The scene; None if there is no such one.
        """
        parts = re.fullmatch(rf"{re.escape(self.name)}/([^/]+)/(\d+)/(\d+)", image_id, re.ASCII)
        if parts is None or parts[1] not in self.splits:
            return None
        examples, first, number = self.examples(parts[1]), int(parts[2]) * self.shared_scenes, int(parts[3])
        return (
            examples[first].scenes[number] if first < len(examples) and number < len(examples[first].scenes) else None
        )

    def object_count(self, image_id: str) -> int | None:
        """Return the number of objects of a scene; see `Task.object_count`."""
        scene = self.scene(image_id)
        return None if scene is None else len(scene.objects)

    def _regions_of_split(self, image_id: str) -> dict[str, Regions]:
        """Make the region features of all scenes of the split that a scene is of, by the scene's id."""
        if self.scene(image_id) is None:
            return {}
        split = image_id.removeprefix(f"{self.name}/").partition("/")[0]
        scenes = [scene for example in self.examples(split)[:: self.shared_scenes] for scene in example.scenes]
        return dict(zip((scene.id for scene in scenes), cached_region_features(scenes), strict=True))

    def _make_examples(self, split: str) -> list[SceneExample]:
        rng = random.Random(f"{self.name}/{split}")
        view = "test" if split in EVALUATION_SPLITS else "train"
        examples: list[SceneExample] = []
        for group in range(-(-self.sizes[split] // self.shared_scenes)):
            concepts_by_scene, text, label = self.make_example(rng)
            name = f"{self.name}/{split}/{group}"
            scenes = [world.make_scene(f"{name}/{i}", concepts, view) for i, concepts in enumerate(concepts_by_scene)]
            examples.append(SceneExample(scenes, text, label))
            if self.shared_scenes > 1:
                # A generator of their own, so that the scenes are those of a world without further texts.
                text_rng = random.Random(f"{name}/texts")
                others = (self.make_text(text_rng, concepts_by_scene) for _ in range(self.shared_scenes - 1))
                examples += [SceneExample(scenes, *labelled) for labelled in others]
        del examples[self.sizes[split] :]
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
        """Return a hash of the assets, the sizes of the splits, shared scenes and the version of the world.

        Args:
            split: One of `splits`.
            language: One of `languages`.
            shots: The number of examples, the first of the split.

        Returns:
            The hash, which is the same for all examples.
        """
        facts: list[Any] = [WORLD_VERSION, self.sizes]
        if self.shared_scenes > 1:
            facts.append({"shared_scenes": self.shared_scenes})
        digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
        for asset in ("concepts.json", "pictures.png"):
            digest.update((ASSETS / asset).read_bytes())
        return digest.hexdigest()


class MiniXVNLI(MiniXVNLISpec, MiniTask, XVNLI):
    """Two named things: both are in the scene (entailment), one of them is (neutral), or none (contradiction)."""

    default_pairs = "caption"

    def make_example(self, rng: random.Random) -> ConceptExample:
        """Draw a scene of two or three things and a text that names two, as `MiniTask.make_example`."""
        scene = draw_concepts(rng, rng.randint(2, 3))
        return [scene], *self.make_text(rng, [scene])

    def make_text(self, rng: random.Random, scenes: list[list[int]]) -> LabelledText:
        """Draw a text that names two things, as `MiniTask.make_text`."""
        (scene,), label = scenes, rng.choice(self.labels)
        present = {"entailment": 2, "neutral": 1, "contradiction": 0}[label]
        named = rng.sample(scene, present) + draw_concepts(rng, 2 - present, excluded=scene)
        return list_names(shuffled(rng, named)), label


class MiniXGQA(MiniXGQASpec, MiniTask, XGQA):
    """Three kinds of question: is it there, what is the other thing, which thing of a category is there."""

    default_pairs = "caption"

    def __init__(self, settings: TaskSettings | None = None) -> None:
        super().__init__(settings)
        self.labels = ("no", "yes", *(concept.names["en"] for concept in world.lexicon().concepts))

    def make_example(self, rng: random.Random) -> ConceptExample:
        """Draw a question about a scene of two things, as `MiniTask.make_example`."""
        scene = draw_concepts(rng, 2)
        return [scene], *self.make_text(rng, [scene])

    def make_text(self, rng: random.Random, scenes: list[list[int]]) -> LabelledText:
        """Draw a question, as `MiniTask.make_text`."""
        lexicon, (scene,) = world.lexicon(), scenes
        asked, other = shuffled(rng, scene)
        kind = rng.choice(("is it there", "what else", "which"))
        if kind == "is it there":
            answer = rng.choice(("no", "yes"))
            named = asked if answer == "yes" else draw_concepts(rng, 1, excluded=scene)[0]
            return lambda language: lexicon.question(list_names([named])(language), language), answer
        answer, category = lexicon.concepts[other].names["en"], lexicon.concepts[other].category
        if kind == "what else" or lexicon.concepts[asked].category == category:
            return partial(ask_what_else, lexicon, asked), answer
        return lambda language: lexicon.question(lexicon.languages[language]["categories"][category], language), answer


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

    def make_text(self, rng: random.Random, scenes: list[list[int]]) -> LabelledText:
        """Draw a statement about two scenes, as `MiniTask.make_text`; it is false if they have nothing in common."""
        one, other = scenes
        common = [concept for concept in one if concept in other]
        label = rng.choice(self.labels) if common else "False"
        if label == "True":
            named = rng.sample(common, rng.randint(1, min(2, len(common))))
        else:
            missing = [concept for concept in one + other if concept not in common]
            named = [rng.choice(missing + draw_concepts(rng, 1, excluded=one + other))]
            named += rng.sample([concept for concept in common + missing if concept not in named], rng.randint(0, 1))
        return list_names(shuffled(rng, named)), label


class MiniXFlickrCO(MiniXFlickrCOSpec, MiniTask, XFlickrCO):
    """Captions that list what is in the scene."""

    def make_example(self, rng: random.Random) -> ConceptExample:
        """Draw a scene of two or three things and its caption, as `MiniTask.make_example`."""
        scene = draw_concepts(rng, rng.randint(2, 3))
        return [scene], *self.make_text(rng, [scene])

    def make_text(self, rng: random.Random, scenes: list[list[int]]) -> LabelledText:
        """Draw a caption, as `MiniTask.make_text`; it is one of the orders in which the things can be listed."""
        (scene,) = scenes
        return list_names(shuffled(rng, scene)), self.labels[0]


class MiniCaptions(MiniCaptionsSpec, MiniXFlickrCO):
    """Captioned scenes of one to three things, for pre-training only."""

    def make_example(self, rng: random.Random) -> ConceptExample:
        """Draw a scene of one to three things and its caption, as `MiniTask.make_example`."""
        scene = draw_concepts(rng, rng.randint(1, 3))
        return [scene], *self.make_text(rng, [scene])
