"""What rows started from, and the evaluation settings that their scores belong to."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from iglue_plugins.reporting.comparison import build_comparison
from iglue_plugins.reporting.details import details

HITS = {"en": "1100", "ru": "1000"}
RunMaker = Callable[..., Path]


def start(folder: str, fingerprint: str) -> dict[str, str]:
    return {"path": f"/runs/{folder}/model", "fingerprint": fingerprint}


def test_a_row_that_started_from_another_row_names_it_and_one_that_did_not_names_the_run(make_run: RunMaker) -> None:
    english = [make_run("finetune", seed, HITS, fingerprint=f"e{seed}") for seed in (0, 1, 2)]
    same = [make_run("same", seed, HITS, start_from=start(f"finetune-e{seed}", f"e{seed}")) for seed in (0, 1, 2)]
    other = [make_run("other", seed, HITS, start_from=start(f"finetune-f{seed}", f"f{seed}")) for seed in (0, 1, 2)]
    comparison = build_comparison([("finetune", english), ("same", same), ("other", other)])
    assert [row.started_from for row in comparison.rows] == [
        "the model's own weights",
        "row finetune",
        "finetune-f0, finetune-f1 and 1 more",
    ]
    (note,) = [note for note in details(comparison) if note.startswith("Started from")]
    assert all(row.started_from in note for row in comparison.rows)


def test_a_checkpoint_is_named_by_its_path(make_run: RunMaker) -> None:
    run = make_run("finetune", 0, HITS, start_from={"path": "/checkpoints/uc2", "fingerprint": "a"})
    assert build_comparison([("finetune", [run])]).rows[0].started_from == "/checkpoints/uc2"


def test_scores_are_those_of_the_settings_asked_for_or_else_of_the_runs_recipe(make_run: RunMaker) -> None:
    run = make_run("finetune", 0, HITS)
    low = make_run("low", 0, {"en": "0000", "ru": "1111"}, split="test@bfloat16")
    (low / "predictions" / "test@bfloat16").rename(run / "predictions" / "test@bfloat16")
    record, other = (json.loads((folder / "record.json").read_text()) for folder in (run, low))
    record["scores"] |= other["scores"]
    (run / "record.json").write_text(json.dumps(record))

    def mean(scored: str | None) -> float:
        return build_comparison([("row", [run])], scored={"row": scored} if scored else None).rows[0].target_mean.mean

    assert [mean(scored) for scored in (None, "test", "test@bfloat16")] == [25, 25, 100]
    record["recipe"]["evaluation"] = {"precision": "bfloat16"}
    (run / "record.json").write_text(json.dumps(record))
    assert mean(None) == 100
    comparison = build_comparison([("a", [run]), ("b", [run])], scored={"a": "test", "b": "test@bfloat16"})
    assert "Scores are of these evaluation settings: a: test; b: test@bfloat16." in details(comparison)


def test_a_run_of_an_earlier_version_keeps_all_scores_under_the_split(make_run: RunMaker) -> None:
    run = make_run("finetune", 0, HITS, recipe={"evaluation": {"precision": "bfloat16"}})
    assert build_comparison([("finetune", [run])]).rows[0].scored == "test"
