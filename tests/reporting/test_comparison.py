"""The comparison of rows of runs: scores, differences and checks."""

import json

import pytest

from iglue_plugins.evaluation.significance import Difference
from iglue_plugins.reporting.comparison import build_comparison
from iglue_plugins.reporting.details import details
from iglue_plugins.reporting.notes import notes
from iglue_plugins.reporting.wording import describe
from iglue_plugins.utils.errors import UserError


def test_languages_have_mean_and_deviation_over_seeds(two_rows):
    comparison = build_comparison(two_rows)
    finetune, xvl_maml = comparison.rows
    assert finetune.languages["en"].per_seed == (100.0, 75.0)
    assert finetune.languages["en"].mean == 87.5
    assert finetune.languages["en"].std == pytest.approx(17.6776695)
    assert xvl_maml.languages["ru"].per_seed == (60.0, 80.0)
    assert xvl_maml.languages["ru"].std == pytest.approx(14.1421356)
    assert comparison.examples == {"en": 4, "tr": 4, "ar": 4, "ru": 5}
    assert comparison.seeds == (0, 1)


def test_source_and_auxiliary_are_left_out_of_every_rows_mean(two_rows):
    comparison = build_comparison(two_rows)
    assert (comparison.sources, comparison.auxiliary, comparison.targets) == (("en",), ("tr",), ("ar", "ru"))
    assert comparison.languages == ("en", "tr", "ar", "ru")
    finetune, xvl_maml = comparison.rows
    assert finetune.target_mean.per_seed == (35.0, 32.5)
    assert finetune.target_mean.mean == 33.75
    assert finetune.target_mean.std == pytest.approx(1.76776695)
    assert xvl_maml.target_mean.mean == 78.75


def test_auxiliary_is_the_union_over_rows(two_rows, make_run):
    scores = {"en": "1111", "tr": "0000", "ar": "1111", "ru": "10000"}
    third = [make_run("x_maml", seed, scores, training_languages=["en", "ar"]) for seed in (0, 1)]
    comparison = build_comparison([*two_rows, ("x_maml", third)])
    assert (comparison.auxiliary, comparison.targets) == (("ar", "tr"), ("ru",))
    assert [row.target_mean.mean for row in comparison.rows] == [30.0, 70.0, 20.0]


def test_rows_of_different_sources_are_averaged_over_what_no_row_was_trained_on(make_run):
    scores = {"en": "1111", "tr": "0000", "ar": "1110", "ru": "10000"}
    rows = [
        ("english", [make_run("finetune", 0, scores, steps=800)]),
        ("both", [make_run("finetune", 0, scores, source_language=["en", "tr"])]),
        ("turkish", [make_run("xvl_maml", 0, scores, source_language="tr", training_languages=["ar"])]),
    ]
    comparison = build_comparison(rows)
    assert (comparison.sources, comparison.auxiliary, comparison.targets) == (("en", "tr"), ("ar",), ("ru",))
    assert [row.source_languages for row in comparison.rows] == [("en",), ("en", "tr"), ("tr",)]
    said = " ".join(notes(comparison, "below"))
    assert "without source en, tr and auxiliary ar" in said
    assert "turkish was trained from" in said and "with source tr and auxiliary ar for" in said
    with pytest.raises(UserError, match="among en, tr, since en, tr are sources and"):
        build_comparison(
            [(label, [make_run("x", 0, {"en": "1", "tr": "1"}, source_language=["en", "tr"])]) for label in "a"]
        )


def test_the_difference_is_to_the_first_row_over_the_targets(two_rows):
    finetune, xvl_maml = build_comparison(two_rows).rows
    assert finetune.difference is None
    assert xvl_maml.difference.difference == pytest.approx(45.0)
    assert 0 < xvl_maml.difference.low < 45 < xvl_maml.difference.high <= 100
    turned = build_comparison(two_rows[::-1]).rows[1].difference
    assert turned.difference == pytest.approx(-45.0)
    assert turned.high < 0


def test_a_row_against_its_own_runs_differs_by_nothing(two_rows):
    (label, runs), _ = two_rows
    assert build_comparison([(label, runs), ("again", runs)]).rows[1].difference == Difference(*[0.0] * 8)


def test_runs_and_predictions_are_paired_whatever_their_order(two_rows):
    expected = build_comparison(two_rows)
    (_, runs), (label, others) = two_rows
    for path in others[0].glob("predictions/test/*.jsonl"):
        path.write_text("".join(f"{line}\n" for line in reversed(path.read_text().splitlines())))
    assert build_comparison([("finetune", runs), (label, others[::-1])]) == expected


def test_a_single_seed_has_no_deviation(two_rows):
    comparison = build_comparison([(label, runs[:1]) for label, runs in two_rows])
    assert comparison.rows[0].target_mean.std is None
    assert comparison.rows[1].languages["ar"].std is None
    assert comparison.rows[1].difference.difference == pytest.approx(32.5)
    assert "One seed (0), so no standard deviations." in details(comparison)


def test_another_split_is_read_on_demand(make_run):
    run = make_run("finetune", 0, {"en": "10", "de": "11"}, split="dev")
    assert build_comparison([("finetune", [run])], split="dev").rows[0].target_mean.mean == 100.0


def test_a_source_language_that_is_not_evaluated_has_no_column(make_run):
    run = make_run("finetune", 0, {"id": "10", "sw": "11"})
    comparison = build_comparison([("finetune", [run])])
    assert comparison.languages == ("id", "sw")
    assert comparison.rows[0].target_mean.mean == 75.0


def test_notes_say_what_is_averaged_and_what_each_row_saw(two_rows):
    assert details(build_comparison(two_rows)) == [
        "The mean is over 2 target languages, without source en and auxiliary tr.",
        "Cells: mean ± standard deviation over 2 seeds (0, 1).",
        "The difference is to finetune, in points, with the 95 % interval of 2000 paired bootstrap resamples of "
        "9 examples and 2 seeds; * where it excludes 0 (each row on its own).",
        "A true difference of this many points is found with a power of 80 %: 45.1 (xvl_maml).",
        "The predictions tell no images, so that examples count as independent; where they share images, the intervals "
        "are too narrow.",
        "The examples weigh as much as 8.9 equal ones, and the largest has 12 % of the weight; with fewer than 20 the "
        "intervals are too narrow to be relied on.",
        "Rows differ in labels or steps: finetune: 64 labelled examples per step, 150 steps; "
        "xvl_maml: 32 labelled examples per step, 300 steps.",
        "Rows differ in auxiliary languages trained on: finetune: none; xvl_maml: tr.",
        "Started from: finetune, xvl_maml: the model's own weights.",
    ]


def test_notes_on_rows_with_equal_training_data(two_rows):
    assert details(build_comparison(two_rows[:1])) == [
        "The mean is over 3 target languages, without source en.",
        "Cells: mean ± standard deviation over 2 seeds (0, 1).",
        "Every row: 64 labelled examples per step, 150 steps.",
    ]


def test_the_summary_claims_a_difference_only_where_one_is_shown(two_rows, make_run):
    (label, runs), xvl_maml = two_rows
    similar = [
        make_run("x_maml", 0, {"en": "1111", "tr": "0000", "ar": "0110", "ru": "10000"}),
        make_run("x_maml", 1, {"en": "1110", "tr": "1000", "ar": "0100", "ru": "10100"}),
    ]
    comparison = build_comparison([(label, runs), xvl_maml, ("x_maml", similar)])
    better, same = describe(comparison)
    assert better.startswith("xvl_maml beats finetune by +45.0 [") and better.endswith("points over 2 target languages")
    assert same.startswith("no difference shown between x_maml and finetune: +0.0 [-")
    turned = describe(build_comparison([xvl_maml, (label, runs)]))
    assert turned[0].startswith("finetune is worse than xvl_maml: -45.0 [-")
    assert describe(build_comparison([xvl_maml])) == []


CHANGED = {
    "task": ({"task": "mini/xgqa"}, "its task is 'mini/xgqa', but that of .* is 'mini/xvnli'"),
    "source": ({"source_language": "de"}, "its source language is 'de'"),
    "steps": ({"steps": 10}, "its steps is 10, .* the runs of row 'finetune' may differ in the seed only"),
    "labels": ({"labels_per_step": 1}, "its labels per step is 1"),
    "languages": ({"training_languages": ["tr"]}, r"its training languages is \['tr'\]"),
}


@pytest.mark.parametrize(("change", "message"), CHANGED.values(), ids=CHANGED)
def test_a_run_that_differs_is_named(make_run, change, message):
    scores = {"en": "1", "ru": "10"}
    runs = [make_run("finetune", 0, scores), make_run("finetune", 1, scores, **change)]
    with pytest.raises(UserError, match=f"^{runs[1]}: {message}"):
        build_comparison([("finetune", runs)])


def test_rows_must_share_the_main_metric(make_run):
    scores = {"ru": {"recall@1": 50.0, "examples": 2}}
    runs = [
        make_run("finetune", 0, {"ru": "10"}),
        make_run("x_maml", 0, {"ru": "10"}, main_metric="recall@1", scores={"test": scores}),
    ]
    with pytest.raises(UserError, match=f"{runs[1]}: its main metric is 'recall@1', .* 'accuracy'"):
        build_comparison([("finetune", runs[:1]), ("x_maml", runs[1:])])


def test_rows_must_share_the_languages(make_run):
    first, second = make_run("finetune", 0, {"ru": "10", "de": "10"}), make_run("x_maml", 0, {"ru": "10"})
    with pytest.raises(UserError, match=f"^{second}: evaluated on ru, but {first} on ru, de; {second} lacks de$"):
        build_comparison([("finetune", [first]), ("x_maml", [second])])


def test_rows_must_share_the_examples(make_run):
    first, second = make_run("finetune", 0, {"ru": "10"}), make_run("x_maml", 0, {"ru": "101"})
    with pytest.raises(UserError, match=f"^{second}: its test/ru examples are not those of {first}; 1 .* 'ru-2'"):
        build_comparison([("finetune", [first]), ("x_maml", [second])])


def test_rows_must_share_the_seeds(make_run):
    scores = {"ru": "10"}
    first = [make_run("finetune", seed, scores) for seed in (0, 1)]
    second = [make_run("x_maml", seed, scores) for seed in (0, 2)]
    with pytest.raises(UserError, match=f"^{first[1]}: seed 1 has no counterpart; .* seeds 0, 1 .* 'x_maml' 0, 2"):
        build_comparison([("finetune", first), ("x_maml", second)])


def test_a_row_takes_one_run_per_seed(make_run):
    runs = [make_run("finetune", seed, {"ru": "10"}) for seed in (3, 3)]
    with pytest.raises(UserError, match=f"^{runs[1]}: row 'finetune' already has seed 3 from {runs[0]}"):
        build_comparison([("finetune", runs)])


def test_a_split_that_was_not_evaluated_is_named_with_the_nearest(make_run):
    run = make_run("finetune", 0, {"ru": "10"})
    with pytest.raises(UserError, match=f"^{run}: the run was not evaluated on split 'tests'; did you mean 'test'"):
        build_comparison([("finetune", [run])], split="tests")


def test_predictions_must_be_those_of_the_record(make_run):
    run = make_run("finetune", 0, {"ru": "1010"})
    path = run / "predictions" / "test" / "ru.jsonl"
    lines = path.read_text().splitlines()
    path.write_text("\n".join(lines[:2]) + "\n")
    with pytest.raises(UserError, match=rf"^{run}: record.json gives .* over 4 examples .* over 2 different ids"):
        build_comparison([("finetune", [run])])
    path.write_text("\n".join([*lines[:3], lines[0]]) + "\n")
    with pytest.raises(UserError, match=rf"^{path}: line 4 .*'ru-0'"):
        build_comparison([("finetune", [run])])


@pytest.mark.parametrize(
    "line",
    [
        "null",
        "[1]",
        "{}",
        '{"id": "a"}',
        '{"id": "a", "score": null}',
        '{"id": 1, "score": 1}',
        '{"id": "a", "score": ""}',
    ],
)
def test_a_prediction_written_by_hand_is_named_by_its_line(make_run, line):
    run = make_run("finetune", 0, {"ru": "1010"})
    path = run / "predictions" / "test" / "ru.jsonl"
    path.write_text("\n".join([line, *path.read_text().splitlines()[1:]]) + "\n")
    with pytest.raises(UserError, match=rf"^{path}: line 1 "):
        build_comparison([("finetune", [run])])


@pytest.mark.parametrize("key", ["name", "seed", "task", "trainer", "scores", "main_metric", "steps"])
@pytest.mark.parametrize("value", [None, 1.5])
def test_a_record_written_by_hand_is_named_with_its_key(make_run, key, value):
    run = make_run("finetune", 0, {"ru": "1010"})
    record = json.loads((run / "record.json").read_text())
    (run / "record.json").write_text(json.dumps(record | {key: value}))
    with pytest.raises(UserError, match=rf"^{run / 'record.json'}: its {key} is {value!r}"):
        build_comparison([("finetune", [run])])


def test_scores_must_average_to_the_recorded_metric(make_run):
    run = make_run("finetune", 0, {"ru": "1010"})
    path = run / "predictions" / "test" / "ru.jsonl"
    path.write_text(path.read_text().replace('"score": 0.0', '"score": 1.0', 1))
    with pytest.raises(UserError, match="accuracy 50.00 over 4 examples for test/ru, but .* average 75.00 over 4"):
        build_comparison([("finetune", [run])])


def test_a_comparison_needs_target_languages(make_run):
    run = make_run("x_maml", 0, {"en": "10", "tr": "11"}, training_languages=["tr"])
    with pytest.raises(UserError, match="no target language among en, tr, since en is the source and .* on tr"):
        build_comparison([("x_maml", [run])])


@pytest.mark.parametrize(
    ("labels", "message"),
    [([], "at least one row"), (["a", "b", "a"], "row 'a' was given 2 times"), (["a"], "row 'a' has no runs")],
)
def test_rows_need_labels_and_runs(labels, message):
    with pytest.raises(UserError, match=message):
        build_comparison([(label, []) for label in labels])


def test_an_unfinished_run_is_named(make_run):
    run = make_run("finetune", 0, {"ru": "10"})
    (run / "record.json").unlink()
    with pytest.raises(UserError, match=f"^{run}: .*record.json"):
        build_comparison([("finetune", [run])])
