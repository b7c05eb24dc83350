"""What tells a model of the hub, or of a folder, from others of its name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import huggingface_hub
import pytest

from iglue_plugins.models.extraction.sources import pinned_revision, source_name
from iglue_plugins.utils.errors import UserError

COMMITS = {"main": "0" * 39 + "a", "v2": "0" * 39 + "b"}


@pytest.fixture
def hub(tower_folder: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache of the hub with someone/vit, whose branches have one commit each; the hub itself is out of reach."""
    repository = tmp_path / "cache" / "models--someone--vit"
    (repository / "refs").mkdir(parents=True)
    (repository / "snapshots").mkdir()
    folder = tower_folder("vit")
    for branch, commit in COMMITS.items():
        (repository / "refs" / branch).write_text(commit)
        (repository / "snapshots" / commit).symlink_to(folder)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))


@pytest.mark.usefixtures("hub")
def test_a_hub_id_has_the_commit_of_its_branch() -> None:
    assert pinned_revision("someone/vit", None, "--model") == COMMITS["main"]
    assert pinned_revision("someone/vit", "v2", "--model") == COMMITS["v2"]
    assert pinned_revision("someone/vit", COMMITS["v2"], "--model") == COMMITS["v2"]
    assert source_name("someone/vit") == "someone/vit"
    with pytest.raises(UserError, match="--model: no model can be loaded from 'someone/vit'"):
        pinned_revision("someone/vit", "v3", "--model")


def test_a_folder_has_the_hash_of_its_content(tower_folder: Callable[..., Path]) -> None:
    folder = tower_folder("vit")
    before = pinned_revision(str(folder), None, "--model")
    (folder / "notes.txt").write_text("another content")
    assert pinned_revision(str(folder), None, "--model") != before
    assert source_name(str(folder)) == folder.name
    with pytest.raises(UserError, match="the revision 'v2' is of a hub id, but .* is a folder; leave it out"):
        pinned_revision(str(folder), "v2", "--model")
