"""Tables of gains by slice."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iglue_plugins.reporting.comparison import compare_results
from iglue_plugins.reporting.results import read_rows
from iglue_plugins.reporting.slices import slice_table
from iglue_plugins.utils.errors import UserError

# Of two objects are the first four examples, of three the last two; each image has two examples.
OBJECTS = [2, 2, 2, 2, 3, 3]
IMAGES = "a a b b c c"
TEXTS = ["a", "b", "a b", "c d", "a b c d", "e f g h i"]
FINETUNE = [{"de": "110000", "sw": "100011"}, {"de": "010000", "sw": "100010"}]
MAML = [{"de": "111010", "sw": "111100"}, {"de": "111011", "sw": "111100"}]


def facts(objects=OBJECTS, texts=TEXTS, **more):
    return [{"objects": number, "text": text, **more} for number, text in zip(objects, texts, strict=True)]


@pytest.fixture
def read(make_run):
    """Read two rows of two seeds; `of_language` are the facts of the examples, None for none."""

    def make(of_language=None, other=None, images=IMAGES, **record):
        def runs(label, scores, of_examples):
            known = dict.fromkeys(scores[0], of_examples) if isinstance(of_examples, list) else of_examples
            every = dict.fromkeys(scores[0], images)
            return [
                make_run(label, seed, hits, images=every, facts=known, **record) for seed, hits in enumerate(scores)
            ]

        rows = [
            ("finetune", runs("finetune", FINETUNE, of_language)),
            ("xvl_maml", runs("xvl_maml", MAML, of_language if other is None else other)),
        ]
        return read_rows(rows, "test")

    return make


def test_counts_scores_and_differences_by_hand(read):
    table = slice_table(read(facts()), "test", ["objects"], least=2)
    (quantity,) = table.quantities
    two, three = quantity.slices
    assert [each.name for each in quantity.slices] == ["2", "3"]
    assert [each.examples for each in quantity.slices] == [{"de": 4, "sw": 4}, {"de": 2, "sw": 2}]
    assert [each.images for each in quantity.slices] == [2, 1]
    assert [each.effective for each in quantity.slices] == pytest.approx([2, 1])
    # finetune: de 2/4, 1/4 and 0, 0; sw 1/4, 1/4 and 1, 1/2, so that seeds have 37.5, 25 and 50, 25
    assert two.scores["finetune"].per_seed == pytest.approx((37.5, 25))
    assert three.scores["finetune"].per_seed == pytest.approx((50, 25))
    # xvl_maml: de 3/4, 3/4 and 1/2, 1; sw 1, 1 and 0, 0
    assert two.scores["xvl_maml"].per_seed == pytest.approx((87.5, 87.5))
    assert three.scores["xvl_maml"].per_seed == pytest.approx((25, 50))
    assert two.differences["xvl_maml"].difference == pytest.approx(87.5 - 31.25)
    assert three.differences["xvl_maml"].difference == pytest.approx(37.5 - 37.5)
    assert quantity.slopes["xvl_maml"].difference == pytest.approx(-56.25)
    assert quantity.units == {"de": "objects", "sw": "objects"}
    assert (table.targets, table.seeds, table.labels) == (("de", "sw"), (0, 1), ("finetune", "xvl_maml"))


def test_lengths_are_cut_in_each_language(read):
    """Words of de: 1 1 2 2 4 5; of sw: 1 in all but the last two, which have 2 and 3."""
    in_swahili = ["a", "b", "c", "d", "e f", "g h i"]
    table = slice_table(read({"de": facts(), "sw": facts(texts=in_swahili)}), "test", ["length"])
    (quantity,) = table.quantities
    assert [each.name for each in quantity.slices] == ["short", "medium", "long"]
    assert [each.ranges for each in quantity.slices] == [
        {"de": (1, 1), "sw": (1, 1)},
        {"de": (2, 2), "sw": (2, 2)},
        {"de": (4, 5), "sw": (3, 3)},
    ]
    assert [each.examples for each in quantity.slices] == [
        {"de": 2, "sw": 4},
        {"de": 2, "sw": 1},
        {"de": 2, "sw": 1},
    ]
    assert quantity.slices[0].scores["finetune"].per_seed == pytest.approx(((100 + 25) / 2, (50 + 25) / 2))
    assert [each.images for each in quantity.slices] == [2, 2, 1], "c is in the middle slice of sw, b in that of de"


def test_all_examples_differ_as_in_the_comparison(read):
    results = read(facts())
    comparison, table = compare_results(results, "test"), slice_table(results, "test")
    assert table.differences == {"xvl_maml": comparison.rows[1].difference}
    assert table.scores == {row.label: row.target_mean for row in comparison.rows}
    assert table.drawn == comparison.drawn


def test_a_language_that_cannot_be_cut_is_left_out_of_a_quantity(read):
    table = slice_table(read({"de": facts(), "sw": facts(texts=["one word"] * 6)}), "test", ["length"])
    (quantity,) = table.quantities
    assert quantity.units == {"de": "words"}
    assert quantity.without == {"sw": "their texts have fewer than three lengths"}
    assert quantity.slices[0].scores["finetune"].per_seed == pytest.approx((100, 50))
    assert slice_table(read(facts(texts=[""] * 6)), "test", ["length"]).left_out == {
        "length": "the texts of every language have fewer than three lengths"
    }


def test_runs_of_earlier_versions_have_no_slices_and_a_sentence_says_so(read):
    table = slice_table(read(), "test")
    assert table.quantities == ()
    assert list(table.left_out) == ["objects", "regions", "length"]
    assert table.left_out["length"] == (
        "the predictions do not tell texts: they were written by an earlier version; `iglue evaluate RUN --again` "
        "writes them anew"
    )
    assert "the task does not know how many objects an image shows, or they" in table.left_out["objects"]
    assert table.differences["xvl_maml"].compared == 1


def test_one_row_of_this_version_is_enough(read):
    assert slice_table(read([], facts()), "test", ["objects"], least=2) == slice_table(
        read(facts()), "test", ["objects"], least=2
    )


def test_a_language_of_which_no_run_tells_is_left_out(read):
    (quantity,) = slice_table(read({"sw": facts()}), "test", ["objects"], least=2).quantities
    assert quantity.without == {"de": "their predictions do not tell objects"}
    assert quantity.units == {"sw": "objects"}


@pytest.mark.parametrize(
    ("of_examples", "by", "reason"),
    [
        (facts([2] * 6), ["objects"], {"objects": "there are 2 objects in every example"}),
        (facts(), ["objects"], {"objects": "there are too few examples, or too few numbers, to cut them"}),
        (facts(regions=36), ["regions"], {"regions": "there are 36 regions in every example"}),
        (facts(unseen=0), ["unseen"], {"unseen": "there are 0 unseen concepts in every text"}),
    ],
)
def test_what_cannot_be_cut_is_left_out(read, of_examples, by, reason):
    assert slice_table(read(of_examples), "test", by).left_out == reason


def test_slices_by_unseen_concepts_are_made_where_they_are_asked_for(read):
    each = [fact | {"unseen": number // 3} for number, fact in enumerate(facts())]
    table = slice_table(read(each), "test", ["unseen"], least=2)
    assert [part.name for part in table.quantities[0].slices] == ["0", "1"]
    assert "unseen" not in slice_table(read(facts()), "test").left_out
    reason = slice_table(read(facts()), "test", ["unseen"]).left_out["unseen"]
    assert "unseen: the task does not know which concepts training has not seen, or they" in reason


def test_regions_that_are_the_objects_are_left_out_beside_them(read):
    both = [fact | {"regions": fact["objects"]} for fact in facts()]
    table = slice_table(read(both), "test", ["objects", "regions"], least=2)
    assert [quantity.name for quantity in table.quantities] == ["objects"]
    assert table.left_out["regions"].startswith("the models read as many regions as there are objects")
    (alone,) = slice_table(read(both), "test", ["regions"], least=2).quantities
    assert alone.name == "regions"


def test_predictions_without_images_count_none(read):
    (quantity,) = slice_table(read(facts(), images=""), "test", ["objects"], least=2).quantities
    assert [each.images for each in quantity.slices] == [None, None]
    assert [each.effective for each in quantity.slices] == pytest.approx([8, 4]), "of two languages"


def test_a_baseline_alone_has_scores_and_no_differences(make_run):
    run = make_run("finetune", 0, {"de": "110000"}, facts={"de": facts()})
    table = slice_table(read_rows([("finetune", [run])], "test"), "test", ["objects"], least=2)
    (quantity,) = table.quantities
    assert [each.scores["finetune"].mean for each in quantity.slices] == pytest.approx([50, 0])
    assert (quantity.slopes, table.differences) == ({}, {})


def test_retrieval_has_halves_of_hits(read):
    results = read(facts())
    for row in results.values():
        for result in row:
            result.scores["de"][0] = 0.5
            result.record["main_metric"] = "recall@1"
    table = slice_table(results, "test", ["objects"], least=2)
    assert table.metric == "recall@1"
    (quantity,) = table.quantities
    assert quantity.slices[0].scores["finetune"].per_seed == pytest.approx(((37.5 + 25) / 2, (37.5 + 25) / 2))


def test_a_quantity_that_there_is_not_is_named(read):
    with pytest.raises(UserError, match=r"^--by: there are no slices by 'object'; did you mean 'objects'\?$"):
        slice_table(read(facts()), "test", ["length", "object"])


@given(
    objects=st.lists(st.integers(1, 9), min_size=6, max_size=60),
    words=st.lists(st.integers(0, 20), min_size=60, max_size=60),
    least=st.integers(1, 8),
    seed=st.integers(0, 9),
)
def test_slices_share_the_examples_among_them_and_their_scores_average_to_the_score(
    make_run, objects, words, least, seed
):
    rng = random.Random(seed)
    of_examples = facts(objects, ["word " * number for number in words[: len(objects)]])
    hits = "".join(rng.choice("01") for _ in objects)
    run = make_run("finetune", 0, {"de": hits}, facts={"de": of_examples})
    table = slice_table(read_rows([("finetune", [run])], "test"), "test", ["objects", "length"], least=least)
    for quantity in table.quantities:
        examples = [each.examples["de"] for each in quantity.slices]
        scores = [each.scores["finetune"].mean for each in quantity.slices]
        assert sum(examples) == len(objects)
        weighted = sum(count * score for count, score in zip(examples, scores, strict=True)) / len(objects)
        assert weighted == pytest.approx(table.scores["finetune"].mean)
