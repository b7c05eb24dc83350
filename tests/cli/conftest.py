from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from iglue_plugins import cli


@dataclass
class Ended:
    code: int
    out: str
    err: str

    def sentence(self) -> str:
        """The one sentence on standard error, where nothing was printed."""
        assert (self.code, self.out, self.err.count("\n")) == (2, "", 1), self
        return self.err.removeprefix("iglue: ").rstrip("\n")


@pytest.fixture
def iglue(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Ended]:
    """Calls the command line in this process."""

    def call(*arguments: object) -> Ended:
        monkeypatch.setattr(sys, "argv", ["iglue", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return Ended(ended.value.code, *capsys.readouterr())

    return call
