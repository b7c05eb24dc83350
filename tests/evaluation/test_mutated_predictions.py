"""Files of predictions with mutations: refused in a line, or read without dropping an entry, and scored."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mutations import json_text, mutated_bytes, mutated_value, read_or_refuse

from iglue_plugins.evaluation.answers import GoldAnswers
from iglue_plugins.evaluation.prediction_files import read_predictions
from iglue_plugins.evaluation.scoring import score

IDS = tuple("12345")
GOLD = {
    "labels": GoldAnswers("xvnli", "fr", "test", dict.fromkeys(IDS, "no"), ("no", "yes")),
    "words": GoldAnswers("xgqa", "fr", "test", dict.fromkeys(IDS, "no"), None),
    "images": GoldAnswers(
        "xflickrco", "fr", "test", {id_: f"i{id_}" for id_ in IDS}, tuple(f"i{n}" for n in IDS), True
    ),
}
FORMS: dict[str, list[Any]] = {
    "VOLTA's": [{"questionId": id_, "prediction": "no"} for id_ in IDS],
    "of a run": [{"id": id_, "prediction": "no", "label": "no", "score": 1.0} for id_ in IDS],
    "rankings": [[number, (number + 1) % 5] for number in range(5)],
    "rankings of a run": [{"id": id_, "prediction": [f"i{id_}"], "label": f"i{id_}", "score": 0.5} for id_ in IDS],
}


def entries_in(content: bytes) -> int:
    text = content.decode("utf-8-sig")
    if text.lstrip().startswith("["):
        return len(json.loads(text))
    return sum(bool(line.strip()) for line in text.split("\n"))


@pytest.mark.parametrize("as_lines", [False, True])
@pytest.mark.parametrize("form", FORMS)
@given(data=st.data())
def test_mutated_predictions(form: str, as_lines: bool, data: st.DataObject, tmp_path: Path) -> None:
    entries, path = FORMS[form], tmp_path / "predictions"
    lines = [json.dumps(entry).encode() for entry in entries]
    if as_lines:
        number = data.draw(st.integers(0, len(entries) - 1))
        line = mutated_value(entries[number]).flatmap(json_text)
        values = line.map(lambda changed: b"\n".join([*lines[:number], changed, *lines[number + 1 :]]))
    else:
        values = mutated_value(entries).flatmap(json_text)
    whole = b"\n".join(lines) if as_lines else json.dumps(entries).encode()
    content = data.draw(st.one_of(mutated_bytes(whole), values))
    path.write_bytes(content)
    predictions = read_or_refuse(lambda: read_predictions(path))
    if predictions is None:
        return
    assert len(predictions) == entries_in(content)
    for gold in GOLD.values():
        for allow_missing in (False, True):
            scores = read_or_refuse(partial(score, path, predictions, gold, allow_missing))
            if scores is not None:
                assert scores.examples - scores.missing + scores.extra == len(predictions)
                assert all(0 <= metric <= 100 for metric in scores.metrics.values())
