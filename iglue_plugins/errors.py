"""Errors that a user can act on."""

from __future__ import annotations

import difflib
import errno
import os
import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

DISK_TROUBLE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS}  # a full disk, and one that is only read


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


@contextmanager
def writing(path: object, alone: bool = True) -> Iterator[None]:
    """Of a block that writes to `path`: what keeps it from that becomes a UserError, whichever library met it.

    alone: the block does nothing else, so that any OSError is meant; otherwise those of a full or read-only disk are.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        reason = disk_trouble(error) or (error.strerror if alone and isinstance(error, OSError) else None)
        if reason is None:
            raise
        named = path if alone else getattr(error, "filename", None) or path
        raise UserError(f"{named}: cannot be written ({reason}), expected a folder to write in, with room for it"
                        ) from error


def disk_trouble(error: Exception) -> str | None:
    """What is wrong with the disk, if an error says that; libraries in Rust, and PyTorch, say it in their own words."""
    in_rust = re.search(r"\(os error (\d+)\)", str(error))
    number = int(in_rust[1]) if in_rust else getattr(error, "errno", None)
    if number in DISK_TROUBLE:
        return os.strerror(number)
    of_torch = re.search("PytorchStreamWriter failed|unexpected pos|iostream error", str(error))
    return "a file could not be written to its end" if of_torch else None


def nearest(name: object, choices: Iterable[str]) -> str:
    """A clause that names the choice nearest to `name`, or the choices themselves when none is near."""
    choices = sorted(choices)
    matches = difflib.get_close_matches(str(name), choices, n=1, cutoff=0.5)
    if matches:
        return f"; did you mean '{matches[0]}'?"
    return f"; choose from {', '.join(choices)}" if choices else ""
