"""Charts that are drawn again only when what they show has changed."""

from dataclasses import replace

import pytest

from iglue_plugins.reporting.chart_files import is_drawn
from iglue_plugins.reporting.comparison import build_comparison
from iglue_plugins.reporting.plots import bar_chart


def test_a_chart_is_of_the_figures_that_it_was_drawn_from(two_rows, tmp_path):
    comparison = build_comparison(two_rows)
    path = tmp_path / "chart.png"
    assert not is_drawn(comparison, path)
    bar_chart(comparison, path)
    assert is_drawn(comparison, path)
    assert is_drawn(build_comparison(two_rows), path)
    other = replace(comparison, rows=tuple(replace(row, label=f"new {row.label}") for row in comparison.rows))
    assert not is_drawn(other, path)


@pytest.mark.parametrize("cut", [0, 5, 30, 100])
def test_a_damaged_chart_is_drawn_anew(two_rows, tmp_path, cut):
    comparison = build_comparison(two_rows)
    path = tmp_path / "chart.png"
    bar_chart(comparison, path)
    path.write_bytes(path.read_bytes()[:cut])
    assert not is_drawn(comparison, path)
