"""The numbers and sentences that tables, files and charts share."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from iglue_plugins import published
from iglue_plugins.evaluation.significance import RESAMPLES, Interval
from iglue_plugins.reporting.comparison import Comparison, LMMSEvalRow, PublishedRow, Row, Score

SIGNIFICANT = "*"
PUBLISHED_HEADING = f"published by {published.SOURCE}"
LMMS_EVAL_HEADING = "evaluated by lmms-eval"


class Block(NamedTuple):
    """Rows that are not of one's own runs, what stands over them, and what a legend says of them."""

    heading: str
    kind: str
    rows: tuple[PublishedRow, ...] | tuple[LMMSEvalRow, ...]


def blocks(comparison: Comparison) -> list[Block]:
    """The blocks below the comparison's own rows, those without rows left out."""
    every = Block(PUBLISHED_HEADING, "published", comparison.published), \
        Block(LMMS_EVAL_HEADING, "lmms-eval", comparison.lmms_eval)
    return [block for block in every if block.rows]


def mean_text(score: Score) -> str:
    return f"{score.mean:.1f}"


def std_text(score: Score) -> str:
    """The standard deviation after its sign, or nothing for a single seed."""
    return "" if score.std is None else f"±{score.std:.1f}"


def difference_text(interval: Interval) -> str:
    """The signed difference, starred if its interval excludes 0."""
    return f"{interval.difference:+z.1f}{SIGNIFICANT if interval.excludes_zero else ''}"


def interval_text(interval: Interval) -> str:
    return f"[{interval.low:z.1f}, {interval.high:z.1f}]"


def figure_text(figure: float | None) -> str:
    """A figure without a deviation, or a dash where there is none."""
    return "-" if figure is None else f"{figure:.1f}"


def title(comparison: Comparison) -> str:
    return f"{comparison.task}, {comparison.split} split: {comparison.metric} (%)"


def role(comparison: Comparison, language: str) -> str:
    """'source', 'auxiliary' or 'target'."""
    if language == comparison.source:
        return "source"
    return "auxiliary" if language in comparison.auxiliary else "target"


def describe(comparison: Comparison) -> list[str]:
    """One sentence per row after the first: whether, and by how much, it differs from the first."""
    return [_describe_row(comparison, row, row.difference) for row in comparison.rows if row.difference is not None]


def notes(comparison: Comparison) -> list[str]:
    """What a reader must know to read the numbers: averages, seeds, intervals, and the labels behind each row."""
    interval_notes = [_interval_note(comparison)] if len(comparison.rows) > 1 else []
    published_notes = [_published_note(comparison)] if comparison.published else []
    lmms_eval_notes = [_lmms_eval_note(comparison)] if comparison.lmms_eval else []
    return [_mean_note(comparison), _seeds_note(comparison), *interval_notes, *_training_notes(comparison.rows),
            *published_notes, *lmms_eval_notes]


def _describe_row(comparison: Comparison, row: Row, interval: Interval) -> str:
    first = comparison.rows[0].label
    amount = f"{interval.difference:+z.1f} {interval_text(interval)} points over {_targets(comparison)}"
    if not interval.excludes_zero:
        return f"no difference shown between {row.label} and {first}: {amount}"
    verdict = f"beats {first} by" if interval.difference > 0 else f"is worse than {first}:"
    return f"{row.label} {verdict} {amount}"


def _targets(comparison: Comparison) -> str:
    count = len(comparison.targets)
    return f"{count} target language{'s' if count > 1 else ''}"


def _mean_note(comparison: Comparison) -> str:
    auxiliary = f" and auxiliary {_listed(comparison.auxiliary)}" if comparison.auxiliary else ""
    return f"The mean is over {_targets(comparison)}, without source {comparison.source}{auxiliary}."


def _seeds_note(comparison: Comparison) -> str:
    if len(comparison.seeds) == 1:
        return f"One seed ({comparison.seeds[0]}), so no standard deviations."
    return f"Cells: mean ± standard deviation over {len(comparison.seeds)} seeds ({_listed(comparison.seeds)})."


def _interval_note(comparison: Comparison) -> str:
    drawn = "examples and seeds" if len(comparison.seeds) > 1 else "examples"
    return (
        f"The difference is to {comparison.rows[0].label}, in points, with the 95 % interval of {RESAMPLES} paired "
        f"bootstrap resamples of {drawn}; {SIGNIFICANT} where it excludes 0 (each row on its own)."
    )


def _published_note(comparison: Comparison) -> str:
    note = (
        f"Published figures: {published.SOURCE_IN_FULL}. They have no seeds, differences or intervals; their mean is "
        "over the same target languages"
    )
    if any(row.target_mean is None for row in comparison.published):
        note += " (- where one is lacking)"
    if comparison.metric == "recall@1":
        note += "; their recall@1 is the mean of the published image and text recall@1"
    every, labelled = published.ALL_AND_LABELLED.get(comparison.task, (0, 0))
    if labelled in comparison.examples.values():
        note += (f"; they count the {every - labelled} of {every} examples without a label as wrong, and are given "
                 f"over the other {labelled}, as all rows are")
    return f"{note}."


def _lmms_eval_note(comparison: Comparison) -> str:
    lacking = any(row.target_mean is None for row in comparison.lmms_eval)
    return ("Rows of lmms-eval are single runs without differences or intervals, over the same examples; their mean is "
            f"over the same target languages{' (- where one is lacking)' if lacking else ''}.")


def _training_notes(rows: tuple[Row, ...]) -> list[str]:
    """Labels and steps, and the auxiliary languages if not all rows trained on the same."""
    amounts = {row.label: f"{row.labels_per_step} labelled examples per step, {row.steps} steps" for row in rows}
    languages = {row.label: _listed(row.training_languages) or "none" for row in rows}
    found = []
    if _all_equal(amounts):
        found.append(f"Every row: {amounts[rows[0].label]}.")
    else:
        found.append(f"Rows differ in labels or steps: {_by_fact(amounts)}.")
    adapted = {row.label: row.adapted for row in rows if row.adapted}
    if adapted:
        found.append(f"A model of its own for each language but the source, adapted: {_by_fact(adapted)}.")
    if not _all_equal(languages):
        found.append(f"Rows differ in auxiliary languages trained on: {_by_fact(languages)}.")
    return found


def _all_equal(facts: dict[str, str]) -> bool:
    return len(set(facts.values())) == 1


def _by_fact(facts: dict[str, str]) -> str:
    """'a, b: 64 labels; c: 32 labels' from one fact per label."""
    distinct = dict.fromkeys(facts.values())
    return "; ".join(f"{_listed(label for label in facts if facts[label] == fact)}: {fact}" for fact in distinct)


def _listed(items: Iterable[object]) -> str:
    return ", ".join(map(str, items))
