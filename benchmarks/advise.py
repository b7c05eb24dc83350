"""How good is advice on auxiliary languages? Writes docs/results/advise.md.

    python benchmarks/advise.py --model runs/finetune-<fingerprint>

Each target language of a matrix is left out in turn, together with its column, and the ranking of the auxiliary
languages by what the other columns teach is scored by that column. Intervals are of a bootstrap over target languages.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import numpy as np

from iglue_plugins.advice.advisor import TEXTS
from iglue_plugins.advice.agreement import votes
from iglue_plugins.advice.features import Features, make_features
from iglue_plugins.advice.matrix import read_matrix, shipped_matrix
from iglue_plugins.advice.quality import mean_interval, ndcg, regret
from iglue_plugins.advice.ranking import elsewhere, predict_left_out, target_counts
from iglue_plugins.advice.recommendation import rank_by_scores
from iglue_plugins.advice.texts import read_texts
from iglue_plugins.advice.tokenizers import find_tokenizer
from iglue_plugins.advice.uncertainty import LearnedScores, first_choice_advantages
from iglue_plugins.recipes.recipe import load_recipe
from iglue_plugins.runs.plugins import make_task
from iglue_plugins.runs.sharing.download import find_run
from iglue_plugins.runs.trained_model import load_trained

ROOT = Path(__file__).parents[1]


def interval(values: np.ndarray, digits: int) -> str:
    mean, low, high = mean_interval(values)
    return f"{mean:z.{digits}f} [{low:z.{digits}f}, {high:z.{digits}f}]"


def quality(predicted: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """NDCG@3 and regret of each target that has scores."""
    found = []
    for target in np.flatnonzero((~np.isnan(scores)).any(0)):
        rows = np.flatnonzero(~np.isnan(scores[:, target]))
        column = predicted[rows, target]
        if np.isnan(column).any():  # not known, which is in the middle; of a whole column, all are the same
            column = np.nan_to_num(column, nan=float(np.nanmean(column)) if not np.isnan(column).all() else 0.0)
        found.append((ndcg(column, scores[rows, target]), regret(column, scores[rows, target])))
    return tuple(np.array(found).T)


def equal_weights(features: Features) -> np.ndarray:
    """What `iglue advise` ranks by where nothing can be fitted: (L, L)."""
    size = len(features.languages)
    found = np.full((size, size), np.nan)
    for target in range(size):
        rows = [row for row in range(size) if row != target]
        found[rows, target] = votes(features, target, rows).mean(0)
    return found


def comparison(features: Features, scores: np.ndarray) -> list[str]:
    """The table of all ways to rank, on centred scores (L, L)."""
    left_out = predict_left_out(features.values, scores[None])[0]
    ways = {
        "the model": left_out,
        "the same language for all targets": elsewhere(scores[None], target_counts(scores[None])),
        "random": np.zeros_like(scores),
        "all predictors with equal weights": equal_weights(features),
    }
    ways |= {p.name: p.sign * values for p, values in zip(features.predictors, features.values, strict=True)}
    found = {name: quality(predicted, scores) for name, predicted in ways.items()}
    lines = ["| ranked by | NDCG@3 | regret | regret less random's |", "|---|---:|---:|---:|"]
    for name, (gain, lost) in found.items():
        against = "" if name == "random" else interval(lost - found["random"][1], 2)
        lines.append(f"| {name} | {interval(gain, 2)} | {interval(lost, 2)} | {against} |")
    error = np.nanmean((scores - left_out) ** 2) / np.nanmean(scores**2)
    lost = found["the model"][1] - found["the same language for all targets"][1]
    return [
        *lines,
        "",
        f"- The model's regret less that of the same language for all targets: {interval(lost, 2)}.",
        f"- On targets that it has not seen, the model explains {100 * (1 - error):.0f} % of the variance between "
        "rows.",
    ]


def noise(path: Path, scores: np.ndarray, seeds: int) -> str:
    """How far rows differ, beside what seeds do to a row's mean."""
    with path.open(encoding="utf-8") as file:
        deviations = [float(row["mean_unseen_std"]) for row in csv.DictReader(file) if row["trained_on"]]
    of_seed = np.sqrt(np.mean(np.square(deviations)))
    of_rows = np.nanmean(scores, 1).std(ddof=1)
    return (
        f"- Scores of a target differ by {np.nanstd(scores):.2f} points (standard deviation over auxiliary languages), "
        f"the means of rows by {of_rows:.2f}. A row's mean of one seed deviates by {of_seed:.2f} points, its mean of "
        f"{seeds} seeds by about {of_seed / np.sqrt(seeds):.2f}."
    )


def preferences(features: Features, matrix) -> str:
    """How often there is a preference, and how often intervals hold what was measured."""
    size = len(features.languages)
    preferred, held, candidates = 0, 0, 0
    for target, language in enumerate(features.languages):
        rows = [row for row in range(size) if row != target]
        ranking = rank_by_scores(features, [matrix], language, {target: rows})
        preferred += ranking.has_preference
        measured = [candidate for candidate in ranking.candidates if candidate.measured is not None]
        held += sum(candidate.low <= candidate.measured <= candidate.high for candidate in measured)
        candidates += len(measured)
    first = first_choice_advantages(LearnedScores(features.values, (matrix.scores,)))
    return (
        f"- `iglue advise` prefers a language for {preferred} of {size} targets. Its 95 % intervals hold {held} of "
        f"{candidates} measured advantages ({100 * held / candidates:.0f} %). The first of each ranking was measured "
        f"to be {interval(first, 2)} points above the median candidate."
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", type=Path, default=ROOT / "recipes/mini/xvnli/xvl_maml.yaml")
    parser.add_argument("--matrix", type=Path, help="matrix.csv of a sweep; default: the one that ships")
    parser.add_argument("--seeds", type=int, default=5, help="of the matrix")
    parser.add_argument("--model", type=Path, help="a run, for NN-Rank")
    arguments = parser.parse_args()
    recipe = load_recipe(arguments.recipe)
    task = make_task(recipe)
    path = arguments.matrix or shipped_matrix(task.name)
    texts = {code: read_texts(task, code, TEXTS) for code in task.languages if code != recipe.source_language}
    trained = load_trained(find_run(arguments.model))[1] if arguments.model else None
    features = make_features(texts, find_tokenizer(recipe), trained, task.max_text_length)
    matrix = read_matrix(path, features.languages)
    scores = LearnedScores(features.values, (matrix.scores,)).centred()[0]
    lines = [
        f"# Advice on {task.name}: {matrix.size[0]} auxiliary languages, {matrix.size[1]} targets left out in turn",
        "",
        *comparison(features, scores),
        noise(path, scores, arguments.seeds),
        preferences(features, matrix),
        *(f"- Left out: {name} ({reason})." for name, reason in features.left_out.items()),
        "",
    ]
    (ROOT / "docs/results/advise.md").write_text("\n".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
