"""Errors that a user can act on."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager


class UserError(Exception):
    """One sentence: which file or key, what was found, what was expected.

    The command line prints it without a traceback and ends with exit code 2.
    """


@contextmanager
def ends_with_a_sentence() -> Iterator[None]:
    """With a UserError within, the process prints its sentence on stderr and ends with exit code 2."""
    try:
        yield
    except UserError as error:
        print(f"iglue: {error}", file=sys.stderr)
        raise SystemExit(2) from error


def nearest(name: object, choices: Iterable[str]) -> str:
    """A clause that names the choice nearest to `name`, or the choices themselves when none is near."""
    choices = sorted(choices)
    matches = difflib.get_close_matches(str(name), choices, n=1, cutoff=0.5)
    if matches:
        return f"; did you mean '{matches[0]}'?"
    return f"; choose from {', '.join(choices)}" if choices else ""
