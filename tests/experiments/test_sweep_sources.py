"""Sweeps over source languages: a matrix for each source, and a table of all."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from iglue_plugins.experiments import axes, sweep
from iglue_plugins.experiments.launcher import Launch
from iglue_plugins.utils.errors import UserError

ROW = {"evaluation": {"splits": ["dev"], "languages": ["en", "tr", "de", "sw"]}}


def combined(path: Path, *over: str) -> list[sweep.Combination]:
    return sweep.combine(path, [axes.parse_axis(text) for text in over], [0], [])


def test_an_auxiliary_language_is_never_a_source(write: Callable[..., Path], capsys: pytest.CaptureFixture) -> None:
    write("before", trainer={"name": "finetune", "steps": 1, "batch_size": 8})
    row = write("row", start_from="before.yaml", **ROW)
    combinations = combined(row, "source_language=en,tr,en+de", "auxiliary_languages=tr,de+sw")
    assert [(each.source, each.label, each.recipes[0].name) for each in combinations] == [
        ("en", "tr", "row_en_tr"),
        ("en", "de+sw", "row_en_de+sw"),
        ("tr", "de+sw", "row_tr_de+sw"),
        ("en+de", "tr", "row_en+de_tr"),
    ]
    recipe = combinations[3].recipes[0]
    before = recipe.previous()
    assert before is not None and before.source_languages == recipe.source_languages == ("en", "de")
    assert capsys.readouterr().err == (
        "iglue: left out, since an auxiliary language is a source: tr, tr; en+de, de+sw\n"
    )
    with pytest.raises(UserError, match=r"^--over: every auxiliary language is a source language \(tr, tr\); name"):
        combined(row, "source_language=tr", "auxiliary_languages=tr")
    with pytest.raises(UserError, match=r"^--over source_language: 'de\+en' is the same as 'en\+de'"):
        combined(row, "source_language=en+de,de+en")


@pytest.mark.parametrize("over", [["auxiliary_languages=de,sw"], []])
def test_every_source_has_its_matrix_and_its_baseline(
    over: list[str], write: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    trainer = {"name": "xvl_maml", "steps": 1, "support_size": 4, "query_size": 4}
    write("before", trainer={"name": "finetune", "steps": 1, "batch_size": 8}, **ROW)
    row = write("row", start_from="before.yaml", trainer=trainer, auxiliary_languages=["de"], **ROW)
    output = tmp_path / "out"
    sweep.sweep(row, ["source_language=en,tr", *over], [0], "dev", [], output, Launch())
    printed = capsys.readouterr().out
    assert sorted(path.name for path in output.iterdir()) == [
        "source-en", "source-tr", "sources.csv", "sources.md", "sources.png",
    ]  # fmt: skip
    for source in ("en", "tr"):
        text = (output / f"source-{source}" / "matrix.md").read_text()
        assert f"{source} (source)" in text and "| before |" in text
    assert "by source: differences to the stage before" in printed
    sources = (output / "sources.md").read_text()
    assert ("| de |" in sources and "| sw |" in sources) if over else "| row |" in sources
    assert len(list((tmp_path / "runs").glob("before-*"))) == 2
