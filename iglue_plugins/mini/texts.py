"""Draws of concepts, and the texts that name them in each language."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

from iglue_plugins.mini import world

TextByLanguage = Callable[[str], str]  # takes a language's code


def draw_concepts(rng: random.Random, count: int, excluded: Sequence[int] = ()) -> list[int]:
    """Draw different concepts.

    Args:
        rng: The source of the draw.
        count: How many to draw.
        excluded: Concepts that are not drawn.

    Returns:
        Positions in the lexicon.
    """
    drawable = list(range(len(world.lexicon().concepts)))
    for concept in set(excluded):
        drawable.remove(concept)
    return rng.sample(drawable, count)


def list_names(concepts: list[int]) -> TextByLanguage:
    """Return the text that lists the names of concepts."""

    def text(language: str) -> str:
        lexicon = world.lexicon()
        return lexicon.join_list(lexicon.names(concepts, language), language)

    return text


def shuffled(rng: random.Random, concepts: list[int]) -> list[int]:
    """Return concepts in random order."""
    return rng.sample(concepts, len(concepts))


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
