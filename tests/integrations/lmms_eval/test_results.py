"""lmms-eval's result files."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator
from functools import reduce
from operator import getitem
from pathlib import Path
from typing import Any

import pytest

from iglue_plugins.reporting.lmms_eval_results import read_results, read_results_of_tasks
from iglue_plugins.utils.errors import UserError

CONTENT = {
    "results": {
        "mini_xvnli": {"accuracy,none": 0.25},
        "mini_xvnli_ar": {"accuracy,none": 0.125},
        "mini_xvnli_tr": {"accuracy,none": 0.375},
        "gqa": {"exact_match,none": 0.5},
    },
    "configs": {
        "mini_xvnli_ar": {"metadata": {"version": 1, "iglue_task": "mini/xvnli", "language": "ar"}},
        "mini_xvnli_tr": {"metadata": {"version": 1, "iglue_task": "mini/xvnli", "language": "tr"}},
        "gqa": {"metadata": [{"version": 0}]},
        "vqa": {},
    },
    "n-samples": {
        "mini_xvnli_ar": {"original": 400, "effective": 8},
        "mini_xvnli_tr": {"original": 400, "effective": 400},
    },
    "config": {"model": "some_vl", "model_args": "pretrained=org/Some-VL-2B"},
    "model_name": "org/Some-VL-2B",
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "20260101_000000_results.json"
    path.write_text(json.dumps(CONTENT))
    return path


def test_a_models_figures_by_language(file: Path) -> None:
    found = read_results(file, "mini/xvnli")
    assert found.languages == {"ar": 12.5, "tr": 37.5}
    assert found.examples == {"ar": 8, "tr": 400}
    assert (found.model, found.checkpoint, found.label) == ("some_vl", "org/Some-VL-2B", "some_vl Some-VL-2B")


def test_a_model_without_a_checkpoint(file: Path) -> None:
    file.write_text(json.dumps(CONTENT | {"model_name": ""}))
    assert read_results(file, "mini/xvnli").label == "some_vl"


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, r"cannot be read (.*).*name a <date>_results.json of lmms-eval$"),
        ("{", r"cannot be read (.*).*name a <date>_results.json of lmms-eval$"),
        ("[]", "has no results, configs, n-samples, config.*name a <date>_results.json of lmms-eval$"),
        (json.dumps(CONTENT | {"n-samples": {}}), "has no 'mini_xvnli_ar'"),
        (
            json.dumps(CONTENT | {"configs": {}}),
            "has results of no task of iglue_plugins, but the rows are of task mini/xvnli",
        ),
    ],
)
def test_files_that_are_not_results_of_lmms_eval(file: Path, content: str | None, sentence: str) -> None:
    file.write_text(content) if content else file.unlink()
    with pytest.raises(UserError, match=f"^{re.escape(str(file))}: {sentence}"):
        read_results(file, "mini/xvnli")


def places(content: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yields the path of every value in nested mappings and lists."""
    for key in content if isinstance(content, dict) else range(len(content)) if isinstance(content, list) else ():
        yield (*above, key)
        yield from places(content[key], (*above, key))


@pytest.mark.parametrize("damage", [None, "N/A", [], {}, float("nan"), -1, 1e9], ids=str)
def test_damage_is_a_user_error_or_does_not_matter(file: Path, damage: Any) -> None:
    for place in places(CONTENT):
        content = json.loads(json.dumps(CONTENT))
        reduce(getitem, place[:-1], content)[place[-1]] = damage
        file.write_text(json.dumps(content))
        with contextlib.suppress(UserError):
            (found,) = read_results_of_tasks([file], ["mini/xvnli"])["mini/xvnli"]
            assert set(found.languages.values()) <= {12.5, 37.5}, place
            assert found.languages.keys() <= {"ar", "tr", "N/A"}, place
            assert found.label in ("some_vl Some-VL-2B", "some_vl", "N/A Some-VL-2B", "some_vl A"), place


def test_a_file_has_results_of_some_of_several_tasks(file: Path) -> None:
    found = read_results_of_tasks([file, file], ["xgqa", "mini/xvnli"])
    assert found["xgqa"] == [] and found["mini/xvnli"] == [read_results(file, "mini/xvnli")] * 2
    with pytest.raises(UserError, match="has results of mini/xvnli, but the rows are of task xgqa"):
        read_results_of_tasks([file], ["xgqa", "marvl"])


def test_results_of_another_task(file: Path) -> None:
    with pytest.raises(UserError, match="has results of mini/xvnli, but the rows are of task xgqa"):
        read_results(file, "xgqa")
