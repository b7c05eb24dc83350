"""`iglue checkpoint trim`, as a function and from its arguments."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from iglue_plugins import registry
from iglue_plugins.cli.trim import trim
from iglue_plugins.models.trim import load_model
from iglue_plugins.utils.errors import UserError


@pytest.fixture(autouse=True)
def small_task(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        registry.tasks.load("mini/xvnli"), "sizes", dict.fromkeys(("train", "auxiliary", "dev", "test", "unseen"), 8)
    )


def test_it_says_what_it_kept(tiny_checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("panda\npretzel\n")
    app = typer.Typer()
    app.command()(trim)
    ended = CliRunner().invoke(app, [
        str(tiny_checkpoint), str(tmp_path / "out"), "--task", "mini/xvnli", "--languages", "ta, zh,ta",
        "--file", str(tmp_path / "notes.txt")], catch_exceptions=False)  # fmt: skip
    model, tokenizer = load_model(str(tmp_path / "out"))
    rows, parameters = len(tokenizer), model.num_parameters()
    before = parameters + (3574 - rows) * model.config.hidden_size
    assert ended.stdout.splitlines() == [
        f"texts: ta 80, zh 80, {tmp_path}/notes.txt 2",
        "162 texts, all tokenized as before",
        f"vocabulary: {rows} of 3,574 rows",
        f"parameters: {parameters:,} of {before:,}",
        f"weights: {parameters * 4 / 1e6:.1f} of {before * 4 / 1e6:.1f} MB",
        str(tmp_path / "out"),
    ]
    assert rows < 1000


def test_texts_that_change_are_counted(
    tiny_checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "notes.txt").write_text("panda\npanda\npretzel\n")
    trim(str(tiny_checkpoint), tmp_path / "out", file=[tmp_path / "notes.txt"], keep_tokens=1)
    assert capsys.readouterr().out.splitlines()[1] == "3 texts, 1 of them tokenized differently"


def test_what_a_task_lacks_is_said(tiny_checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "datasets" / "XVNLI" / "annotations" / "ar" / "test.jsonl"
    path.parent.mkdir(parents=True)
    path.write_text(
        json.dumps({"pairID": "1", "Flikr30kID": "1.jpg", "sentence1": "a", "sentence2": "b", "gold_label": "neutral"})
    )
    trim(str(tiny_checkpoint), tmp_path / "out", task="xvnli", languages="ar", data_root=str(tmp_path))
    out, err = capsys.readouterr()
    assert out.startswith("texts: ar 2\n")
    assert f"iglue: not counted (no file below {tmp_path}/datasets): dev_translated/ar, few_shot/ar/1, " in err


@pytest.mark.parametrize(("options", "message"), [
    ({}, "there is no text whose words are to be kept"),
    ({"task": "mini/xvnil"}, "there is no task 'mini/xvnil'; did you mean 'mini/xvnli'?"),
    ({"task": "mini/xvnli", "languages": "en,nl"}, "task mini/xvnli has no language 'nl'"),
    ({"task": "mini/xvnli", "data_root": "here"},
     "--data-root: the task mini/xvnli brings its own data"),
    ({"languages": "en", "file": ["notes.txt"]}, "--languages en: "),
    ({"file": ["none.txt"]}, "none.txt: cannot be read (No such file or directory)"),
    ({"file": ["empty.txt"]}, "empty.txt: there are no texts; give at least one"),
])  # fmt: skip
def test_wrong_arguments(
    options: dict[str, object], message: str, tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("notes.txt").write_text("panda")
    Path("empty.txt").touch()
    files = [Path(name) for name in options.pop("file", [])]
    with pytest.raises(UserError) as raised:
        trim(str(tiny_checkpoint), tmp_path / "out", file=files, **options)
    assert str(raised.value).startswith(message)
    assert not (tmp_path / "out").exists()
