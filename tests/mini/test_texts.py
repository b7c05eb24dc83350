"""Draws of known and of new concepts, and counting what a text names."""

from __future__ import annotations

import random
from collections import Counter

from iglue_plugins.mini import LANGUAGES, world
from iglue_plugins.mini.texts import Draws, count_named, list_names


def test_without_new_concepts_draws_are_a_sample_of_the_known_ones() -> None:
    drawn = Draws(random.Random(5), range(9)).concepts(4, excluded=[2, 3])
    assert drawn == random.Random(5).sample([0, 1, 4, 5, 6, 7, 8], 4)


def test_each_concept_is_new_with_a_probability_of_one_half() -> None:
    draws = Draws(random.Random(5), range(100), range(100, 110))
    counts = Counter(sum(i >= 100 for i in draws.concepts(2)) for _ in range(4000))
    assert [abs(counts[number] / 4000 - share) < 0.03 for number, share in enumerate((0.25, 0.5, 0.25))] == [True] * 3


def test_draws_are_different_and_not_excluded_even_where_few_are_new() -> None:
    draws = Draws(random.Random(5), range(20), [20, 21])
    for _ in range(200):
        drawn = draws.concepts(5, excluded=[20, 7])
        assert len(set(drawn)) == 5 and not {20, 7} & set(drawn)


def test_named_concepts_are_counted_in_every_language() -> None:
    lexicon = world.lexicon()
    for language in LANGUAGES:
        for named in ([0, 120, 143], [121], [5, 119]):
            text = list_names(named)(language)
            assert count_named(text, language, lexicon.new) == sum(i >= 120 for i in named)
            assert count_named(text, language, lexicon.known) == sum(i < 120 for i in named)
