"""iglue checkpoint: what it prints, and one sentence for whatever a user can get wrong."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from iglue_plugins.mini import ASSETS
from iglue_plugins.models.uniter import MODELS


@pytest.fixture
def exported(tiny_checkpoint: Path, iglue: Callable[..., Any], tmp_path: Path) -> Path:
    ended = iglue("checkpoint", "export", tiny_checkpoint, tmp_path / "volta")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.splitlines() == ["no head", str(tmp_path / "volta")]
    return tmp_path / "volta"


def arguments(folder: Path) -> tuple[object, ...]:
    return "checkpoint", "import", "--config", folder / "config.json", "--weights", folder / "pytorch_model.bin"


def test_there_and_back(exported: Path, tiny_checkpoint: Path, iglue: Callable[..., Any], tmp_path: Path) -> None:
    ended = iglue(*arguments(exported), tmp_path / "back")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.splitlines() == ["xuniter, 2 layers, no head", str(tmp_path / "back")]
    weights = "model.safetensors"
    assert (tmp_path / "back" / weights).read_bytes() == (tiny_checkpoint / weights).read_bytes()


def test_heads_and_tokenizers_are_named(exported: Path, iglue: Callable[..., Any], tmp_path: Path) -> None:
    weights = torch.load(exported / "pytorch_model.bin", weights_only=True)
    weights |= {"clfs_dict.TASK19.weight": torch.zeros(3, 16), "clfs_dict.TASK19.bias": torch.zeros(3)}
    torch.save(weights, exported / "pytorch_model.bin")
    (exported / "tokenizer").rename(tmp_path / "words")
    ended = iglue(*arguments(exported), "--task", "TASK19", tmp_path / "plain")
    assert ended.out.splitlines()[0] == "xuniter, 2 layers, head 'classifier' with 3 outputs"
    assert ended.out.splitlines()[1].startswith("without a tokenizer: give --tokenizer")
    assert iglue(*arguments(exported), "--tokenizer", ASSETS / "tokenizer", tmp_path / "made").code == 0
    assert MODELS["xuniter"].from_pretrained(tmp_path / "made").config.head == "classifier"
    ended = iglue("checkpoint", "export", tmp_path / "made", tmp_path / "again", "--task", "26")
    assert ended.out.splitlines()[0] == "the head is clfs_dict.TASK26"


def test_mistakes(exported: Path, iglue: Callable[..., Any], tmp_path: Path) -> None:
    assert "has no head TASK9" in iglue(*arguments(exported), "--task", "9", tmp_path / "out").sentence()
    assert "name a new or empty folder" in iglue(*arguments(exported), exported).sentence()
    assert (
        "neither a run nor a checkpoint" in iglue("checkpoint", "export", tmp_path / "x", tmp_path / "out").sentence()
    )
    (exported / "config.json").write_text('{"vocab_size": 5, "image_embeddings": "lxmert"}')
    assert "image_embeddings is 'lxmert'" in iglue(*arguments(exported), tmp_path / "out").sentence()
    assert not (tmp_path / "out").exists()
