from __future__ import annotations

from pathlib import Path

from reported_runs import label_line, make_reported_run

from iglue_plugins.reporting.report.sweeps import find_sweep
from iglue_plugins.reporting.results import read_rows

LANGUAGES = ("en", "tr", "ar", "zh")


def run(folder: Path, name: str, auxiliary: list[str], right: range, **changes: object) -> list[Path]:
    lines = {language: [label_line(language, place, place in right) for place in range(8)] for language in LANGUAGES}
    return [make_reported_run(folder, name, 0, lines, auxiliary=auxiliary, **changes)]


def test_rows_that_differ_in_their_languages_are_a_sweep(tmp_path: Path) -> None:
    first = run(tmp_path, "finetune", [], range(2))
    start = {"fingerprint": first[0].name.rpartition("-")[2], "path": str(first[0] / "model"), "settings": {}}
    rows = [("finetune", first)]
    for number, language in enumerate(("tr", "ar", "zh")):
        rows.append(
            (f"on {language}", run(tmp_path, f"xvl_{language}", [language], range(3 + number), start_from=start))
        )
    matrix = find_sweep(read_rows(rows, "test"), "test", 1.0)
    assert matrix is not None
    assert [row.label for row in matrix.all_rows] == ["finetune", "tr", "ar", "zh"]
    assert (matrix.baseline, matrix.best, matrix.common) == (matrix.all_rows[0], "zh", ())
    assert matrix.margin == 1.0


def test_rows_that_differ_in_more_are_none(tmp_path: Path) -> None:
    rows = [
        ("finetune", run(tmp_path, "finetune", [], range(2))),
        ("tr", run(tmp_path, "xvl_tr", ["tr"], range(3))),
        ("ar", run(tmp_path, "xvl_ar", ["ar"], range(4), recipe={"task": {"name": "mini/xvnli"}, "more": 1})),
    ]
    assert find_sweep(read_rows(rows, "test"), "test", None) is None
