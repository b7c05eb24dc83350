"""The four IGLUE tasks, and captions for pre-training, on the mini world."""

from __future__ import annotations

from functools import partial

from iglue_plugins.mini import world
from iglue_plugins.mini.base import ConceptExample, LabelledText, MiniTask
from iglue_plugins.mini.builtin import (
    MiniCaptionsSpec,
    MiniMaRVLSpec,
    MiniXFlickrCOSpec,
    MiniXGQASpec,
    MiniXVNLISpec,
)
from iglue_plugins.mini.texts import Draws, ask_what_else, list_names
from iglue_plugins.tasks.marvl import MaRVL
from iglue_plugins.tasks.settings import TaskSettings
from iglue_plugins.tasks.xflickrco import XFlickrCO
from iglue_plugins.tasks.xgqa import XGQA
from iglue_plugins.tasks.xvnli import XVNLI


class MiniXVNLI(MiniXVNLISpec, MiniTask, XVNLI):
    """Two named things: both are in the scene (entailment), one of them is (neutral), or none (contradiction)."""

    default_pairs = "caption"

    def make_example(self, draws: Draws) -> ConceptExample:
        """Draw a scene of two or three things and a text that names two, as `MiniTask.make_example`."""
        scene = draws.concepts(draws.rng.randint(2, 3))
        return [scene], *self.make_text(draws, [scene])

    def make_text(self, draws: Draws, scenes: list[list[int]]) -> LabelledText:
        """Draw a text that names two things, as `MiniTask.make_text`."""
        (scene,), label = scenes, draws.rng.choice(self.labels)
        present = {"entailment": 2, "neutral": 1, "contradiction": 0}[label]
        named = draws.rng.sample(scene, present) + draws.concepts(2 - present, excluded=scene)
        return list_names(draws.shuffled(named)), label


class MiniXGQA(MiniXGQASpec, MiniTask, XGQA):
    """Three kinds of question: is it there, what is the other thing, which thing of a category is there."""

    default_pairs = "caption"

    def __init__(self, settings: TaskSettings | None = None) -> None:
        super().__init__(settings)
        self.labels = ("no", "yes", *world.lexicon().names([*world.lexicon().known], "en"))

    def make_example(self, draws: Draws) -> ConceptExample:
        """Draw a question about a scene of two things, as `MiniTask.make_example`."""
        scene = draws.concepts(2)
        return [scene], *self.make_text(draws, [scene])

    def make_text(self, draws: Draws, scenes: list[list[int]]) -> LabelledText:
        """Draw a question, as `MiniTask.make_text`."""
        lexicon, (scene,) = world.lexicon(), scenes
        asked, other = draws.shuffled(scene)
        kind = draws.rng.choice(("is it there", "what else", "which"))
        if kind == "is it there":
            answer = draws.rng.choice(("no", "yes"))
            named = asked if answer == "yes" else draws.concepts(1, excluded=scene)[0]
            return lambda language: lexicon.question(list_names([named])(language), language), answer
        answer, category = lexicon.concepts[other].names["en"], lexicon.concepts[other].category
        if kind == "what else" or lexicon.concepts[asked].category == category:
            return partial(ask_what_else, lexicon, asked), answer
        return lambda language: lexicon.question(lexicon.languages[language]["categories"][category], language), answer


class MiniMaRVL(MiniMaRVLSpec, MiniTask, MaRVL):
    """One or two named things: true if both scenes show all of them."""

    def make_example(self, draws: Draws) -> ConceptExample:
        """Draw two scenes, and a statement that is true if both show all that it names, as `MiniTask.make_example`."""
        named = draws.concepts(draws.rng.randint(1, 2))
        label = draws.rng.choice(self.labels)
        scenes = [named + draws.concepts(1, excluded=named) for _ in range(2)]
        if label == "False":
            for scene in draws.rng.sample(scenes, draws.rng.randint(1, 2)):
                missing = draws.rng.randrange(len(named))
                scene[missing] = draws.concepts(1, excluded=[*scene, *named])[0]
        return [draws.shuffled(scene) for scene in scenes], list_names(draws.shuffled(named)), label

    def make_text(self, draws: Draws, scenes: list[list[int]]) -> LabelledText:
        """Draw a statement about two scenes, as `MiniTask.make_text`; it is false if they have nothing in common."""
        one, other = scenes
        common = [concept for concept in one if concept in other]
        label = draws.rng.choice(self.labels) if common else "False"
        if label == "True":
            named = draws.rng.sample(common, draws.rng.randint(1, min(2, len(common))))
        else:
            missing = [concept for concept in one + other if concept not in common]
            named = [draws.rng.choice(missing + draws.concepts(1, excluded=one + other))]
            named += draws.rng.sample(
                [concept for concept in common + missing if concept not in named], draws.rng.randint(0, 1)
            )
        return list_names(draws.shuffled(named)), label


class MiniXFlickrCO(MiniXFlickrCOSpec, MiniTask, XFlickrCO):
    """Captions that list what is in the scene."""

    def make_example(self, draws: Draws) -> ConceptExample:
        """Draw a scene of two or three things and its caption, as `MiniTask.make_example`."""
        scene = draws.concepts(draws.rng.randint(2, 3))
        return [scene], *self.make_text(draws, [scene])

    def make_text(self, draws: Draws, scenes: list[list[int]]) -> LabelledText:
        """Draw a caption, as `MiniTask.make_text`; it is one of the orders in which the things can be listed."""
        (scene,) = scenes
        return list_names(draws.shuffled(scene)), self.labels[0]


class MiniCaptions(MiniCaptionsSpec, MiniXFlickrCO):
    """Captioned scenes of one to three things, for pre-training only."""

    def make_example(self, draws: Draws) -> ConceptExample:
        """Draw a scene of one to three things and its caption, as `MiniTask.make_example`."""
        scene = draws.concepts(draws.rng.randint(1, 3))
        return [scene], *self.make_text(draws, [scene])
