"""The base of the mini tasks: examples that are made of seeded scenes of the mini world."""

from __future__ import annotations

import hashlib
import json
import random
import re
from abc import abstractmethod
from collections.abc import Sequence
from functools import cached_property
from typing import Any, ClassVar, cast

from datasets import Dataset

from iglue_plugins.mini import ASSETS, world
from iglue_plugins.mini.feature_cache import Regions, cached_region_features
from iglue_plugins.mini.scenes import SceneExample, ScenePictures, SceneRegions
from iglue_plugins.mini.settings import MiniSettings
from iglue_plugins.mini.texts import Draws, TextByLanguage, count_named, list_names
from iglue_plugins.tasks.base import Task
from iglue_plugins.tasks.settings import TaskSettings
from iglue_plugins.utils.errors import UserError

WORLD_VERSION = "1"  # to be raised when the same assets give other examples or features; a test notices that
UNSEEN = "unseen"  # the split with concepts that no other split has
EVALUATION_SPLITS = ("dev", "test", UNSEEN)
ASSET_FILES = ("concepts.json", "pictures.png")
UNSEEN_FILES = ("unseen.json", "unseen.png")

LabelledText = tuple[TextByLanguage, str]
ConceptExample = tuple[list[list[int]], TextByLanguage, str]  # the concepts of each scene, the text and the label


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
    def make_example(self, draws: Draws) -> ConceptExample:
        """Draw one example.

        Args:
            draws: The source of all choices.

        Returns:
            The concepts of each of its scenes, its text by language, and its label.
        """

    @abstractmethod
    def make_text(self, draws: Draws, scenes: list[list[int]]) -> LabelledText:
        """Draw a text about the scenes of an example, for another example with the same scenes.

        Args:
            draws: The source of all choices.
            scenes: The concepts of each scene.

        Returns:
            The text by language, and its label.
        """

    @property
    def shared_scenes(self) -> int:
        """The number of examples that have the same scenes."""
        return cast("MiniSettings", self.settings).shared_scenes

    @property
    def held_out(self) -> int:
        """The number of the benchmark's concepts that only the split unseen has."""
        return cast("MiniSettings", self.settings).held_out

    @property
    def prefix(self) -> str:
        """What the ids of all scenes begin with; a scene of a world with other concepts has another id."""
        return f"{self.name}/held_out_{self.held_out}" if self.held_out else self.name

    @cached_property
    def new_concepts(self) -> Sequence[int]:
        """The concepts that only the split unseen has, as positions in the lexicon."""
        lexicon = world.lexicon()
        return random.Random("held out").sample(lexicon.known, len(lexicon.known))[: self.held_out] or lexicon.new

    @cached_property
    def known_concepts(self) -> Sequence[int]:
        """The concepts that all splits have, as positions in the lexicon."""
        return [i for i in world.lexicon().known if i not in self.new_concepts]

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
                Where concepts are held out, their number stands before the split.

        Returns:
            The scene; None if there is no such one.
        """
        parts = re.fullmatch(rf"{re.escape(self.prefix)}/([^/]+)/(\d+)/(\d+)", image_id, re.ASCII)
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

    def unseen_count(self, text: str, language: str) -> int:
        """Count the concepts named by a text that no split but unseen has; see `Task.unseen_count`."""
        return count_named(text, language, self.new_concepts)

    def _draws(self, split: str, seed: str) -> Draws:
        return Draws(random.Random(seed), self.known_concepts, self.new_concepts if split == UNSEEN else ())

    def _regions_of_split(self, image_id: str) -> dict[str, Regions]:
        """Make the region features of all scenes of the split that a scene is of, by the scene's id."""
        if self.scene(image_id) is None:
            return {}
        split = image_id.removeprefix(f"{self.prefix}/").partition("/")[0]
        scenes = [scene for example in self.examples(split)[:: self.shared_scenes] for scene in example.scenes]
        return dict(zip((scene.id for scene in scenes), cached_region_features(scenes), strict=True))

    def _make_examples(self, split: str) -> list[SceneExample]:
        draws = self._draws(split, f"{self.prefix}/{split}")
        view = "test" if split in EVALUATION_SPLITS else "train"
        examples: list[SceneExample] = []
        for group in range(-(-self.sizes[split] // self.shared_scenes)):
            concepts_by_scene, text, label = self.make_example(draws)
            name = f"{self.prefix}/{split}/{group}"
            scenes = [world.make_scene(f"{name}/{i}", concepts, view) for i, concepts in enumerate(concepts_by_scene)]
            examples.append(SceneExample(scenes, text, label))
            if self.shared_scenes > 1:
                # A generator of their own, so that the scenes are those of a world without further texts.
                further = self._draws(split, f"{name}/texts")
                others = (self.make_text(further, concepts_by_scene) for _ in range(self.shared_scenes - 1))
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
        """Return a hash of the assets, the sizes of the splits, the settings and the version of the world.

        Args:
            split: One of `splits`.
            language: One of `languages`.
            shots: The number of examples, the first of the split.

        Returns:
            The hash, which is the same for all examples but those of the split unseen. Its size and its concepts do
            not count for the others.
        """
        sizes = {name: size for name, size in self.sizes.items() if split == UNSEEN or name != UNSEEN}
        facts: list[Any] = [WORLD_VERSION, sizes]
        if self.shared_scenes > 1:
            facts.append({"shared_scenes": self.shared_scenes})
        if self.held_out:
            facts.append({"held_out": self.held_out})
        digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
        for asset in (*ASSET_FILES, *(UNSEEN_FILES if split == UNSEEN else ())):
            digest.update((ASSETS / asset).read_bytes())
        return digest.hexdigest()
