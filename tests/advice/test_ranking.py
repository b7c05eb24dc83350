"""The ranking model: it finds the predictor that determines scores, and learns nothing from what is left out."""

from __future__ import annotations

import made_advice as made
import numpy as np
import pytest

from iglue_plugins.advice import ranking, uncertainty
from iglue_plugins.advice.ranking import centre_columns, elsewhere, fit_without, predict_left_out, target_counts
from iglue_plugins.advice.recommendation import rank_by_agreement, rank_by_scores


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uncertainty, "RESAMPLES", 150)


def test_scores_of_a_row_elsewhere_leave_out_the_target_itself() -> None:
    scores = np.array([[[np.nan, 1, 5], [2, np.nan, 7], [4, 3, np.nan]]], dtype=float)
    found = elsewhere(scores, np.ones(3))
    np.testing.assert_array_equal(found, [[3, 5, 1], [7, 4.5, 2], [3, 4, 3.5]])
    twice = elsewhere(scores, np.array([0, 1, 3.0]))
    assert twice[0].tolist() == [4, 5, 1]
    assert np.isnan(elsewhere(scores, np.array([0, 0, 1.0]))[1, 2])


def test_a_predictor_that_determines_the_scores_is_found() -> None:
    features = made.features()
    matrix = made.matrix(60 + 2 * features.values[1])
    found = rank_by_scores(features, [matrix], "c", made.candidates(2))
    expected = sorted(
        (language for language in made.LANGUAGES if language != "c"),
        key=lambda language: -features.values[1, made.LANGUAGES.index(language), 2],
    )
    assert [candidate.language for candidate in found.candidates] == expected
    assert found.has_preference
    assert {candidate.reasons[0].predictor for candidate in found.candidates if candidate.reasons} == {"p1"}
    best = found.candidates[0]
    assert best.advantage == pytest.approx(best.measured, abs=0.1)
    assert best.low > 3


def test_first_choices_are_measured_on_targets_that_are_left_out() -> None:
    features = made.features()
    scores = made.matrix(60 + 2 * features.values[1]).scores
    found = uncertainty.first_choice_advantages(uncertainty.LearnedScores(features.values, (scores,)))
    np.testing.assert_allclose(found, np.nanmax(scores[0], 0) - np.nanmedian(scores[0], 0))


def test_noise_gives_no_preference() -> None:
    features = made.features()
    noise = [60 + np.random.default_rng(seed).normal(size=(8, 8)) for seed in range(1, 11)]
    found = [rank_by_scores(features, [made.matrix(scores)], "c", made.candidates(2)) for scores in noise]
    assert sum(ranking.has_preference for ranking in found) <= 1


def test_a_language_that_always_helps_is_preferred_for_all_targets_at_once() -> None:
    features = made.features()
    scores = 60 + np.random.default_rng(1).normal(scale=0.3, size=(3, 8, 8))
    scores[:, 4] += 5
    rows = {target: made.candidates(target)[target] for target in range(8)}
    found = rank_by_scores(features, [made.matrix(scores)], None, rows)
    assert (found.target, found.candidates[0].language, found.has_preference) == (None, "e", True)
    assert found.candidates[0].reasons[0].predictor == "elsewhere"


@pytest.mark.parametrize("target", [0, 3])
def test_scores_of_the_target_that_is_left_out_change_nothing(target: int) -> None:
    features = made.features()
    scores = 60 + np.random.default_rng(2).normal(size=(8, 8))
    changed = scores.copy()
    changed[:, target] = np.random.default_rng(3).permutation(changed[:, target]) * 7
    of_both = [centre_columns(made.matrix(values).scores) for values in (scores, changed)]
    one, other = (predict_left_out(features.values, centred)[0, :, target] for centred in of_both)
    np.testing.assert_array_equal(one, other)
    rankings = [
        rank_by_scores(features, [made.matrix(values)], "x", made.candidates(target)) for values in (scores, changed)
    ]
    shown = [[(c.language, c.advantage, c.low, c.high) for c in ranking.candidates] for ranking in rankings]
    assert shown[0] == shown[1]
    assert [c.measured for c in rankings[0].candidates] != [c.measured for c in rankings[1].candidates]


def test_scores_of_other_targets_do_change_it() -> None:
    features = made.features()
    scores = 60 + 2 * features.values[1]
    changed = 60 + 2 * features.values[2]
    changed[:, 2] = scores[:, 2]
    one, other = (predict_left_out(features.values, centre_columns(made.matrix(v).scores)) for v in (scores, changed))
    assert not np.allclose(one[0, [0, 1, 3], 2], other[0, [0, 1, 3], 2])


def test_columns_of_the_same_target_in_another_matrix_are_left_out_too() -> None:
    features = made.features()
    centred = centre_columns(np.concatenate([made.matrix(60 + features.values[number]).scores for number in (0, 1)]))
    changed = centred.copy()
    changed[1, :, 5] *= -9
    one, other = (fit_without(features.values, scores, 5).weights for scores in (centred, changed))
    np.testing.assert_array_equal(one, other)


def test_a_predictor_that_is_unknown_or_constant_weighs_nothing() -> None:
    features = made.features(3)
    features.values[0], features.values[1] = 4.0, np.nan
    fitted = fit_without(features.values, centre_columns(made.matrix(60 + features.values[2]).scores), 0)
    assert fitted.weights[:2].tolist() == [0, 0]
    assert fitted.weights[2] > 0.9


def test_noise_takes_the_largest_penalty_more_often_than_a_law() -> None:
    features = made.features(1)
    law = centre_columns(made.matrix(60 + features.values[0]).scores)
    assert ranking.choose_penalty(features.values, law, target_counts(law)) == ranking.PENALTIES[0]


def test_intervals_are_wider_where_seeds_disagree() -> None:
    features = made.features()
    scores = np.stack([60 + 2 * features.values[1]] * 4)
    shaken = scores + np.random.default_rng(4).normal(scale=2, size=scores.shape)
    widths = []
    for values in (scores, shaken):
        best = rank_by_scores(features, [made.matrix(values)], "c", made.candidates(2)).candidates[0]
        widths.append(best.high - best.low)
    assert widths[1] > 2 * widths[0]


def test_without_scores_predictors_agree_with_equal_weights() -> None:
    features = made.features()
    features.values[:] = np.arange(8.0)[:, None] + 0.01 * features.values
    found = rank_by_agreement(features, "a", made.candidates(0))
    assert [candidate.language for candidate in found.candidates] == list("hgfedcb")
    assert found.has_preference
    assert found.candidates[3].advantage == 0
    assert {candidate.measured for candidate in found.candidates} == {None}


def test_predictors_that_disagree_or_are_few_prefer_nothing() -> None:
    features = made.features()
    features.values[:2] = np.arange(8.0)[:, None]
    features.values[2:] = -features.values[:2]
    assert not rank_by_agreement(features, "a", made.candidates(0)).has_preference
    few = made.features(2)
    few.values[:] = np.arange(8.0)[:, None]
    found = rank_by_agreement(few, "a", made.candidates(0))
    assert found.candidates[0].low > 0
    assert not found.has_preference
