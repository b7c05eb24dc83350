"""Which images the intervals of a table resample, as far as predictions tell them."""

from __future__ import annotations

from pathlib import Path

import pytest

from iglue_plugins.reporting.clustering import DrawnClusters
from iglue_plugins.reporting.comparison import build_comparison
from iglue_plugins.reporting.details import details, matrix_details
from iglue_plugins.reporting.matrix import SweepRow, build_matrix
from iglue_plugins.utils.errors import UserError

BEFORE = {"de": "10" * 30, "sw": "10" * 30}
AFTER = {"de": "1110" * 15, "sw": "1110" * 15}
IMAGES = dict.fromkeys(
    BEFORE, " ".join("abcdefghijklmno" * 4)
)  # 15 images of 4 examples each, shared by both languages


@pytest.fixture
def build(make_run):
    """Build the comparison of two runs with the given images."""

    def make(first=None, second=None):
        runs = make_run("finetune", 0, BEFORE, images=first), make_run("x_maml", 0, AFTER, images=second)
        return build_comparison([("finetune", runs[:1]), ("x_maml", runs[1:])])

    return make


def test_images_that_languages_share_are_drawn_for_both(build):
    comparison = build(IMAGES, IMAGES)
    assert comparison.drawn == DrawnClusters("images", 15, pytest.approx(15), pytest.approx(1 / 15), ())
    said = details(comparison)
    assert "2000 paired bootstrap resamples of 15 images; * where" in said[2]
    assert said[4] == (
        "The images weigh as much as 15.0 equal ones, and the largest has 7 % of the weight; with fewer than 20 the "
        "intervals are too narrow to be relied on."
    )


def test_shared_images_widen_the_interval(make_run):
    """Five examples of an image rise and fall together, which a draw of examples does not see."""
    images = {"de": " ".join(letter for letter in "abcdefghijklmnopqrstuvwx" for _ in range(5))}
    widths = []
    for of_examples in (images, None):
        before = make_run("finetune", 0, {"de": "0" * 120}, images=of_examples)
        after = make_run("x_maml", 0, {"de": "11111" * 9 + "00000" * 15}, images=of_examples)
        difference = build_comparison([("finetune", [before]), ("x_maml", [after])]).rows[1].difference
        assert difference.difference == pytest.approx(37.5)
        widths.append(difference.high - difference.low)
    assert widths[0] == pytest.approx(widths[1] * 5**0.5, rel=0.15)


@pytest.mark.parametrize("where", ["first", "second"])
def test_images_that_one_run_tells_count_for_all(build, where):
    told, every = build(**{where: IMAGES}), build(IMAGES, IMAGES)
    assert told.drawn == every.drawn
    assert told.rows[1].difference == every.rows[1].difference


def test_without_images_examples_are_drawn_and_that_is_said(build):
    comparison = build()
    assert (comparison.drawn.unit, comparison.drawn.number) == ("examples", 120)
    assert comparison.drawn.without_images == ("de", "sw")
    assert details(comparison)[4] == (
        "The predictions tell no images, so that examples count as independent; where they share images, the intervals "
        "are too narrow."
    )


def test_a_language_without_images_is_named(build):
    comparison = build({"de": IMAGES["de"]})
    assert (comparison.drawn.number, comparison.drawn.without_images) == (15 + 60, ("sw",))
    assert details(comparison)[4].startswith("The predictions in sw tell no images")


def test_a_translation_with_the_same_example_ids_has_the_same_images(build, make_run):
    runs = []
    for number, name in enumerate(("finetune", "x_maml")):
        run = make_run(name, 0, (BEFORE, AFTER)[number], images={"de": IMAGES["de"]})
        for path in run.glob("predictions/test/*.jsonl"):
            path.write_text(path.read_text().replace(f'"{path.stem}-', '"q-'))
        runs.append((name, [run]))
    assert build_comparison(runs).drawn == build(IMAGES, IMAGES).drawn


def test_examples_with_two_images_make_clusters_of_images(build):
    pairs = {language: " ".join(["ab", "bc", "de"] * 20) for language in BEFORE}
    comparison = build(pairs, pairs)
    assert (comparison.drawn.unit, comparison.drawn.number) == ("clusters of images", 2)
    assert comparison.drawn.largest == pytest.approx(2 / 3)
    assert comparison.drawn.effective == pytest.approx(1 / (4 / 9 + 1 / 9))
    assert "2 clusters of images; * where" in details(comparison)[2]


def test_a_sweep_draws_images_too(make_run):
    rows = [
        SweepRow(f"steps={number}", {"steps": str(number)}, (make_run(f"r{number}", 0, AFTER, images=IMAGES),))
        for number in range(2)
    ]
    baseline = SweepRow("finetune", {}, (make_run("finetune", 0, BEFORE),))
    matrix = build_matrix(rows, baseline, "test", ["de", "sw"])
    assert (matrix.drawn.unit, matrix.drawn.number) == ("images", 15)
    assert any("resamples of 15 images" in note for note in matrix_details(matrix))


def test_runs_whose_examples_show_other_images_are_refused(make_run):
    first = make_run("finetune", 0, {"de": "10"}, images={"de": "a b"})
    other = make_run("x_maml", 0, {"de": "10"}, images={"de": "a c"})
    with pytest.raises(
        UserError, match=f"^{other}: its test/de example 'de-1' shows c, but that of {first} b; compare"
    ):
        build_comparison([("finetune", [first]), ("x_maml", [other])])


@pytest.mark.parametrize("value", ["[]", '"a"', "[1]", "{}", '["a", null]'])
def test_image_ids_written_by_hand_are_named_by_their_line(make_run, value):
    run = make_run("finetune", 0, {"de": "10"}, images={"de": "a b"})
    path = run / "predictions/test/de.jsonl"
    path.write_text(path.read_text().replace('["b"]', value))
    with pytest.raises(
        UserError, match=rf"^{path}: line 2 has image_ids .*, but they have to be a list of one or more"
    ):
        build_comparison([("finetune", [run])])


def test_a_file_of_which_some_lines_tell_no_images_is_refused(make_run):
    run = make_run("finetune", 0, {"de": "101"}, images={"de": "a b"})
    path: Path = run / "predictions/test/de.jsonl"
    with pytest.raises(UserError, match=f"^{path}: 1 of 3 lines have no image_ids; add them"):
        build_comparison([("finetune", [run])])
