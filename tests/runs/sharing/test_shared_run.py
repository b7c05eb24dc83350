"""Folders as they come from a hub: loaded from anywhere, and without running or looking up what they name."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tiny_dual_encoders as tiny
from answered_runs import model_section
from fake_hub import Repository, fake_hub
from made_runs import make_run, start_from
from transformers import AutoTokenizer, Dinov2Model, XLMRobertaModel

from iglue_plugins import load_run
from iglue_plugins.mini import ASSETS
from iglue_plugins.recipes.recipe import load_recipe
from iglue_plugins.runs import runner
from iglue_plugins.runs.folder import Run
from iglue_plugins.runs.sharing.download import fetch_run, find_run
from iglue_plugins.runs.sharing.public_files import public_files
from iglue_plugins.runs.sharing.shared_run import SharedRun
from iglue_plugins.utils.errors import UserError

IMAGE, TEXT = "mini/xvnli/dev/0/0", "ördek ve balon"
Change = Callable[[dict[str, Any]], object]


def share(run: Run, folder: Path) -> Path:
    """Writes what a hub would have of a run."""
    for file in public_files(run, "me/model").files:
        path = folder / file.name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(file.content if isinstance(file.content, bytes) else file.content.read_bytes())
    return folder


@pytest.fixture
def run(write: Callable[..., Path]) -> Run:
    return runner.run(load_recipe(write("tiny", evaluation={"splits": ["dev"], "languages": ["en"]})))


@pytest.fixture
def shared(run: Run, tmp_path: Path) -> Path:
    return share(run, tmp_path / "shared")


def change(folder: Path, made: Change) -> None:
    record = json.loads((folder / "record.json").read_text())
    made(record)
    (folder / "record.json").write_text(json.dumps(record))


def pair(tmp_path: Path) -> dict[str, Any]:
    """A text encoder and an image encoder that are made into one model, from folders that others do not have."""
    folders = {key: tmp_path / key for key in ("text", "vision")}
    tokenizer = AutoTokenizer.from_pretrained(ASSETS / "tokenizer")
    XLMRobertaModel(tiny.xlm_roberta_config(len(tokenizer), tokenizer.eos_token_id)).save_pretrained(folders["text"])
    tokenizer.save_pretrained(folders["text"])
    Dinov2Model(tiny.dinov2_config()).save_pretrained(folders["vision"])
    tiny.save_image_processor("xlm-roberta+dinov2", folders["vision"])
    return {"name": "dual_encoder", **{key: str(folder) for key, folder in folders.items()}, "projection_size": 8}


def test_a_folder_is_loaded_and_trained_on_from(run: Run, shared: Path, write: Callable[..., Path]) -> None:
    expected = load_run(run.model_dir)(IMAGE, text=TEXT)
    assert load_run(shared)(IMAGE, text=TEXT).probabilities == pytest.approx(expected.probabilities)
    after = runner.run(load_recipe(write("after", start_from=str(shared))))
    assert after.require_record()["start_from"]["fingerprint"] == run.fingerprint


@pytest.mark.parametrize("name", ["siglip2", "pair", "uc2"])
def test_any_model(name: str, write: Callable[..., Path], tmp_path: Path) -> None:
    model = model_section(name, tmp_path / name) if name in ("siglip2", "uc2") else pair(tmp_path)
    run = runner.run(load_recipe(write("any", model=model, evaluation={"splits": ["dev"], "languages": ["en"]})))
    expected = load_run(run.folder)(IMAGE, text=TEXT)
    folder = share(run, tmp_path / "shared")
    assert not [path for path in folder.rglob("*") if str(tmp_path).encode() in path.read_bytes()]
    for gone in (name, "text", "vision", "runs"):
        shutil.rmtree(tmp_path / gone, ignore_errors=True)
    assert load_run(folder)(IMAGE, text=TEXT).probabilities == pytest.approx(expected.probabilities)


def test_settings_of_the_recipe_are_given_anew(shared: Path) -> None:
    assert load_run(shared, settings=["evaluation.batch_size=7"]).trained.batch_size == 7
    with pytest.raises(UserError, match="no.such"):
        load_run(shared, settings=["task.no.such=1"])


def test_a_record_reads_neither_variables_nor_files(
    shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET", "secret")
    change(shared, lambda record: record["recipe"].update(name="a${SECRET}"))
    with pytest.raises(UserError, match=r"a\$\{SECRET\}") as raised:
        load_run(shared)
    assert "secret" not in str(raised.value)
    (tmp_path / "other.yaml").write_text("seed: 7")
    change(shared, lambda record: record["recipe"].update(name="a", extends=str(tmp_path / "other.yaml")))
    with pytest.raises(UserError, match="extends"):
        load_run(shared)


@pytest.mark.parametrize(
    "made",
    [
        lambda record: record.update(scores=[]),
        lambda record: record.update(scores={"dev": {"en": 3}}),
        lambda record: record.update(training_languages=[["tr"]]),
        lambda record: record.pop("source_language"),
        lambda record: record.pop("fingerprint"),
    ],
)
def test_a_damaged_record_ends_in_a_sentence(shared: Path, made: Change, write: Callable[..., Path]) -> None:
    change(shared, made)
    with pytest.raises(UserError, match="record.json"):
        load_run(shared)
    with pytest.raises(UserError, match="record.json"):
        runner.run(load_recipe(write("after", start_from=str(shared))))


@pytest.mark.parametrize(
    "made",
    [
        lambda record: record.update(recipe="x"),
        lambda record: record["recipe"].update(model=[]),
        lambda record: record["recipe"]["model"].update(name="no/such"),
    ],
)
def test_a_damaged_recipe_ends_in_a_sentence(shared: Path, made: Change) -> None:
    change(shared, made)
    with pytest.raises(UserError):
        load_run(shared)


def test_folders_that_a_record_names_are_not_looked_up(
    shared: Path, tmp_path: Path, write: Callable[..., Path]
) -> None:
    before = make_run(tmp_path, name="secret")
    change(shared, lambda record: record.update(start_from=start_from(before)))
    after = runner.run(load_recipe(write("after", start_from=str(shared))))
    settings = after.require_record()["start_from"]["settings"]
    assert settings["trainer.name"] == "auxiliary_finetune" and "start_from.trainer.name" not in settings
    task = {"name": "xvnli", "data_root": str(tmp_path)}
    change(shared, lambda record: record["recipe"].update(task=task, auxiliary_languages=["ar"]))
    assert SharedRun(shared).recipe().task.settings["data_root"] != str(tmp_path)
    chosen = SharedRun(shared).recipe([f"task.data_root={tmp_path}"])
    assert chosen.task.settings["data_root"] == str(tmp_path)


def test_nothing_that_runs_code_is_fetched(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with fake_hub(monkeypatch, tmp_path / "cache") as hub:
        repository = hub.repositories["them/model"] = Repository(private=False)
        files = {path.name: path.read_bytes() for path in share(run, tmp_path / "shared").iterdir()}
        repository.commit(files | {"pytorch_model.bin": b"x", "modeling.py": b"x", "a/b.pkl": b"x"}, "m", "main")
        found = fetch_run("them/model")
        assert isinstance(found, SharedRun)
        assert {path.name for path in found.folder.rglob("*")} == files.keys() - {"README.md", "recipe.yaml"}


def test_what_a_user_calls_a_run(run: Run, shared: Path, tmp_path: Path) -> None:
    assert find_run(run.folder).folder == find_run(run.model_dir).folder == run.folder
    assert type(find_run(run.folder)) is Run
    assert isinstance(find_run(shared), SharedRun)
    assert not find_run(tmp_path / "nothing").is_finished
