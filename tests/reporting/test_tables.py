"""The tables in the terminal."""

import io

import pytest
from rich.console import Console

from iglue_plugins.reporting import details
from iglue_plugins.reporting.comparison import build_comparison
from iglue_plugins.reporting.tables import ComparisonTable

IGLUE_LANGUAGES = "en ar bn de es fr id ja ko pt ru sw ta tr zh".split()


def rendered(comparison, width=160, colour=False, full=False):
    console = Console(
        width=width, file=io.StringIO(), force_terminal=colour, color_system="standard" if colour else None
    )
    console.print(ComparisonTable(comparison, full))
    return console.file.getvalue()


def cells(text, label):
    """Returns the cells of the row that starts with `label`, and those of the line below it."""
    lines = text.splitlines()
    at = next(index for index, line in enumerate(lines) if line.startswith(f"{label} "))
    return lines[at].split()[1:], lines[at + 1].split()


@pytest.fixture
def fifteen_languages(make_run):
    hits = {language: "1" * (3 + index) + "0" * 7 for index, language in enumerate(IGLUE_LANGUAGES)}
    fewer = {language: of_language.replace("1", "0", 1) for language, of_language in hits.items()}
    runs = {
        trainer: [make_run(trainer, 0, hits, **trained), make_run(trainer, 1, fewer, **trained)]
        for trainer, trained in {"finetune": {}, "xvl_maml": {"training_languages": ["tr"]}}.items()
    }
    return build_comparison([("finetune", runs["finetune"]), ("xvl_maml_inner_lr_0", runs["xvl_maml"])])


def test_means_with_deviations_below_and_the_difference_to_the_first_row(two_rows):
    text = rendered(build_comparison(two_rows))
    assert text.splitlines()[1].split() == ["en", "tr", "ar", "ru"]
    assert text.splitlines()[2].split() == ["src", "aux", "mean", "diff"]
    means, deviations = cells(text, "finetune")
    assert means == ["87.5", "12.5", "37.5", "30.0", "33.8"]
    assert deviations == ["±17.7", "±17.7", "±17.7", "±14.1", "±1.8"]
    means, deviations = cells(text, "xvl_maml")
    assert means == ["0.0", "100.0", "87.5", "70.0", "78.8", "+45.0*"]
    assert deviations[:5] == ["±0.0", "±0.0", "±17.7", "±14.1", "±15.9"]
    assert deviations[5].startswith("[") and deviations[6].endswith("]")


def test_the_caption_holds_the_notes(two_rows):
    text = " ".join(rendered(build_comparison(two_rows)).split())
    assert text.startswith("mini/xvnli, test split: accuracy (%)")
    assert "without source en and auxiliary tr." in text
    assert text.endswith(
        "finetune was trained from the model's own weights for 150 steps of 64 labelled examples; xvl_maml was trained "
        "from the model's own weights with auxiliary tr for 300 steps of 32 labelled examples."
    )
    every = " ".join(rendered(build_comparison(two_rows), full=True).split())
    assert "Rows differ in labels or steps: finetune: 64" in every


def test_a_star_marks_significance_without_colour_too(two_rows):
    significant = build_comparison(two_rows)
    assert "+45.0*" in rendered(significant)
    assert "\x1b[32m" in rendered(significant, colour=True)
    same = build_comparison([two_rows[0], ("again", two_rows[0][1])])
    means, _ = cells(rendered(same), "again")
    assert means[-1] == "+0.0"
    assert "\x1b[32m" not in rendered(same, colour=True)


def test_a_single_row_has_no_difference(two_rows):
    assert " diff" not in rendered(build_comparison(two_rows[:1]))


def test_markup_in_a_label_is_printed_as_it_is(two_rows):
    (_, runs), _ = two_rows
    assert "[bold]a" in rendered(build_comparison([("[bold]a", runs)]))


def test_fifteen_languages_fit_side_by_side(fifteen_languages):
    text = rendered(fifteen_languages, width=160)
    means, deviations = cells(text, "finetune")
    assert len(means) == len(deviations) == 16
    lines = text.splitlines()
    assert lines[1].split() == ["en", "tr", *(name for name in IGLUE_LANGUAGES if name not in ("en", "tr"))]
    assert lines[2].split()[-2:] == ["mean", "diff"]


@pytest.mark.parametrize("width", [100, 80, 50])
def test_a_narrow_console_gets_blocks_that_lose_nothing(fifteen_languages, width):
    text = rendered(fifteen_languages, width)
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= width
    starts = [line.partition("  ")[0] for line in text.splitlines() if "trained" not in line]
    assert starts.count("finetune") == sum(start.startswith("xvl_maml_inner_lr_0 ") for start in starts) > 1
    wide = rendered(fifteen_languages, width=160)
    narrow_numbers, wide_numbers = (
        sorted(word for word in page.split() if "." in word and word[0] in "±0123456789") for page in (text, wide)
    )
    assert narrow_numbers == wide_numbers
    assert any(line.split() == ["src", "aux"] for line in text.splitlines())
    assert any(line.split()[-2:] == ["mean", "diff"] for line in text.splitlines())


def test_rows_with_a_model_for_each_language_say_what_it_is_adapted_on(make_run, two_rows):
    adaptation = {"summary": "on 10 shots", "languages": {"ar": {}, "ru": {}, "tr": {}}}
    hits = {"en": "1111", "tr": "0000", "ar": "1100", "ru": "10000"}
    few_shot = [make_run("few_shot", seed, hits, adaptation=adaptation) for seed in range(2)]
    found = details.details(build_comparison([*two_rows, ("few_shot", few_shot)]))
    assert "A model of its own for each language but the source, adapted: few_shot: on 10 shots." in found
    assert not any("adapted" in note for note in details.details(build_comparison(two_rows)))
