"""Model cards: what they say, when they are written, and what does not depend on them."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from huggingface_hub import ModelCard
from made_runs import SCORES, make_run, record

from iglue_plugins.recipes.recipe import load_recipe
from iglue_plugins.runs import runner
from iglue_plugins.runs.archive import export_runs
from iglue_plugins.runs.archive_reading import import_runs
from iglue_plugins.runs.folder import Run
from iglue_plugins.runs.sharing.card import MARKER, make_card, write_card
from iglue_plugins.runs.sharing.public_files import public_files
from iglue_plugins.utils.errors import UserError
from iglue_plugins.utils.files import content_hash


def made(tmp_path: Path, rows: int = 40, **changes: object) -> Run:
    """A run whose examples share images in fours, all right or all wrong."""
    run = make_run(tmp_path, **changes)
    for language, score in SCORES.items():
        right = rows * score / 100
        lines = [
            {"id": f"{i}", "score": float(i < right), "image_ids": [f"image{language}{i // 4}"]} for i in range(rows)
        ]
        run.write_predictions("test", language, lines)
    return run


def table(card: str) -> dict[str, list[str]]:
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in card.splitlines() if line[:1] == "|"]
    return {row[0]: row[1:] for row in rows[2:]}


def test_what_it_says(tmp_path: Path) -> None:
    run = made(tmp_path)
    write_card(run, run.require_record())
    card = ModelCard.load(run.card_path)
    assert card.data.language == ["en", "tr", "de", "ru"]
    assert (card.data.library_name, card.data.metrics, card.data.base_model) == ("iglue_plugins", ["accuracy"], None)
    assert "license" not in card.data.to_dict()
    results = {result.dataset_config: result for result in card.data.eval_results}
    assert {name: result.metric_value for name, result in results.items()} == SCORES
    assert results["de"].dataset_split == "test"
    low, high = results["de"].metric_args["interval_95"]
    assert low < 45 and high > 75  # ten images, not forty examples
    found = table(card.text)
    assert found["en"][:3] == ["source", "40", "80.0"] and found["tr"][:3] == ["auxiliary", "40", "75.0"]
    assert found["de"] == ["target", "40", "60.0", f"[{low:.1f}, {high:.1f}]"]
    assert found["**mean of 2 targets**"][2] == "**55.0**"
    assert f'load_run("{run.folder.name}")' in card.text
    assert "smoke test" not in card.text


@pytest.mark.parametrize(
    ("model", "start", "expected"),
    [
        ({"name": "xuniter", "checkpoint": "org/xuniter"}, None, "org/xuniter"),
        ({"name": "xuniter", "text_weights": "xlm-roberta-base"}, None, "xlm-roberta-base"),
        ({"name": "dual_encoder", "text": "a/text", "vision": "b/vision"}, None, ["a/text", "b/vision"]),
        ({"name": "xuniter", "checkpoint": "/somewhere/xuniter"}, None, None),
        ({"name": "xuniter", "checkpoint": "org/xuniter"}, {"model.name": "xuniter", "model.checkpoint": "o/n"}, "o/n"),
        ({"name": "xuniter", "checkpoint": "org/xuniter"}, {"start_from": "a checkpoint"}, None),
    ],
)
def test_the_base_model(tmp_path: Path, model: dict, start: dict | None, expected: object) -> None:
    recipe = record()["recipe"] | {"model": model}
    before = start and {"path": "/a/b-0", "fingerprint": "1" * 12, "settings": start}
    run = made(tmp_path, recipe=recipe, start_from=before)
    card = ModelCard(make_card(run, run.require_record(), "me/model", is_on_hub=True))
    assert card.data.base_model == expected


def test_names_of_others_are_escaped(tmp_path: Path) -> None:
    settings = {"name": "mini/xuniter", "config": {"x": "```\n<script>alert(1)</script>"}}
    changes = {"trainer": "a|b<img src=x>", "recipe": record()["recipe"] | {"model": settings}}
    run = made(tmp_path, **changes, training_languages=["tr", "[x](http://y)"])
    card = make_card(run, run.require_record(), "me/model")
    metadata, text = card.removeprefix("---\n").split("\n---\n", 1)
    assert yaml.safe_load(metadata)["tags"][-1] == "a|b<img src=x>"
    body, fenced = text.split("```yaml")[0], text.split("```yaml")[1].split("\n```")[0]
    assert r"\<img" in body and not re.search(r"(?<!\\)(<img|\[x)", body)
    assert r"\n<script>" in fenced and "\n<script>" not in fenced


def test_a_run_gets_one_and_a_new_one_with_more_languages(write: Callable[..., Path], tmp_path: Path) -> None:
    run = runner.run(load_recipe(write("tiny", evaluation={"splits": ["dev"], "languages": ["en"]})))
    first = run.card_path.read_text()
    assert list(table(first)) == ["en"] and str(tmp_path) not in first
    weights = content_hash(run.model_dir)
    archive = tmp_path / "runs.tar"
    export_runs([run], archive)
    (imported,), _ = import_runs(archive, tmp_path / "elsewhere")
    assert (imported / "model" / "README.md").read_text() == first

    runner.evaluate(run.folder, languages=["tr", "de"])
    second = run.card_path.read_text()
    assert set(table(second)) == {"en", "tr", "de"} and content_hash(run.model_dir) == weights
    run.card_path.write_text(second.replace(MARKER, "My own words."))
    runner.evaluate(run.folder, languages=["ru"])
    assert "My own words." in run.card_path.read_text() and "| ru |" not in run.card_path.read_text()
    assert runner.run(load_recipe(write("after", start_from=str(run.model_dir)))).require_record()["start_from"][
        "fingerprint"
    ] == content_hash(run.model_dir)


def test_a_smoke_test_says_so(write: Callable[..., Path]) -> None:
    run = runner.run(load_recipe(write("tiny"), ["limit=2"]))
    assert (
        "**This is a smoke test, limited to 2 steps and examples: its scores say nothing" in run.card_path.read_text()
    )


def test_a_record_of_an_early_version(tmp_path: Path) -> None:
    run = made(tmp_path, recipe=None)
    card = make_card(run, run.require_record(), "old")
    assert "A model for the task mini/xvnli" in card and "\nVersions are unknown. Run 000000000000.\n" in card
    with pytest.raises(UserError, match="has no recipe, as in records of early versions"):
        public_files(run, "me/old")


def test_own_words_get_the_licence(tmp_path: Path) -> None:
    run = made(tmp_path)
    run.card_path.write_text("---\nlanguage: tr\n---\n\nMy own words.\n")
    cards = [public_files(run, "me/model", licence=licence).files[0] for licence in (None, "mit")]
    assert [card.name for card in cards] == ["README.md"] * 2
    assert cards[0].content == run.card_path.read_bytes()
    found = ModelCard(cards[1].content.decode())
    assert (found.data.license, found.data.language) == ("mit", "tr") and "My own words." in found.text
    run.card_path.write_text("---\n: [\n---\n")
    with pytest.raises(UserError, match="README.md: its metadata cannot be read"):
        public_files(run, "me/model", licence="mit")


def test_a_card_that_cannot_be_made_costs_no_score(
    write: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    run = runner.run(load_recipe(write("tiny", evaluation={"splits": ["dev"], "languages": ["en"]})))
    before = run.card_path.read_text()
    predictions = run.predictions_path("dev", "en")
    predictions.unlink()
    runner.evaluate(run.folder, languages=["tr"])
    assert list(run.require_record()["scores"]["dev"]) == ["en", "tr"] and run.card_path.read_text() == before
    said = capsys.readouterr().err
    assert f"{run.folder.name}: its model card is not written ({predictions}: cannot be read" in said
    runner.evaluate(run.folder, languages=["en", "tr"])
    assert set(table(run.card_path.read_text())) == {"en", "tr"}


def test_a_run_in_the_working_folder(write: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    run = runner.run(load_recipe(write("tiny", evaluation={"splits": ["dev"], "languages": ["en"]})))
    monkeypatch.chdir(run.folder)
    runner.evaluate(Path(), languages=["tr"])
    card = run.card_path.read_text()
    assert set(table(card)) == {"en", "tr"} and f'load_run("{run.folder.name}")' in card
