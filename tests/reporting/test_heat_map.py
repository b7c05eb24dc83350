"""The heat map of a matrix."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread

from iglue_plugins.evaluation.significance import Difference
from iglue_plugins.reporting.clustering import DrawnClusters
from iglue_plugins.reporting.heat_map import heat_map
from iglue_plugins.reporting.matrix import Matrix, MatrixRow, SweepRow, build_matrix
from iglue_plugins.reporting.scores import Score

IGLUE_LANGUAGES = "en ar bn de es fr id ja ko pt ru sw ta tr zh".split()


def score(mean: float) -> Score:
    return Score(mean, None, (mean,))


def row(label: str, means: dict[str, float], trained_on: tuple[str, ...], interval: Difference | None) -> MatrixRow:
    unseen = tuple(language for language in means if language not in ("en", *trained_on))
    mean = score(sum(means[language] for language in unseen) / len(unseen))
    languages = {language: score(value) for language, value in means.items()}
    values = {"auxiliary_languages": label}
    return MatrixRow(label, values, ("runs/x",), languages, trained_on, unseen, mean, None, interval)


def difference(points: float) -> Difference:
    """Gives a difference of 14 rows with an interval of 2 points to each side, corrected 3.5 points."""
    own, corrected, inner = ((points - half, points + half) for half in (2.0, 3.5, 1.7))
    return Difference(points, *own, *corrected, *inner, 1.0, compared=14)


def square(with_baseline: bool) -> Matrix:
    """Gives a matrix of 14 auxiliary languages and 15 columns, with or without a baseline."""
    base = {language: 50.0 + index for index, language in enumerate(IGLUE_LANGUAGES)}
    rows = []
    for number, auxiliary in enumerate(IGLUE_LANGUAGES[1:]):
        means = {language: value + (number * index) % 13 - 5 for index, (language, value) in enumerate(base.items())}
        interval = difference(number - 4.0) if with_baseline else None
        rows.append(row(auxiliary, means, (auxiliary,), interval))
    before = row("finetune", base, (), None) if with_baseline else None
    return Matrix(
        "mini/xvnli",
        "test",
        "accuracy",
        ("en",),
        tuple(IGLUE_LANGUAGES[1:]),
        (),
        (0,),
        ("auxiliary_languages",),
        before,
        tuple(rows),
        "ar",
        (),
        DrawnClusters("images", 400, 400.0, 0.0025, ()),
    )


@dataclass(frozen=True)
class Drawn:
    matrix: Matrix
    figure: Figure
    path: Path


@pytest.fixture(scope="module")
def draw(tmp_path_factory: pytest.TempPathFactory) -> Callable[[bool], Drawn]:
    """Gives a function that draws a matrix with or without a baseline once, and returns the figure."""

    @cache
    def call(with_baseline: bool) -> Drawn:
        matrix, path = square(with_baseline), tmp_path_factory.mktemp("drawn") / "matrix.png"
        with pytest.MonkeyPatch.context() as patch:
            kept: list[Figure] = []
            save = Figure.savefig
            patch.setattr(
                Figure, "savefig", lambda figure, *args, **kwargs: (kept.append(figure), save(figure, *args, **kwargs))
            )
            heat_map(matrix, path)
        return Drawn(matrix, kept[0], path)

    return call


def cells(figure: Figure) -> dict[tuple[str, str], str]:
    """Returns the numbers in cells, by row label and column name."""
    axes = figure.axes[0]
    columns = dict(zip(axes.get_xticks(), (tick.get_text() for tick in axes.get_xticklabels()), strict=True))
    rows = dict(zip(axes.get_yticks(), (tick.get_text() for tick in axes.get_yticklabels()), strict=True))
    return {(rows[y], columns[x]): text.get_text() for text in axes.texts for x, y in [text.get_position()]}


def test_differences_with_the_baselines_scores_above(draw: Callable[[bool], Drawn]) -> None:
    drawn = draw(True)
    found = cells(drawn.figure)
    assert len(found) == 15 * 16
    assert (found["finetune", "ar"], found["finetune", "mean"]) == ("51.0", "57.5")
    assert (found["bn", "ar"], found["bn", "bn"], found["zh", "sw"]) == ("-4.0", "-3.0", "-5.0")
    assert (found["ar", "mean"], found["id", "mean"], found["ja", "mean"]) == ("-4.0**", "+1.0", "+2.0")
    assert found["ko", "mean"] == "+3.0*"
    assert drawn.figure.axes[1].get_ylabel() == "difference to finetune (points)"
    assert " ".join(drawn.figure.get_supxlabel().split()) == (
        "framed: trained on, and not in the row's mean; en: source, in no mean; finetune: its scores (%); * 95 % "
        "interval excludes 0, ** corrected for all rows too"
    )


def face(drawn: Drawn, label: str, language: str) -> tuple[float, ...]:
    """Returns the color behind a number."""
    axes = drawn.figure.axes[0]
    x = [tick.get_text() for tick in axes.get_xticklabels()].index(language)
    y = [tick.get_text() for tick in axes.get_yticklabels()].index(label)
    (cell,) = [
        patch
        for patch in axes.patches
        if patch.get_fill()
        and patch.get_x() < axes.get_xticks()[x] < patch.get_x() + patch.get_width()
        and patch.get_y() < axes.get_yticks()[y] < patch.get_y() + patch.get_height()
    ]
    return cell.get_facecolor()[:3]


def test_colours_are_white_at_no_difference_and_symmetric(draw: Callable[[bool], Drawn]) -> None:
    drawn = draw(True)
    low, high = drawn.figure.axes[1].get_ylim()
    assert low == pytest.approx(-high)
    found = cells(drawn.figure)
    none, worse, better = (
        next(place for place, text in found.items() if text == number and place[1] != "mean")
        for number in ("+0.0", "-5.0", "+7.0")
    )
    assert min(face(drawn, *none)) > 0.95
    red, blue = face(drawn, *worse), face(drawn, *better)
    assert red[0] > red[2] + 0.2 and blue[2] > blue[0] + 0.2
    assert face(drawn, "finetune", "ar") == (1, 1, 1)


def test_the_cells_of_trained_languages_are_framed(draw: Callable[[bool], Drawn]) -> None:
    axes = draw(True).figure.axes[0]
    frames = [patch for patch in axes.patches if not patch.get_fill()]
    middles = [(frame.get_x() + frame.get_width() / 2, frame.get_y() + frame.get_height() / 2) for frame in frames]
    assert [y for _, y in middles] == pytest.approx([number + 1.5 for number in range(14)])
    assert [x for x, _ in middles] == pytest.approx(list(axes.get_xticks()[1:15]))


def test_the_source_and_the_means_stand_apart(draw: Callable[[bool], Drawn]) -> None:
    gaps = np.diff(draw(True).figure.axes[0].get_xticks())
    assert gaps[0] > gaps[1] and gaps[-1] > gaps[1] and gaps[1:14] == pytest.approx(np.ones(13))


def test_without_a_baseline_scores_on_a_sequential_scale(draw: Callable[[bool], Drawn]) -> None:
    drawn = draw(False)
    assert drawn.figure.axes[1].get_ylabel() == "accuracy (%)"
    assert cells(drawn.figure)["bn", "ar"] == "47.0"
    assert drawn.figure.axes[1].get_ylim()[0] > 40
    axes = drawn.figure.axes[0]
    assert "finetune" not in [tick.get_text() for tick in axes.get_yticklabels()]
    assert "*" not in drawn.figure.get_supxlabel()


def test_numbers_fit_into_cells_and_nothing_overlaps(draw: Callable[[bool], Drawn]) -> None:
    drawn = draw(True)
    axes = drawn.figure.axes[0]
    width = axes.transData.transform((1, 0))[0] - axes.transData.transform((0, 0))[0]
    height = axes.transData.transform((0, 0))[1] - axes.transData.transform((0, 1))[1]
    extents = [(text.get_window_extent(), text.get_text()) for text in axes.texts]
    assert max(extent.width for extent, text in extents if "*" not in text) < 0.9 * width
    assert max(extent.height for extent, _ in extents) < 0.8 * height
    ticks = [tick.get_window_extent() for tick in axes.get_xticklabels()]
    assert drawn.figure.texts[0].get_window_extent().y0 >= max(tick.y1 for tick in ticks)
    assert axes.yaxis.label.get_window_extent().x0 >= 0
    note = drawn.figure.texts[1].get_window_extent()
    assert note.x0 >= 0 and note.x1 <= drawn.figure.bbox.width and note.y0 >= 0
    pixels = imread(drawn.path)
    assert pixels.shape[1] > 1200 and pixels.shape[0] > 700


@pytest.mark.parametrize("label", ["1", "trainer.a_setting_with_a_very_long_name_indeed=1"])
def test_all_texts_of_a_small_picture_are_whole(
    label: str, make_run: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: list[Figure] = []
    save = Figure.savefig
    monkeypatch.setattr(Figure, "savefig", lambda figure, *a, **k: (kept.append(figure), save(figure, *a, **k)))
    hits = {"en": "10", "tr": "10", "ru": "11"}
    key = "trainer.a_setting_with_a_very_long_name_indeed_and_more"
    rows = [
        SweepRow(name, {key: name}, (make_run("other", 0, hits, training_languages=["tr"]),)) for name in (label, "2")
    ]
    baseline = SweepRow("finetune_under_a_long_name_too", {}, (make_run("finetune", 0, hits),))
    heat_map(build_matrix(rows, baseline, "test", list(hits)), tmp_path / "matrix.png")
    figure, (axes, scale) = kept[0], kept[0].axes
    title, note = figure.texts
    assert "** corrected for all rows too" in " ".join(note.get_text().split())
    for text in (title, note, axes.yaxis.label, scale.yaxis.label, *axes.get_yticklabels()):
        extent = text.get_window_extent()
        assert extent.x0 >= 0 and extent.x1 <= figure.bbox.width, text
        assert extent.y0 >= 0 and extent.y1 <= figure.bbox.height, text
