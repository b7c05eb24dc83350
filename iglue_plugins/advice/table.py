"""Advice as tables in the terminal, and as sentences."""

from __future__ import annotations

from collections.abc import Iterator

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from iglue_plugins.advice.recommendation import Advice, Candidate, Ranking

UNITS = {"points": "points", "standard deviations": "sd"}


def render_advice(advice: Advice) -> Group:
    """Render a table for each ranking, with what there is to know below.

    Args:
        advice: The advice.
    """
    parts: list[Table | Text] = []
    for ranking in advice.rankings:
        targets = ranking.target or "all targets"
        title = f"{advice.task}: auxiliary languages for {targets} ({len(ranking.candidates)} candidates)"
        parts += [
            Text(title, style="bold"),
            _table(advice, ranking),
            Text(verdict(ranking, bool(advice.matrices))),
            Text(""),
        ]
    return Group(*parts, *(Text(sentence, style="dim") for sentence in sentences(advice)))


def _table(advice: Advice, ranking: Ranking) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 2, 0, 0))
    table.add_column("", no_wrap=True)
    measured = any(candidate.measured is not None for candidate in ranking.candidates)
    for name in ("advantage", "95 % interval", *(["measured"] if measured else [])):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column(f"reasons ({UNITS[advice.unit]})")
    for candidate in ranking.candidates:
        cells = [candidate.language, points(candidate.advantage), _interval(candidate.low, candidate.high)]
        if measured:
            cells.append("" if candidate.measured is None else points(candidate.measured))
        table.add_row(*map(Text, [*cells, _reasons(candidate)]))
    return table


def _reasons(candidate: Candidate) -> str:
    return "; ".join(f"{reason.text} ({reason.part:+.2f})" for reason in candidate.reasons)


def verdict(ranking: Ranking, fitted: bool) -> str:
    """Say which candidate is preferred, if any.

    Args:
        ranking: The ranking.
        fitted: Whether it was learned from scores.
    """
    best = ranking.candidates[0]
    if ranking.has_preference:
        return f"preferred: {best.language}" if fitted else f"the predictors agree on {best.language}"
    if best.low > 0:
        return "no preference: too few predictors to agree"
    return (
        f"no preference: the advantage of the first, {best.language}, over the median candidate may be 0 "
        f"({points(best.advantage)} {_interval(best.low, best.high)})"
    )


def points(number: float) -> str:
    """Format a difference with its sign; one that is rounded to 0 is +0.0."""
    return f"{number:+z.1f}"


def _interval(low: float, high: float) -> str:
    return f"[{low:z.1f}, {high:z.1f}]"


def sentences(advice: Advice) -> Iterator[str]:
    """Say what the numbers are, what was learned from, and what was left out.

    Args:
        advice: The advice.
    """
    if advice.matrices:
        yield (
            f"Advantages are over the median candidate, in points, learned from {', '.join(advice.matrices)}; the "
            "scores of a target change nothing in its ranking."
        )
    else:
        yield (
            "Nothing was fitted, since there are no scores of this task: advantages are over the median candidate, in "
            "standard deviations, by the mean of all predictors with equal weights."
        )
    if advice.first_choices is not None:
        mean, low, high = advice.first_choices
        yield (
            f"Of targets that are left out in turn, the first choice was measured to be {points(mean)} "
            f"{_interval(low, high)} points above the median candidate, on average."
        )
    if any(candidate.measured is not None for ranking in advice.rankings for candidate in ranking.candidates):
        yield "Measured are the advantages in these scores of the target."
    yield f"Predictors: {', '.join(advice.predictors) or 'none'}."
    by_reason: dict[str, list[str]] = {}
    for name, reason in advice.left_out.items():
        by_reason.setdefault(reason, []).append(name)
    yield from (f"Left out: {', '.join(names)} ({reason})." for reason, names in by_reason.items())
    yield from (f"{note[:1].upper()}{note[1:]}." for note in advice.notes)
