"""Advice for a task: which languages are candidates and targets, what is learned from, and the rankings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from transformers import PreTrainedTokenizerBase

from iglue_plugins.advice.features import Features, make_features
from iglue_plugins.advice.matrix import TransferMatrix, read_matrix, shipped_matrix
from iglue_plugins.advice.quality import mean_interval
from iglue_plugins.advice.recommendation import Advice, Ranking, rank_by_agreement, rank_by_scores
from iglue_plugins.advice.texts import LAST_RESORT, LanguageTexts, read_texts
from iglue_plugins.advice.uncertainty import LearnedScores, first_choice_advantages
from iglue_plugins.runs.trained_model import TrainedModel
from iglue_plugins.tasks.base import Task
from iglue_plugins.utils.errors import UserError, did_you_mean

TEXTS = 1000  # of each language


def advise(
    task: Task,
    source_languages: Sequence[str],
    tokenizer: PreTrainedTokenizerBase | str,
    trained: TrainedModel | None = None,
    matrices: Sequence[Path] = (),
    targets: Sequence[str] = (),
    candidates: Sequence[str] = (),
) -> Advice:
    """Rank auxiliary languages for target languages; nothing is trained, and no label is read.

    Args:
        task: The task, whose texts are read.
        source_languages: The source languages, which are neither targets nor candidates.
        tokenizer: The tokenizer of the model that is to be trained; or a text that says why there is none.
        trained: A model whose vectors of texts are compared; None leaves NN-Rank out.
        matrices: Files of sweeps to learn from; by default the one that ships for the task, from its source language.
        targets: The target languages, each of which gets a ranking; by default all, which get one together.
        candidates: The auxiliary languages to rank; by default all with auxiliary examples.

    Returns:
        The rankings.

    Raises:
        UserError: A language is none of the task's, a source language, or without auxiliary examples; a target has
            less than two candidates, or no texts; a matrix cannot be learned from.
    """
    languages = [language for language in task.languages if language not in source_languages]
    _check(task, source_languages, languages, targets, "--target")
    _check(task, source_languages, languages, candidates, "--candidates")
    texts, notes = _read_all(task, languages, {*targets, *candidates})
    chosen = _candidates(task, texts, candidates)
    notes += [] if candidates else [f"'{name}' is no candidate: {of.reason}" for name, of in texts.items() if of.reason]
    places = {language: place for place, language in enumerate(texts)}
    rows = {
        places[target]: [places[language] for language in chosen if language != target]
        for target in dict.fromkeys(targets or _with_choice(texts, chosen))
    }
    for target, of_target in rows.items():
        _require_candidates(list(texts)[target], len(of_target))
    features = make_features(texts, tokenizer, trained, task.max_text_length)
    shipped = None if matrices else _shipped(task, source_languages, notes)
    paths = list(matrices) or ([shipped] if shipped else [])
    read = [read_matrix(path, list(texts)) for path in paths]
    if not read and not features.predictors:
        raise UserError(f"task {task.name}: no predictor tells its languages apart; give scores of a sweep by --matrix")
    rankings = tuple(
        _rank(features, read, target, rows if target is None else {places[target]: rows[places[target]]})
        for target in (dict.fromkeys(targets) or [None])
    )
    return Advice(
        task.name,
        "points" if read else "standard deviations",
        tuple(_named(path, shipped) for path in paths),
        _first_choices(features, read) if read else None,
        tuple(predictor.name for predictor in features.predictors),
        features.left_out,
        tuple(notes),
        rankings,
    )


def _rank(
    features: Features, matrices: Sequence[TransferMatrix], target: str | None, rows: Mapping[int, Sequence[int]]
) -> Ranking:
    return rank_by_scores(features, matrices, target, rows) if matrices else rank_by_agreement(features, target, rows)


def _shipped(task: Task, source_languages: Sequence[str], notes: list[str]) -> Path | None:
    """Find the matrix that ships for a task; where it is of another source, that is noted."""
    shipped = shipped_matrix(task.name)
    if shipped is None or tuple(source_languages) == (task.source_language,):
        return shipped
    notes.append(f"the matrix that ships is of source {task.source_language}, and is left out")
    return None


def _first_choices(features: Features, matrices: Sequence[TransferMatrix]) -> tuple[float, float, float]:
    learned = LearnedScores(features.values, tuple(matrix.scores for matrix in matrices))
    return mean_interval(first_choice_advantages(learned))


def _named(path: Path, shipped: Path | None) -> str:
    return "the matrix that ships for the task" if path == shipped else str(path)


def _check(
    task: Task, source_languages: Sequence[str], languages: Sequence[str], given: Sequence[str], option: str
) -> None:
    """Check that languages are target languages of the task."""
    for language in given:
        if language in source_languages:
            raise UserError(f"{option}: '{language}' is a source language; name another language of task {task.name}")
        if language not in languages:
            raise UserError(
                f"{option}: task {task.name} has no language '{language}'{did_you_mean(language, languages)}"
            )


def _read_all(task: Task, languages: Sequence[str], required: set[str]) -> tuple[dict[str, LanguageTexts], list[str]]:
    """Read the texts of all languages; those that are not required may have none, which is noted."""
    found: dict[str, LanguageTexts] = {}
    notes: list[str] = []
    for language in languages:
        try:
            found[language] = read_texts(task, language, TEXTS)
        except UserError as error:
            if language in required or not found and language == languages[-1]:
                raise
            notes.append(f"'{language}' is left out: {error}")
    if tested := [language for language, of in found.items() if of.examples.split == LAST_RESORT]:
        notes.append(f"texts in {', '.join(tested)} are those of the test split, without their labels")
    return found, notes


def _candidates(task: Task, texts: Mapping[str, LanguageTexts], given: Sequence[str]) -> list[str]:
    """Return the languages that can be trained on."""
    trainable = [language for language, of in texts.items() if of.size]
    if not trainable:
        raise UserError(
            f"task {task.name}: there are no auxiliary examples in any language ({next(iter(texts.values())).reason}); "
            "give their data, or a recipe that says where they are"
        )
    for language in given:
        if language not in trainable:
            raise UserError(
                f"--candidates: task {task.name} has no auxiliary examples in '{language}' ({texts[language].reason})"
                f"{did_you_mean(language, trainable)}"
            )
    return list(dict.fromkeys(given)) or trainable


def _with_choice(texts: Mapping[str, LanguageTexts], candidates: Sequence[str]) -> list[str]:
    """Return the languages with at least two candidates beside themselves.

    Raises:
        UserError: There is none, since there is only one candidate.
    """
    found = [target for target in texts if len(set(candidates) - {target}) > 1]
    if not found:
        raise UserError(
            f"--candidates: for no target of the task are there two candidates besides itself among "
            f"{', '.join(candidates)}; name more"
        )
    return found


def _require_candidates(target: str, count: int) -> None:
    if count < 2:
        remaining = "is the only candidate itself" if count == 0 else "has only one candidate beside itself"
        raise UserError(f"--target: '{target}' {remaining}, so that there is nothing to rank; name more --candidates")
