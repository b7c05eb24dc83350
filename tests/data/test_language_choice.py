"""The languages of a step: a function of the seed and the step's number, each with examples of its own."""

from __future__ import annotations

import pytest

from iglue_plugins.data.language_choice import check_languages, sample_languages
from iglue_plugins.utils.errors import UserError

LANGUAGES = ("ar", "fr", "ru")


def test_a_step_of_all_languages_takes_each_in_its_order() -> None:
    assert sample_languages(LANGUAGES, 3, 7, 0, repeat=False) == [("ar", 7), ("fr", 7), ("ru", 7)]


@pytest.mark.parametrize(("per_step", "repeat"), [(2, False), (2, True), (5, True)])
def test_no_language_takes_the_examples_of_one_step_twice(per_step: int, repeat: bool) -> None:
    steps = [sample_languages(LANGUAGES, per_step, step, 3, repeat) for step in range(50)]
    assert all(len(step) == per_step for step in steps)
    drawn = [chosen for step in steps for chosen in step]
    assert len(set(drawn)) == len(drawn)
    assert repeat or all(len({language for language, _ in step}) == per_step for step in steps)
    assert steps == [sample_languages(LANGUAGES, per_step, step, 3, repeat) for step in range(50)]
    assert steps != [sample_languages(LANGUAGES, per_step, step, 4, repeat) for step in range(50)]


def test_more_languages_than_there_are_need_repetition() -> None:
    check_languages(LANGUAGES, 3, repeat=False)
    check_languages(LANGUAGES, 4, repeat=True)
    with pytest.raises(UserError, match="languages_per_step is 4, but there are 3"):
        check_languages(LANGUAGES, 4, repeat=False)
