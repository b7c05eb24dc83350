import struct
from pathlib import Path

import pytest
import torch
from reported_runs import log_scalars
from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import masked_crc32c
from torch.utils.tensorboard import SummaryWriter

from iglue_plugins.reporting.report.events import read_scalars

REST = "could not be read to its end; the learning curves lack what it has from there on"


def checked(content: bytes) -> bytes:
    return content + struct.pack("<I", masked_crc32c(content))


def record(content: bytes) -> bytes:
    return checked(struct.pack("<Q", len(content))) + checked(content)


def test_scalars_by_step(tmp_path: Path) -> None:
    log_scalars(tmp_path, {"train/loss": {10: 0.5, 5: 1.0}, "eval/validation": {10: 60.0}})
    found = read_scalars(tmp_path)
    assert list(found["train/loss"].items()) == [(5, 1.0), (10, 0.5)]
    assert found["eval/validation"] == {10: 60.0}


def test_a_resumed_run_has_the_last_word(tmp_path: Path) -> None:
    for number, value in enumerate((3.0, 2.0)):
        log_scalars(tmp_path, {"train/loss": {5: value}})
        (newest,) = (path for path in (tmp_path / "tensorboard").iterdir() if not path.name.startswith("tfevents"))
        newest.rename(newest.with_name(f"tfevents.{number}"))
    assert read_scalars(tmp_path) == {"train/loss": {5: 2.0}}


@pytest.mark.parametrize("damage", ["cut off", "changed", "no event", "too long for memory"])
def test_a_file_that_is_not_read_to_its_end_is_named_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], damage: str
) -> None:
    log_scalars(tmp_path, {"train/loss": dict.fromkeys(range(20), 1.0)})
    (path,) = (tmp_path / "tensorboard").iterdir()
    content = path.read_bytes()
    changed = bytes([*content[:-30], content[-30] ^ 1, *content[-29:]])
    damaged = {
        "cut off": content[:-30],
        "changed": changed,
        "no event": content + record(b"\xff"),
        "too long for memory": content + checked(struct.pack("<Q", 2**63)),
    }
    path.write_bytes(damaged[damage])
    assert 10 < len(read_scalars(tmp_path)["train/loss"]) <= 20
    assert capsys.readouterr().err == f"iglue: {path}: {REST}\n"


def test_files_that_cannot_be_read_at_all(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log_scalars(tmp_path, {"train/loss": {5: 1.0}})
    folder = tmp_path / "tensorboard"
    (folder / "tfevents.text").write_text("no events")
    (folder / "tfevents.folder").mkdir()
    (folder / "tfevents.link").symlink_to(folder / "nowhere")
    assert read_scalars(tmp_path) == {"train/loss": {5: 1.0}}
    names = ("folder", "link", "text")
    assert capsys.readouterr().err == "".join(f"iglue: {folder / f'tfevents.{name}'}: {REST}\n" for name in names)


def test_whole_files_are_read_in_silence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with SummaryWriter(str(tmp_path / "tensorboard")) as writer:
        writer.add_scalar("old", 0.5, 1)
        writer.add_scalar("new", 0.25, 2, new_style=True)
        writer.add_text("note", "a text", 3)
        writer.add_histogram("weights", torch.arange(4.0), 4)
    assert read_scalars(tmp_path) == {"old": {1: 0.5}, "new": {2: 0.25}}
    assert capsys.readouterr().err == ""


def test_a_run_without_logs(tmp_path: Path) -> None:
    assert read_scalars(tmp_path) == {}
