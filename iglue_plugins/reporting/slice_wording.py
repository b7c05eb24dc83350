"""What is said of slices: the notes below the tables, and whether gains grow from slice to slice."""

from __future__ import annotations

from iglue_plugins.evaluation.significance import RESAMPLES, Difference
from iglue_plugins.reporting.clustering import FEW
from iglue_plugins.reporting.interval_wording import (
    SIGNIFICANT,
    SIGNIFICANT_CORRECTED,
    caution_note,
    corrected_text,
    interval_text,
    resampled_text,
    targets_text,
)
from iglue_plugins.reporting.notes import seeds_text
from iglue_plugins.reporting.results import join_names
from iglue_plugins.reporting.slices import SlicedQuantity, SliceTable, range_text

NOUNS = {
    "objects": "objects of the images",
    "regions": "regions that the model reads",
    "length": "length of the text",
    "unseen": "unseen concepts that the text names",
}


def slope_name(quantity: SlicedQuantity) -> str:
    """Name the row of slopes, such as '3 minus 2' or 'long minus short'."""
    return f"{quantity.slices[-1].name} minus {quantity.slices[0].name}"


def slice_notes(table: SliceTable) -> list[str]:
    """Explain the numbers of slices.

    Args:
        table: The slices.

    Returns:
        The sentences below the tables.
    """
    mean = f"the mean over {targets_text(table.targets)} of the mean over its examples"
    found = [f"Scores are {seeds_text(table.seeds)}; that of a slice is {mean}."] if table.quantities else []
    if table.quantities and table.differences:
        found.append(_difference_note(table))
    for quantity in table.quantities:
        found += [_length_note(quantity)] if quantity.name == "length" else []
        found += [
            f"Slices by {quantity.name} are without {join_names(languages)}, since {reason}."
            for reason, languages in _languages_without(quantity).items()
        ]
        found += _few_notes(table, quantity)
    found += [caution] if (caution := caution_note(table.differences, table.drawn)) else []
    return [*found, *(f"There are no slices by {name}, since {reason}." for name, reason in table.left_out.items())]


def _languages_without(quantity: SlicedQuantity) -> dict[str, list[str]]:
    """List the languages that are left out for each reason."""
    by_reason: dict[str, list[str]] = {}
    for language, reason in quantity.without.items():
        by_reason.setdefault(reason, []).append(language)
    return by_reason


def _difference_note(table: SliceTable) -> str:
    every = [difference for quantity in table.quantities for difference in _differences(quantity)]
    numbers = join_names(f"{len(_differences(quantity))} by {quantity.name}" for quantity in table.quantities)
    sizes = [difference.detectable for difference in every]
    range_of_sizes = " to ".join(dict.fromkeys(f"{size:.1f}" for size in (min(sizes), max(sizes))))
    return (
        f"Differences are to {table.labels[0]}, in points, with 95 % intervals of {RESAMPLES} paired bootstrap "
        f"resamples of {resampled_text(table.seeds, table.drawn)} ({SIGNIFICANT} where they exclude 0, "
        f"{SIGNIFICANT_CORRECTED} where they do so corrected for all differences of a table: {numbers}; in the line of "
        "all examples for those of that line, as in a comparison); true ones of "
        f"{range_of_sizes} points are found with a power of 80 %."
    )


def _differences(quantity: SlicedQuantity) -> list[Difference]:
    of_slices = [difference for each in quantity.slices for difference in each.differences.values()]
    return [*of_slices, *quantity.slopes.values()]


def _length_note(quantity: SlicedQuantity) -> str:
    units = {
        unit: [name for name, of_name in quantity.units.items() if of_name == unit] for unit in ("words", "characters")
    }
    unit = next(unit for unit, languages in units.items() if languages)
    if all(units.values()):
        unit = f"words (in characters in {join_names(units['characters'])})"
    first = next(iter(quantity.units))
    example = ", ".join(range_text(each.ranges[first]) for each in quantity.slices)
    cut = "cut at the terciles of each language as far as equal lengths allow"
    return f"Length is in {unit}, {cut}: in {first} {example}."


def _few_notes(table: SliceTable, quantity: SlicedQuantity) -> list[str]:
    """Say which slices have too few clusters for their intervals to be relied on."""
    if not table.differences or table.drawn.few:
        return []
    few = {each.name: f"{each.effective:.1f}" for each in quantity.slices if each.effective < FEW}
    if not few:
        return []
    counts = join_names(f"{name} ({count})" for name, count in few.items())
    return [
        f"By {quantity.name}, the {table.drawn.unit} of these slices weigh as much as so many equal ones: {counts}; "
        f"with fewer than {FEW} the intervals are too narrow to be relied on."
    ]


def describe_slopes(table: SliceTable) -> list[str]:
    """Describe whether the gains of rows over the first one grow from the first slice to the last.

    Args:
        table: The slices.

    Returns:
        A sentence for each quantity and row.
    """
    return [
        _describe_slope(table, quantity, label, slope)
        for quantity in table.quantities
        for label, slope in quantity.slopes.items()
    ]


def _describe_slope(table: SliceTable, quantity: SlicedQuantity, label: str, slope: Difference) -> str:
    first, last = quantity.slices[0].name, quantity.slices[-1].name
    what = f"{label}'s difference to {table.labels[0]}"
    amount = f"{slope.difference:+z.1f} {interval_text(slope)} points from {first} to {last}"
    if not slope.excludes_zero:
        return f"{what} is not shown to change with the {NOUNS[quantity.name]}: {amount}"
    sentence = f"{what} {'rises' if slope.difference > 0 else 'falls'} with the {NOUNS[quantity.name]}: {amount}"
    if not slope.excludes_zero_corrected:
        sentence += f", not shown if corrected for {slope.compared} differences: {corrected_text(slope)}"
    return sentence
