"""The languages of a step of episodes, as a function of the seed and the step's number."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from iglue_plugins.utils.errors import UserError


def check_languages(languages: Sequence[str], per_step: int, repeat: bool) -> None:
    """Check that a step takes no more languages than there are.

    Args:
        languages: The languages.
        per_step: The number of languages of a step.
        repeat: Whether a step may take a language several times.

    Raises:
        UserError: It does, and they are not drawn with replacement.
    """
    if per_step > len(languages) and not repeat:
        raise UserError(
            f"trainer.languages_per_step is {per_step}, but there are {len(languages)} auxiliary languages "
            f"({', '.join(languages)}); lower it, or set trainer.repeat_languages: true"
        )


def sample_languages(
    languages: Sequence[str], per_step: int, step: int, seed: int, repeat: bool
) -> list[tuple[str, int]]:
    """Draw the languages of a step.

    Args:
        languages: The languages.
        per_step: The number of languages of a step.
        step: The step's number, from 0.
        seed: The run's seed.
        repeat: Whether a step may take a language several times.

    Returns:
        The languages, each with the number of the step that its examples take.
    """
    if per_step == len(languages) and not repeat:
        return [(language, step) for language in languages]
    sampled = np.random.default_rng((seed, step, 2)).choice(len(languages), per_step, replace=repeat)
    return [(languages[i], step * per_step + turn) for turn, i in enumerate(sampled)]
