"""Languages as recipes and records have them: one code, or a list of several."""

from __future__ import annotations

from collections.abc import Sequence

JOIN = "+"  # between languages that are trained on together


def language_tuple(languages: str | Sequence[str]) -> tuple[str, ...]:
    """Return the languages of a value that may be one code.

    Args:
        languages: A language's code, or several.

    Returns:
        The codes, in their order.
    """
    return (languages,) if isinstance(languages, str) else tuple(languages)
