"""docs/your_own_data.md says what is so, and its example runs as printed."""

from __future__ import annotations

import json
import re
import shlex
import sys
from pathlib import Path

import pytest
from PIL import Image

from iglue_plugins import cli
from iglue_plugins.recipes.recipe import load_recipe
from iglue_plugins.tasks.custom.facts import Columns, CustomFacts, SplitNames, read_facts
from iglue_plugins.tasks.custom.kinds import NLI

PAGE = (Path(__file__).parents[3] / "docs" / "your_own_data.md").read_text(encoding="utf-8")
ROWS, FACTS, OUTPUT, RECIPE, OTHER_FACTS = re.findall(r"^```\w*\n(.*?)^```$", PAGE, re.M | re.S)
COMMAND = re.findall(r"^    iglue (data check .*)$", PAGE, re.M)[0]


@pytest.fixture
def example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "my_data"
    (folder / "images").mkdir(parents=True)
    (folder / "data.jsonl").write_text(ROWS, encoding="utf-8")
    (folder / "task.yaml").write_text(FACTS, encoding="utf-8")
    for row in map(json.loads, ROWS.splitlines()):
        Image.new("RGB", (8, 8)).save(folder / "images" / row["image"])
    return folder


def test_the_command(example: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["iglue", *shlex.split(COMMAND)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    captured = capsys.readouterr()
    assert (ended.value.code, captured.err, captured.out) == (0, "", OUTPUT)


def test_the_recipe(example: Path) -> None:
    (example.parent / "recipe.yaml").write_text(RECIPE)
    recipe = load_recipe("recipe.yaml")
    assert (recipe.evaluation.languages, recipe.auxiliary_languages) == (["en", "de"], ["de"])


def test_the_other_yaml_file(tmp_path: Path) -> None:
    (tmp_path / "other.yaml").write_text(OTHER_FACTS)
    assert read_facts(tmp_path / "other.yaml", NLI, "task custom/nli").columns.label == "gold"


def test_every_key_is_in_the_tables() -> None:
    listed = re.findall(r"^\| `(\w+)` \|", PAGE.partition("## task.yaml")[2].partition("## Splits")[0], re.M)
    assert listed == list(CustomFacts.model_fields)
    (columns,), (splits,) = (re.findall(rf"^\| `{key}` \| (.*?) \|", PAGE, re.M) for key in ("columns", "splits"))
    assert re.findall(r"`(\w+)`", columns) == list(Columns.model_fields)
    assert re.findall(r"`(\w+)`", splits) == list(SplitNames.model_fields)
