"""The numbers and sentences on differences and their intervals that tables, files and charts have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from iglue_plugins.evaluation.significance import RESAMPLES, Difference
from iglue_plugins.reporting.clustering import FEW, DrawnClusters
from iglue_plugins.reporting.results import join_names

SIGNIFICANT = "*"
SIGNIFICANT_CORRECTED = "**"


def significance_mark(difference: Difference | None) -> str:
    """Return the stars of a difference.

    Args:
        difference: The difference; None has no star.

    Returns:
        One star if the interval excludes 0, two if the interval corrected for several rows does too.
    """
    if difference is None or not difference.excludes_zero:
        return ""
    corrected = difference.compared > 1 and difference.excludes_zero_corrected
    return SIGNIFICANT_CORRECTED if corrected else SIGNIFICANT


def difference_text(difference: Difference) -> str:
    """Format a difference with its sign and its stars."""
    return f"{difference.difference:+z.1f}{significance_mark(difference)}"


def interval_text(difference: Difference) -> str:
    """Format the bounds of a difference's own 95 % interval."""
    return _bounds_text(difference.low, difference.high)


def corrected_text(difference: Difference) -> str:
    """Format the bounds of a difference's simultaneous 95 % interval."""
    return _bounds_text(difference.corrected_low, difference.corrected_high)


def _bounds_text(low: float, high: float) -> str:
    return f"[{low:z.1f}, {high:z.1f}]"


def points_text(points: float) -> str:
    """Format a margin, such as '1 point' or '0.5 points'."""
    return f"{points:g} point{'' if points == 1 else 's'}"


def difference_values(difference: Difference | None, margin: float | None) -> dict[str, Any]:
    """List all that is known of a difference, unrounded, for a file.

    Args:
        difference: The difference; None has no values.
        margin: The margin of the verdict, in points, or None.

    Returns:
        The difference's attributes, the difference that is detectable, and the verdict, which is None without a margin.
    """
    if difference is None:
        return {}
    verdict = None if margin is None else difference.verdict(margin)
    return {**asdict(difference), "detectable": difference.detectable, "verdict": verdict}


def describe_difference(label: str, other: str, difference: Difference, over: str, margin: float | None = None) -> str:
    """Describe the difference of a row to another row.

    Args:
        label: The label of the row.
        other: The label of the other row.
        difference: The difference, in points.
        over: What the difference is over, such as '13 target languages'.
        margin: The margin by which to judge the difference, in points, or None.

    Returns:
        A sentence that claims a difference only if the interval excludes 0, and says if the corrected one does not.
    """
    amount = f"{difference.difference:+z.1f} {interval_text(difference)} points over {over}"
    if not difference.excludes_zero:
        sentence = f"no difference shown between {label} and {other}: {amount}"
    else:
        verdict = f"beats {other} by" if difference.difference > 0 else f"is worse than {other}:"
        sentence = f"{label} {verdict} {amount}"
        if not difference.excludes_zero_corrected:
            sentence += f", not shown if corrected for {difference.compared} rows: {corrected_text(difference)}"
    if margin is not None:
        sentence += f"; by a margin of {points_text(margin)}: {difference.verdict(margin)}"
    return sentence


def targets_text(languages: Sequence[str]) -> str:
    """Format a number of target languages."""
    return f"{len(languages)} target language{'s' if len(languages) > 1 else ''}"


def difference_note(
    first: str,
    differences: Mapping[str, Difference],
    seeds: Sequence[int],
    drawn: DrawnClusters,
    margin: float | None,
) -> str:
    """Explain the differences of a table in a sentence; `interval_notes` says more, for the same arguments.

    Returns:
        The sentence; empty if there are neither differences nor a margin.
    """
    if not differences:
        return "" if margin is None else _unused_margin_note(margin)
    stars = f"{SIGNIFICANT} where they exclude 0"
    if len(differences) > 1:
        stars += f", {SIGNIFICANT_CORRECTED} where they do so corrected for all {len(differences)} rows"
    verdicts = "" if margin is None else f"; verdicts go by a margin of {points_text(margin)}"
    sizes = [difference.detectable for difference in differences.values()]
    range_text = " to ".join(dict.fromkeys(f"{size:.1f}" for size in (min(sizes), max(sizes))))
    return (
        f"Differences are to {first}, in points, with 95 % intervals of {RESAMPLES} paired bootstrap resamples of "
        f"{resampled_text(seeds, drawn)} ({stars}){verdicts}; true ones of {range_text} points are found with a "
        "power of 80 %."
    )


def caution_note(differences: Mapping[str, Difference], drawn: DrawnClusters) -> str:
    """Say in a sentence what makes the intervals of a table too narrow; empty if nothing does.

    Args:
        differences: The differences by the label of the row.
        drawn: The clusters of examples that the intervals resample.
    """
    sentences = [sentence.removesuffix(".") for sentence in _cluster_notes(drawn)] if differences else []
    return f"{'; '.join(sentences).replace('; The', '; the')}." if sentences else ""


def interval_notes(
    first: str,
    differences: Mapping[str, Difference],
    seeds: Sequence[int],
    drawn: DrawnClusters,
    margin: float | None,
) -> list[str]:
    """Explain the differences of a table: their intervals, stars, verdicts, and what could have been seen.

    Args:
        first: The label of the row that the differences are to.
        differences: The differences by the label of the row.
        seeds: The seeds of every row.
        drawn: The clusters of examples that the intervals resample.
        margin: The margin of the verdicts, in points, or None.

    Returns:
        The sentences.
    """
    if not differences:
        return [] if margin is None else [_unused_margin_note(margin)]
    sentences = [
        f"The difference is to {first}, in points, with the 95 % interval of {RESAMPLES} paired bootstrap resamples of "
        f"{resampled_text(seeds, drawn)}; {SIGNIFICANT} where it excludes 0 (each row on its own)."
    ]
    if len(differences) > 1:
        sentences.append(
            f"The corrected 95 % intervals hold for all {len(differences)} differences at once, by the same resamples; "
            f"{SIGNIFICANT_CORRECTED} where these exclude 0 too."
        )
    if margin is not None:
        sentences.append(_margin_note(margin))
    return [*sentences, _detectable_note(differences), *_cluster_notes(drawn)]


def _unused_margin_note(margin: float) -> str:
    return f"The margin of {points_text(margin)} is not used, since there is no difference to judge."


def resampled_text(seeds: Sequence[int], drawn: DrawnClusters) -> str:
    """Say what is resampled, such as '400 images and 5 seeds'."""
    return f"{drawn.number} {drawn.unit}" + (f" and {len(seeds)} seeds" if len(seeds) > 1 else "")


def _margin_note(margin: float) -> str:
    return (
        f"Verdicts by a margin of {points_text(margin)} go by the 90 % interval (two one-sided tests at 5 %, each row "
        f"on its own): equivalent between -{margin:g} and +{margin:g}, no worse above -{margin:g}, better above "
        f"+{margin:g}, worse below -{margin:g}, else undecided."
    )


def _detectable_note(differences: Mapping[str, Difference]) -> str:
    labels: dict[str, list[str]] = {}
    for label, difference in differences.items():
        labels.setdefault(f"{difference.detectable:.1f}", []).append(label)
    by_size = "; ".join(f"{size} ({join_names(of_size)})" for size, of_size in labels.items())
    return f"A true difference of this many points is found with a power of 80 %: {by_size}."


def _cluster_notes(drawn: DrawnClusters) -> list[str]:
    """Say what is not to be relied on, if anything is."""
    sentences = []
    if drawn.without_images:
        whose = "" if drawn.unit == "examples" else f" in {join_names(drawn.without_images)}"
        sentences.append(
            f"The predictions{whose} tell no images, so that examples count as independent; where they share images, "
            "the intervals are too narrow."
        )
    if drawn.few:
        sentences.append(
            f"The {drawn.unit} weigh as much as {drawn.effective:.1f} equal ones, and the largest has "
            f"{100 * drawn.largest:.0f} % of the weight; with fewer than {FEW} the intervals are too narrow to be "
            "relied on."
        )
    return sentences
