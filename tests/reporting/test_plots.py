"""The bar chart of a comparison."""

import subprocess
import sys

import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.image import imread

from iglue_plugins.reporting.comparison import build_comparison
from iglue_plugins.reporting.plots import bar_chart


@pytest.fixture
def draw(tmp_path, monkeypatch):
    """Draw a comparison and return the figure that was saved."""
    drawn = []
    save = Figure.savefig

    def remember(figure, *args, **kwargs):
        drawn.append(figure)
        return save(figure, *args, **kwargs)

    monkeypatch.setattr(Figure, "savefig", remember)

    def draw(comparison):
        bar_chart(comparison, tmp_path / "chart.png")
        return drawn[-1]

    return draw


def test_the_file_is_a_png_with_the_rows_colours(two_rows, tmp_path):
    bar_chart(build_comparison(two_rows), tmp_path / "chart.png")
    pixels = imread(tmp_path / "chart.png")
    assert pixels.shape[0] > 400 and pixels.shape[1] > 800
    for colour in ("#0072B2", "#E69F00"):
        assert (abs(pixels[..., :3] - to_rgb(colour)).max(axis=-1) < 0.01).sum() > 1000


def test_bars_are_the_means_with_deviations_and_the_target_mean_last(two_rows, draw):
    axes = draw(build_comparison(two_rows)).axes[0]
    finetune, xvl_maml = (container for container in axes.containers if hasattr(container, "patches"))
    tops = [[bar.get_y() + bar.get_height() for bar in bars.patches] for bars in (finetune, xvl_maml)]
    assert tops == [pytest.approx([87.5, 12.5, 37.5, 30, 33.75]), pytest.approx([0, 100, 87.5, 70, 78.75])]
    ends = finetune.errorbar.lines[2][0].get_segments()[4][:, 1]
    assert ends.tolist() == pytest.approx([33.75 - 1.7677670, 33.75 + 1.7677670])
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["en", "tr", "ar", "ru", "mean"]
    texts = [text.get_text() for text in axes.texts]
    assert texts == ["33.8", "78.8*", "source", "auxiliary", "target languages", "targets"]


def test_groups_stand_apart(two_rows, draw):
    en, tr, ar, ru, mean = draw(build_comparison(two_rows)).axes[0].get_xticks()
    assert tr - en == pytest.approx(ar - tr)
    assert tr - en > 1.5 * (ru - ar)
    assert mean - ru > tr - en


def test_the_axis_says_where_it_starts(make_run, draw):
    run = make_run("finetune", 0, {"en": "1111111110", "ru": "1111111100"})
    figure = draw(build_comparison([("finetune", [run])]))
    assert figure.axes[0].get_ylim()[0] == 70
    assert figure.axes[0].get_ylabel() == "accuracy (%), axis from 70"


def test_title_legend_and_bars_do_not_overlap(two_rows, draw):
    many = [(f"{label}_{index}", runs) for index in range(4) for label, runs in two_rows]
    figure = draw(build_comparison(many))
    figure.canvas.draw()
    axes, legend, heading = figure.axes[0], figure.legends[0].get_window_extent(), figure.get_suptitle()
    assert heading == "mini/xvnli, test split: accuracy (%)"
    assert legend.y1 <= min(text.get_window_extent().y0 for text in axes.texts)
    assert axes.title.get_window_extent().y0 >= max(text.get_window_extent().y1 for text in axes.texts)
    assert figure.texts[0].get_window_extent().y0 >= axes.title.get_window_extent().y1
    assert legend.x0 >= 0 and legend.x1 <= figure.bbox.width
    assert len({(bar.get_facecolor(), bar.get_hatch()) for bar in axes.patches}) == 8


def test_neither_pyplot_nor_torch_is_imported():
    code = "import sys, iglue_plugins.reporting.plots; print({'matplotlib.pyplot', 'torch'} & sys.modules.keys())"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "set()"


@pytest.mark.parametrize("rows", [2, 3, 8])
def test_the_note_on_error_bars_and_stars_fits_into_the_picture(two_rows, draw, rows):
    figure = draw(build_comparison([(f"row_of_a_long_name_{index}", two_rows[index % 2][1]) for index in range(rows)]))
    figure.canvas.draw()
    note = figure.axes[0].title
    assert ("** corrected for all rows too" in " ".join(note.get_text().split())) == (rows > 2)
    assert note.get_text().count("\n") <= 1
    assert note.get_window_extent().x0 >= 0 and note.get_window_extent().x1 <= figure.bbox.width
