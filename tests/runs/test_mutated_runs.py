"""Records and predictions of a run with mutations: refused in a line, or read without dropping a line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mutations import json_text, mutated_bytes, mutated_value, read_or_refuse, scratch_folder

from iglue_plugins.reporting.results import read_result
from iglue_plugins.runs.folder import Run

ROWS = [{"id": f"{n}", "prediction": "да", "label": "да", "score": float(n % 2)} for n in range(4)]
RECORD = {
    "name": "row",
    "fingerprint": "0123456789ab",
    "seed": 0,
    "task": "mini/xvnli",
    "trainer": "finetune",
    "source_language": "en",
    "training_languages": ["en"],
    "labels_per_step": 8,
    "steps": 2,
    "main_metric": "accuracy",
    "start_from": None,
    "recipe": {"task": {"name": "mini/xvnli"}, "trainer": {"name": "finetune"}},
    "scores": {"test": {"en": {"accuracy": 50.0, "examples": 4}, "tr": {"accuracy": 50.0, "examples": 4}}},
    "timings": {},
}


def finished_run(folder: Path) -> Run:
    run = Run(folder)
    run.write_record(RECORD)
    run.write_partial_record(RECORD)
    for language in ("en", "tr"):
        run.write_predictions("test", language, ROWS)
    return run


@pytest.mark.parametrize("name", ["record.json", "draft.json"])
@given(data=st.data())
def test_a_mutated_record(name: str, data: st.DataObject, tmp_path: Path) -> None:
    whole = {**RECORD, "format": 1}
    content = data.draw(st.one_of(mutated_bytes(json.dumps(whole, indent=1).encode()), _value_of(whole)))
    with scratch_folder(tmp_path) as folder:
        run = finished_run(folder)
        (folder / name).write_bytes(content)
        for read in (run.record, run.require_record, run.latest_record):
            found = read_or_refuse(read)
            assert found is None or found["format"] == 1
        result = read_or_refuse(lambda: read_result(folder, "test"))
        if result is not None:
            recorded = result.record["scores"]["test"]
            assert result.metric == {language: scores["accuracy"] for language, scores in recorded.items()}


def _value_of(record: dict) -> st.SearchStrategy[bytes]:
    return mutated_value(record).flatmap(json_text)


@given(data=st.data())
def test_mutated_predictions(data: st.DataObject, tmp_path: Path) -> None:
    lines = [json.dumps(row, ensure_ascii=False).encode() for row in ROWS]
    number = data.draw(st.integers(0, len(ROWS) - 1))
    changed = mutated_value(ROWS[number]).flatmap(json_text)
    values = changed.map(lambda line: b"\n".join([*lines[:number], line, *lines[number + 1 :], b""]))
    content = data.draw(st.one_of(mutated_bytes(b"\n".join([*lines, b""])), values))
    with scratch_folder(tmp_path) as folder:
        run = finished_run(folder)
        run.predictions_path("test", "tr").write_bytes(content)
        rows = read_or_refuse(lambda: run.read_predictions("test", "tr"))
        if rows is not None:
            assert len(rows) == content.count(b"\n")
            assert all(isinstance(row, dict) for row in rows)
        result = read_or_refuse(lambda: read_result(folder, "test"))
        assert result is None or [len(ids) for ids in result.example_ids.values()] == [4, 4]
        assert run.read_predictions("test", "en") == ROWS
