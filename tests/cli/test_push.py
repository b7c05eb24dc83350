"""`iglue push`, and runs that come back from a hub by `load_run`, `iglue predict` and `start_from`."""

from __future__ import annotations

import json
import platform
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fake_hub import FakeHub, fake_hub
from huggingface_hub import ModelCard, constants
from made_runs import make_run

from iglue_plugins import load_run
from iglue_plugins.recipes.recipe import load_recipe
from iglue_plugins.runs import runner
from iglue_plugins.runs.folder import Run
from iglue_plugins.utils.errors import UserError

# huggingface_hub sends files of LFS by an option that its HTTP client has deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")

Iglue = Callable[..., Any]
IMAGE, TEXT = "mini/xvnli/dev/0/0", "ördek ve balon"


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FakeHub]:
    with fake_hub(monkeypatch, tmp_path / "cache") as hub:
        yield hub


@pytest.fixture
def run(write: Callable[..., Path]) -> Run:
    """A run of a tiny xUNITER from a local folder."""
    return runner.run(load_recipe(write("tiny", evaluation={"splits": ["dev"], "languages": ["en", "tr"]})))


def test_a_run_comes_back_from_the_hub(iglue: Iglue, run: Run, hub: FakeHub, write: Callable[..., Path]) -> None:
    expected = load_run(run.folder)(IMAGE, text=TEXT)
    ended = iglue("push", run.folder, "me/tiny", "--license", "cc-by-4.0", "--message", "the first one")
    assert ended.code == 0, ended.err
    repository = hub.repositories["me/tiny"]
    assert ended.out.splitlines()[-1] == f"{hub.url}/me/tiny/commit/{repository.branches['main']}"
    assert (repository.private, repository.messages[-1]) == (False, "the first one")
    assert {"README.md", "record.json", "recipe.yaml", "model.safetensors", "tokenizer.json"} <= repository.files.keys()
    assert not [name for name in repository.files if name.startswith((".", "predictions"))]
    card = ModelCard(repository.files["README.md"].decode())
    assert (card.data.license, card.data.model_name) == ("cc-by-4.0", "me/tiny")
    assert 'load_run("me/tiny")' in card.text and "start_from: hf://me/tiny" in card.text

    assert load_run("me/tiny")(IMAGE, text=TEXT).probabilities == pytest.approx(expected.probabilities)
    asked = iglue("predict", "me/tiny", "--image", IMAGE, "--text", TEXT, "--language", "tr", "--json")
    assert json.loads(asked.out)["label"] == expected.label
    assert "in 'tr' the run has accuracy" in asked.err

    trained = {"name": "finetune", "steps": 1, "batch_size": 4}
    after = runner.run(load_recipe(write("after", start_from="hf://me/tiny@main", trainer=trained)))
    record = after.require_record()
    assert record["start_from"]["fingerprint"] == run.fingerprint
    assert record["training_languages"] == ["tr"]
    assert ModelCard.load(after.card_path).data.base_model == "me/tiny"


def test_nothing_private_leaves(
    iglue: Iglue, write: Callable[..., Path], tmp_path: Path, hub: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform, "node", lambda: "secret-host")
    monkeypatch.setattr(sys, "argv", ["iglue", "run", "secret-recipe.yaml"])
    before = runner.run(load_recipe(write("before")))
    recipe = load_recipe(write("after", start_from=str(before.folder)), [f"start_from_settings=[runs={tmp_path}]"])
    run = runner.run(recipe)
    config = run.model_dir / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"_name_or_path": str(tmp_path / "secret")}))
    (run.model_dir / "pytorch_model.bin").write_bytes(b"a pickle")
    (run.folder / "checkpoints").mkdir()
    said = iglue("push", run.folder, "me/private", "--private").out
    assert "stays here: model/pytorch_model.bin, which could run code when it is read\n" in said
    assert "stays here: the predictions, which have the texts of the data (--with-predictions)\n" in said
    assert "stays here: checkpoints/\n" in said
    repository = hub.repositories["me/private"]
    assert repository.private
    for name, content in repository.files.items():
        for private in (str(tmp_path), "secret", "iglue run"):
            assert private.encode() not in content, name
    assert "pytorch_model.bin" not in repository.files
    assert run.require_record()["processes"][0]["host"] == "secret-host"
    record = json.loads(repository.files["record.json"])
    assert record["start_from"]["path"] == before.folder.name
    assert record["processes"][0].keys() == {"date", "device", "processes", "versions", "commits"}
    assert load_run("me/private").recipe.model.settings["checkpoint"].startswith(str(tmp_path / "cache"))


def test_a_branch_and_its_revision(iglue: Iglue, run: Run, hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    assert iglue("push", run.folder, "me/tiny", "--branch", "second", "--with-predictions").code == 0
    assert hub.repositories["me/tiny"].files == {}
    sent = hub.repositories["me/tiny"].commits[hub.repositories["me/tiny"].branches["second"]]
    assert sent["predictions/dev/tr.jsonl"] == run.predictions_path("dev", "tr").read_bytes()
    with pytest.raises(UserError, match="^me/tiny: has no record.json, so that `iglue push` has not made it"):
        load_run("me/tiny")
    assert load_run("me/tiny", revision="second").run.require_record()["name"] == "tiny"
    with pytest.raises(UserError, match="^me/tiny: there is no such folder, and no such model .* from the hub"):
        load_run("me/tiny", revision="third")
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    assert load_run("me/tiny", revision="second").run.require_record()["name"] == "tiny"  # of the cache
    with pytest.raises(UserError, match="^me/other: there is no such folder, and no such model"):
        load_run("me/other")
    with pytest.raises(UserError, match="the revision 'main' is of a hub id, but .* is none"):
        load_run(run.folder, revision="main")


def test_a_dry_run_needs_no_network(iglue: Iglue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.delenv("HF_TOKEN", raising=False)
    run = make_run(tmp_path)
    lines = iglue("push", run.folder, "me/tiny", "--dry-run", "--private", "--branch", "b").out.splitlines()
    assert "model.safetensors: 700 bytes" in lines and lines[-1] == "nothing was sent"
    assert any(line.startswith("5 files, ") and line.endswith(" to me/tiny, branch b: private") for line in lines)
    assert not run.card_path.exists()
    assert "HF_HUB_OFFLINE is set" in iglue("push", run.folder, "me/tiny").err


@pytest.mark.parametrize(
    ("hub_id", "sentence"),
    [
        ("you/tiny", "you/tiny: the hub refuses your token (HTTP 403); see that it may write"),
        ("tiny", "'tiny' is no hub id; name it as OWNER/NAME"),
        ("a/b/c", "'a/b/c' is no hub id ("),
        ("me/public", "me/public: is there already and public, so nothing was sent"),
    ],
)
def test_a_repository_that_is_refused(iglue: Iglue, tmp_path: Path, hub: FakeHub, hub_id: str, sentence: str) -> None:
    run = make_run(tmp_path)
    assert iglue("push", run.folder, "me/public").code == 0
    before = hub.repositories["me/public"].commits.copy()
    ended = iglue("push", run.folder, hub_id, "--private", "--message", "again")
    assert (ended.code, ended.err.startswith(f"iglue: {sentence}"), ended.err.count("\n")) == (2, True, 1), ended.err
    assert hub.repositories.keys() == {"me/public"} and hub.repositories["me/public"].commits == before


def test_no_token_and_no_hub(iglue: Iglue, tmp_path: Path, hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_run(tmp_path)
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    assert "http://127.0.0.1:9 cannot be reached" in iglue("push", run.folder, "me/tiny").err
    monkeypatch.delenv("HF_TOKEN")
    assert "there is no token for the hub; log in by `hf auth login`" in iglue("push", run.folder, "me/tiny").err
    assert hub.repositories == {}


def test_runs_that_are_not_shared(iglue: Iglue, tmp_path: Path) -> None:
    smoke = make_run(tmp_path, "smoke", "1" * 12, limit=5)
    assert "is a smoke test, limited to 5 steps" in iglue("push", smoke.folder, "me/x", "--dry-run").sentence()
    unfinished = make_run(tmp_path, "unfinished", "2" * 12)
    unfinished.record_path.unlink()
    assert "has no record.json" in iglue("push", unfinished.folder, "me/x", "--dry-run").sentence()
    without = make_run(tmp_path, "without", "3" * 12, trainer="few_shot")
    for path in without.model_dir.iterdir():
        path.unlink()
    without.model_dir.rmdir()
    assert "keeps no model, since its trainer adapts" in iglue("push", without.folder, "me/x", "--dry-run").sentence()
