"""Progress without a terminal, in lines, and on one, as a bar."""

from __future__ import annotations

import io
import sys

import pytest

from iglue_plugins.utils import progress
from iglue_plugins.utils.progress import LineClock, ProgressLines, label, labelled, progress_bar, start_is_said


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def every_update(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "LINE_SECONDS", 0.0)


def test_lines_say_how_much_is_done_and_left(every_update: None, capsys: pytest.CaptureFixture[str]) -> None:
    with labelled("row (seed 0)"):
        for _ in progress_bar(iterable=range(3), unit=" pictures", desc="store"):
            pass
        with progress_bar(total=4, initial=1, unit="step") as bar:
            bar.set_postfix_str("loss 0.1", refresh=False)
            bar.update()
            bar.refresh()  # nothing is new
            bar.update(2)
    lines = capsys.readouterr().err.splitlines()
    assert [line.rpartition(", ")[0] if line.endswith(" left") else line for line in lines] == [
        "row (seed 0): store: pictures 1 of 3",
        "row (seed 0): store: pictures 2 of 3",
        "row (seed 0): store: pictures 3 of 3",
        "row (seed 0): step 2 of 4, loss 0.1",
        "row (seed 0): step 4 of 4, loss 0.1",
    ]
    assert lines[0].endswith(" s left")


def test_nothing_is_said_before_it_is_time(capsys: pytest.CaptureFixture[str]) -> None:
    for _ in progress_bar(iterable=range(1000)):
        pass
    assert capsys.readouterr().err == ""
    clock = LineClock(0.0)
    assert clock.is_due() and not LineClock(60).is_due()


def test_a_terminal_has_a_bar_and_a_worker_process_nothing(
    every_update: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    bar = progress_bar(iterable=range(2))
    assert not isinstance(bar, ProgressLines) and list(bar) == [0, 1]
    assert "\r" in terminal.getvalue() and "\n" not in terminal.getvalue()
    monkeypatch.undo()
    monkeypatch.setenv(progress.DISABLE_BARS, "1")
    assert list(progress_bar(iterable=range(2))) == [0, 1]
    assert capsys.readouterr() == ("", "")


def test_labels_are_nested_and_end() -> None:
    with labelled("a", start_is_said=True):
        assert start_is_said()
        with labelled("b"):
            assert (label(), start_is_said()) == ("a, b", False)
        assert (label(), start_is_said()) == ("a", True)
    assert label() == ""
