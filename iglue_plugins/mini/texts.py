"""Draws of concepts, and the texts that name them in each language."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from iglue_plugins.mini import world

TextByLanguage = Callable[[str], str]  # takes a language's code


@dataclass(frozen=True)
class Draws:
    """Draws of the concepts of a split.

    Attributes:
        rng: The source of all choices.
        known: The concepts that all splits have, as positions in the lexicon.
        new: Concepts that only this split has. As far as there are some, each concept is one of them with a
            probability of one half.
    """

    rng: random.Random
    known: Sequence[int]
    new: Sequence[int] = ()

    def concepts(self, count: int, excluded: Sequence[int] = ()) -> list[int]:
        """Draw different concepts.

        Args:
            count: How many to draw.
            excluded: Concepts that are not drawn.

        Returns:
            Positions in the lexicon.
        """
        if not self.new:
            taken = set(excluded)
            return self.rng.sample([concept for concept in self.known if concept not in taken], count)
        drawn: list[int] = []
        for _ in range(count):
            known, new = ([i for i in pool if i not in (*excluded, *drawn)] for pool in (self.known, self.new))
            drawn.append(self.rng.choice(new if new and self.rng.random() < 0.5 else known))
        return drawn

    def shuffled(self, concepts: list[int]) -> list[int]:
        """Return concepts in random order."""
        return self.rng.sample(concepts, len(concepts))


def list_names(concepts: list[int]) -> TextByLanguage:
    """Return the text that lists the names of concepts."""

    def text(language: str) -> str:
        lexicon = world.lexicon()
        return lexicon.join_list(lexicon.names(concepts, language), language)

    return text


def ask_what_else(lexicon: world.Lexicon, concept: int, language: str) -> str:
    """Ask what else than a concept is there, by a list that ends after it, such as 'dog and?'.

    Args:
        lexicon: The names, and how languages write lists and questions.
        concept: The concept, a position in the lexicon.
        language: The language's code.

    Returns:
        The question.
    """
    (name,) = lexicon.names([concept], language)
    return lexicon.question(lexicon.join_list([name, ""], language).rstrip(), language)


def count_named(text: str, language: str, concepts: Iterable[int]) -> int:
    """Count the concepts that a text names; no name contains another.

    Args:
        text: The text.
        language: The language's code.
        concepts: The concepts to look for, positions in the lexicon.

    Returns:
        How many of them the text names.
    """
    return sum(world.lexicon().concepts[i].names[language] in text for i in concepts)
