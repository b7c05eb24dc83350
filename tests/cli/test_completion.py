"""Versions, and completion by a shell."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from iglue_plugins import cli


def iglue(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "iglue_plugins", *arguments],
        env=os.environ | {"PYTHONPATH": str(Path(cli.__file__).parents[2])} | environment,
        capture_output=True,
        text=True,
    )


def test_versions() -> None:
    program = "import sys\nfrom iglue_plugins.cli import main\nsys.argv = ['iglue', '--version']\ntry:\n    main()\n"
    program += "finally:\n    print({'torch', 'pydantic'} & sys.modules.keys())\n"
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    versions, imported = ended.stdout.splitlines()
    torch = importlib.metadata.version("torch")
    assert versions.endswith(f", Python {platform.python_version()}, torch {torch}")
    assert versions.startswith("iglue_plugins ") and imported == "set()"


@pytest.mark.parametrize(
    ("words", "completed"),
    [
        ("iglue ru", {"run", "runs"}),
        ("iglue runs ", {"list", "show", "rm", "export", "import"}),
        ("iglue runs rm --y", {"--yes"}),
        ("iglue runs --st", {"--state"}),
        ("iglue runs folder --st", {"--state"}),
        ("iglue run --dry", {"--dry-run"}),
        ("iglue data ch", {"check"}),
    ],
)
def test_commands_and_options_are_completed(words: str, completed: set[str]) -> None:
    ended = iglue(_IGLUE_COMPLETE="complete_bash", COMP_WORDS=words, COMP_CWORD=str(len(words.split(" ")) - 1))
    assert (set(ended.stdout.split()), ended.stderr) == (completed, "")


def test_the_script_that_is_installed_is_the_one_that_is_shown(tmp_path: Path) -> None:
    shown = iglue("--show-completion", "bash", _TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION="1")
    assert shown.returncode == 0 and "complete -o default -F _iglue_completion iglue" in shown.stdout
    installed = iglue(
        "--install-completion", "bash", _TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION="1", HOME=str(tmp_path)
    )
    assert installed.returncode == 0, installed.stderr
    assert (tmp_path / ".bash_completions" / "iglue.sh").read_text().strip() == shown.stdout.strip()
    assert "iglue.sh" in (tmp_path / ".bashrc").read_text()


def test_a_home_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    ended = iglue(
        "--install-completion", "bash", _TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION="1", HOME=str(tmp_path / "file")
    )
    assert ended.returncode == 2
    assert ended.stderr.startswith("iglue: the completion of the shell: cannot be written (")


def test_usage_names_the_command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["/somewhere/__main__.py", "run", "--help"])
    with pytest.raises(SystemExit):
        cli.main()
    assert capsys.readouterr().out.startswith("Usage: iglue run ")
