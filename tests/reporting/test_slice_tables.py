"""Slices in the terminal, in Markdown and as JSON."""

from __future__ import annotations

import json

import pytest
from rich.console import Console

from iglue_plugins.reporting.clustering import DrawnClusters
from iglue_plugins.reporting.results import read_rows
from iglue_plugins.reporting.slice_tables import SlicesView, slices_json, slices_markdown
from iglue_plugins.reporting.slice_wording import describe_slopes, slice_notes
from iglue_plugins.reporting.slices import slice_table

HARD = "10" * 20 + "0001" * 10  # 20 of 40, and 10 of 40
HARD_OTHER = "10" * 20 + "1110" * 10  # as many of the first 40, and 30 of the last
LENGTHS = [1] * 20 + [2] * 20 + [3] * 40


def examples(script="word "):
    return [{"objects": 2 + (number >= 40), "text": script * count} for number, count in enumerate(LENGTHS)]


@pytest.fixture
def results(make_run):
    """Two rows of two seeds in German and Japanese; the gain is 0 with two objects, and 50 with three."""
    facts = {"de": examples(), "ja": examples("犬")}
    images = " ".join(chr(0x100 + number) for number in range(80))

    def runs(label, hits):
        hits_by_language, images_by_language = dict.fromkeys(facts, hits), dict.fromkeys(facts, images)
        return [make_run(label, seed, hits_by_language, images=images_by_language, facts=facts) for seed in (0, 1)]

    return read_rows([("finetune", runs("finetune", HARD)), ("xvl|maml", runs("xvl|maml", HARD_OTHER))], "test")


@pytest.fixture
def table(results):
    return slice_table(results, "test")


def printed(table, width=120):
    console = Console(width=width, record=True, file=None)
    with console.capture() as captured:
        console.print(SlicesView(table))
    return captured.get()


def test_the_terminal_has_a_table_for_each_quantity(table):
    lines = [line.split() for line in printed(table).splitlines()]
    assert lines[0] == "mini/xvnli, test split: accuracy (%)".split()
    (two,) = [line for line in lines if line[:2] == ["2", "40"]]
    assert two == ["2", "40", "40", "50.0", "+0.0"]
    (three,) = [line for line in lines if line[:2] == ["3", "40"]]
    assert three == ["3", "40", "40", "25.0", "+50.0**"]
    (slope,) = [line for line in lines if line[:3] == ["3", "minus", "2"]]
    assert slope == ["3", "minus", "2", "+50.0**"]
    (short,) = [line for line in lines if line[:1] == ["short"]]
    assert short[:4] == ["short", "20", "20", "50.0"]
    assert [line for line in lines if line[:1] == ["all"]] == [["all", "37.5", "+25.0*"]] * 2


def test_a_narrow_terminal_splits_the_table(table):
    narrow = printed(table, width=46)
    assert max(len(line.rstrip()) for line in narrow.splitlines()) <= 46
    assert narrow.count("3 minus 2") == 2 == printed(table).count("3 minus 2") + 1


def test_the_notes_say_what_was_counted_drawn_and_left_out(table):
    notes = slice_notes(table)
    assert notes[0] == (
        "Scores are means over 2 seeds (0, 1) with standard deviations; that of a slice is the mean over 2 target "
        "languages of the mean over its examples."
    )
    assert (
        "resamples of 80 images and 2 seeds (* where they exclude 0, ** where they do so corrected for all " in notes[1]
    )
    assert "differences of a table: 3 by objects, 4 by length; in the line of all" in notes[1]
    assert notes[2] == (
        "Length is in words (in characters in ja), cut at the terciles of each language as far as equal lengths allow: "
        "in de 1, 2, 3."
    )
    assert notes[3].startswith("There are no slices by regions, since the predictions do not tell regions: the models")
    assert len(notes) == 4


def test_languages_that_are_left_out_for_one_reason_share_a_sentence(make_run):
    facts = {name: examples() if name == "de" else [{"text": "a"}] * 80 for name in ("de", "ja", "sw")}
    run = make_run("finetune", 0, dict.fromkeys(facts, HARD), facts=facts)
    notes = slice_notes(slice_table(read_rows([("finetune", [run])], "test"), "test", ["objects", "length"]))
    assert notes[1] == "Slices by objects are without ja, sw, since their predictions do not tell objects."
    assert notes[2].startswith("Length is in words, cut at")
    assert notes[3:] == ["Slices by length are without ja, sw, since their texts have fewer than three lengths."]


def test_slices_of_few_images_are_named(results):
    for row in results.values():
        for result in row:
            for language, ids in result.example_ids.items():
                numbers = [int(id_.partition("-")[2]) for id_ in ids]
                result.image_ids[language] = tuple((f"{n if n < 40 else 40 + n // 4}",) for n in numbers)
    found = slice_table(results, "test", ["objects"])
    assert slice_notes(found)[2] == (
        "By objects, the images of these slices weigh as much as so many equal ones: 3 (10.0); with fewer than 20 the "
        "intervals are too narrow to be relied on."
    )


def test_whether_a_gain_rises_is_said_by_its_interval(table, results):
    rises, of_length = describe_slopes(table)
    assert rises.startswith("xvl|maml's difference to finetune rises with the objects of the images: +50.0 [")
    assert rises.endswith("] points from 2 to 3")
    assert "rises with the length of the text: +50.0 [" in of_length and "from short to long" in of_length
    falls = describe_slopes(slice_table(dict(reversed(results.items())), "test", ["objects"]))[0]
    assert falls.startswith("finetune's difference to xvl|maml falls with the objects of the images: -50.0 [")
    same = describe_slopes(slice_table({"a": results["finetune"], "b": results["finetune"]}, "test", ["objects"]))[0]
    amount = "+0.0 [0.0, 0.0] points from 2 to 3"
    assert same == f"b's difference to a is not shown to change with the objects of the images: {amount}"


def test_markdown_has_the_same_cells_escaped(table):
    text = slices_markdown(table)
    assert text.count("| slice | examples a language | images | finetune | xvl\\|maml | corrected |") == 2
    (line,) = [line for line in text.splitlines() if line.startswith("| 3 |")]
    assert line.startswith("| 3 | 40 | 40 | 25.0 ±0.0 | +50.0\\*\\* \\[")
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    assert {line.replace("\\|", "").count("|") for line in rows} == {7}
    assert text.count("- Scores are means") == 1 and "- There are no slices by regions" in text


def test_without_slices_the_sentences_are_left(make_run):
    run = make_run("finetune", 0, {"de": "1100"})
    table = slice_table(read_rows([("finetune", [run])], "test"), "test")
    assert [line[:31] for line in slice_notes(table)] == [
        "There are no slices by objects,",
        "There are no slices by regions,",
        "There are no slices by length, ",
    ]
    assert slices_markdown(table).startswith("**mini/xvnli, test split: accuracy (%)**\n\n- There are no")
    assert "There are no slices by length" in printed(table)
    assert isinstance(table.drawn, DrawnClusters)


def test_json_has_the_numbers_unrounded_and_the_texts(table):
    content = json.loads(json.dumps(slices_json([table, table])))
    assert (content["format"], len(content["tasks"])) == (1, 2)
    task = content["tasks"][0]
    three = task["quantities"][0]["slices"][1]
    assert (three["name"], three["examples"], three["ranges"]["ja"]) == ("3", {"de": 40, "ja": 40}, [3, 3])
    assert three["differences"]["xvl|maml"]["difference"] == 50
    assert three["scores"]["finetune"]["text"] == "25.0 ±0.0"
    assert task["quantities"][0]["slopes"]["xvl|maml"]["text"].startswith("+50.0** [")
    assert (task["summary"], task["notes"]) == (describe_slopes(table), slice_notes(table))
    assert task["left_out"].keys() == {"regions"}
