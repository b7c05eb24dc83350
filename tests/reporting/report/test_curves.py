import math

from iglue_plugins.reporting.report.curves import curves_figure

RUN = {
    "train/loss": {5: 1.0, 10: 0.5},
    "train/task_loss": {5: 0.9, 10: 0.4},
    "train/inner_loss_before": {5: 2.0, 10: 1.0},
    "train/inner_loss_after": {5: 1.5, 10: 0.8},
    "train/grad_norm": {5: 3.0},
    "eval/validation": {10: 60.0},
    "eval/test/tr/accuracy": {10: 70.0},
}


def test_panels_and_lines() -> None:
    other = {"train/loss": {5: 2.0, 10: math.nan}}
    figure = curves_figure({"one": [RUN, other], "two": [{"train/loss": {5: 1.0}}], "unlogged": [{}]})
    assert figure is not None
    panels = {axes.get_title(): axes for axes in figure.axes if axes.get_visible()}
    assert list(panels) == ["loss", "task loss", "inner loss, before (dashed) and after", "validation (%)"]
    one, two = panels["loss"].get_lines()
    assert list(one.get_ydata()) == [1.5, 0.5]
    assert two.get_color() != one.get_color()
    assert [line.get_linestyle() for line in panels["inner loss, before (dashed) and after"].get_lines()] == ["--", "-"]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["one", "two"]


def test_rows_of_one_color_have_other_markers() -> None:
    figure = curves_figure({f"row {number}": [RUN] for number in range(8)})
    assert figure is not None
    lines = figure.axes[0].get_lines()
    assert lines[0].get_color() == lines[7].get_color()
    assert lines[0].get_marker() != lines[7].get_marker()


def test_nothing_logged() -> None:
    assert curves_figure({"row": [{}, {"train/grad_norm": {5: 1.0}}]}) is None
