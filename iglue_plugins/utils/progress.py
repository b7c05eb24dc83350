"""What is said of a work's progress on standard error: bars on a terminal, and a line now and then elsewhere."""

from __future__ import annotations

import io
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from tqdm import tqdm
from typing_extensions import override

from iglue_plugins.utils.lines import say
from iglue_plugins.utils.text import duration

DISABLE_BARS = "TQDM_DISABLE"  # the environment variable that silences bars and lines, as in all processes but the main
LINE_SECONDS = 30.0  # between lines

_LABEL: ContextVar[str] = ContextVar("label", default="")
_START_IS_SAID: ContextVar[bool] = ContextVar("start_is_said", default=False)


@contextmanager
def labelled(text: str, start_is_said: bool = False) -> Iterator[None]:
    """Put a text before the lines of the block; a label inside another one follows it.

    Args:
        text: What is worked on, such as "finetune (seed 0)".
        start_is_said: Whether a line has said from where the work of the block starts.

    Yields:
        Nothing.
    """
    outer = _LABEL.get()
    tokens = _LABEL.set(f"{outer}, {text}" if outer else text), _START_IS_SAID.set(start_is_said)
    try:
        yield
    finally:
        _LABEL.reset(tokens[0])
        _START_IS_SAID.reset(tokens[1])


def start_is_said() -> bool:
    """Tell whether a line has said from where the work of the innermost `labelled` starts."""
    return _START_IS_SAID.get()


def label() -> str:
    """Return what `labelled` has put before lines; "" outside of it."""
    return _LABEL.get()


def prints_lines() -> bool:
    """Tell whether progress is said in lines: there is no terminal to draw bars on, and bars are not silenced."""
    return not os.environ.get(DISABLE_BARS) and not (sys.stderr and sys.stderr.isatty())


def print_line(text: str) -> None:
    """Print a line after its label."""
    say(f"{label()}: {text}" if label() else text)


def progress_bar(**options: Any) -> tqdm[Any]:
    """Make a tqdm bar that is erased when it is done; without a terminal, one that prints a line every 30 seconds.

    It is silent where the environment says so, as in worker processes.

    Args:
        **options: Arguments of `tqdm.tqdm`, such as `iterable`, `total`, `desc` and `unit`.

    Returns:
        The bar, to iterate over or to update.
    """
    if prints_lines():
        return ProgressLines(**options)
    return tqdm(leave=False, disable=True if os.environ.get(DISABLE_BARS) else None, **options)


class ProgressLines(tqdm):
    """A tqdm bar that prints lines in the place of a bar.

    Args:
        **options: Arguments of `tqdm.tqdm`.
    """

    monitor_interval = 0  # no thread is needed, since the time is looked at in each update

    def __init__(self, **options: Any) -> None:
        super().__init__(**options, file=io.StringIO(), mininterval=LINE_SECONDS, miniters=0, leave=False)
        self._shown = self.n

    @override
    def display(self, msg: str | None = None, pos: int | None = None) -> None:
        """Print a line, unless nothing was done since the last one, or the bar is being erased."""
        if msg != "" and self.n != getattr(self, "_shown", self.n):
            self._shown = self.n
            print_line(self.line())

    def line(self) -> str:
        """Return what the bar says: how much is done, what `set_postfix_str` was given, and the time left."""
        done = f"{self.unit.strip()} {self.n}" + ("" if self.total is None else f" of {self.total}")
        parts = [f"{self.desc.removesuffix(': ')}: {done}" if self.desc else done, str(self.postfix or "")]
        here, seconds = self.n - self.initial, self.format_dict["elapsed"]
        if self.total is not None and here > 0 and self.n < self.total:
            parts.append(f"{duration((self.total - self.n) * seconds / here)} left")
        return ", ".join(filter(None, parts))


class LineClock:
    """Says when the next line is due.

    Args:
        seconds: The seconds between lines.
    """

    def __init__(self, seconds: float = LINE_SECONDS) -> None:
        self._seconds, self._last = seconds, time.monotonic()

    def is_due(self) -> bool:
        """Tell whether it is time for a line, and start the time to the next one if so."""
        now = time.monotonic()
        if now - self._last < self._seconds:
            return False
        self._last = now
        return True
