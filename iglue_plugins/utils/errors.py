"""Errors that a user can act on."""

from __future__ import annotations

import difflib
import errno
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from iglue_plugins.utils.lines import say
from iglue_plugins.utils.text import printable

DISK_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS}  # a full or read-only disk


class UserError(Exception):
    """An error that the user can correct: one sentence with the file or key, its value, and the remedy.

    The command line prints the sentence without a traceback and exits with code 2.
    """


@contextmanager
def exit_on_user_error() -> Iterator[None]:
    """Print a `UserError` raised in the block on standard error, in `printable` lines, and exit with code 2.

    Raises:
        SystemExit: The block raised a `UserError`.
    """
    try:
        yield
    except UserError as error:
        lines = map(printable, str(error).split("\n"))
        say("iglue: " + "\n".join(lines))
        raise SystemExit(2) from error


@contextmanager
def explain_write_errors(path: object, only_writes: bool = True) -> Iterator[None]:
    """Turn errors of writing to `path`, from whichever library, into a `UserError`.

    Args:
        path: The file or folder that the block writes to, named in the error.
        only_writes: Whether the block does nothing but write, so that every OSError is an error of writing. If False,
            only the errors of a full or read-only disk are turned into a `UserError`.

    Raises:
        UserError: `path` cannot be written.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        reason = disk_error_reason(error)
        if reason is None and only_writes and isinstance(error, OSError):
            reason = error.strerror
        if reason is None:
            raise
        named = path if only_writes else getattr(error, "filename", None) or path
        raise UserError(
            f"{named}: cannot be written ({reason}); choose a folder that can be written to and has room"
        ) from error


def disk_error_reason(error: Exception) -> str | None:
    """Say why a full or read-only disk made a library fail; libraries in Rust, and PyTorch, have their own messages.

    Args:
        error: The error that a library raised.

    Returns:
        The reason in words, or None if the disk is not the cause.
    """
    rust_code = re.search(r"\(os error (\d+)\)", str(error))
    code = int(rust_code[1]) if rust_code else getattr(error, "errno", None)
    if code in DISK_ERRORS:
        return os.strerror(code)
    if re.search("PytorchStreamWriter failed|unexpected pos|iostream error", str(error)):
        return "a file could not be written to its end"
    return None


def did_you_mean(name: object, choices: Iterable[str]) -> str:
    """Suggest the choice closest to a misspelt name, for the end of an error message.

    Args:
        name: What the user wrote.
        choices: The names that exist.

    Returns:
        "; did you mean 'x'?", or a list of all choices if none is close, or "" if there are no choices.
    """
    choices = sorted(choices)
    matches = difflib.get_close_matches(str(name), choices, n=1, cutoff=0.5)
    if matches:
        return f"; did you mean '{printable(matches[0])}'?"
    return f"; choose from {printable(', '.join(choices))}" if choices else ""


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message."""
    return str(error).strip().partition("\n")[0]
