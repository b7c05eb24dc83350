"""The tables and charts of the experiments on real photographs, from finished runs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from mini_results import against, table
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from iglue_plugins.evaluation.significance import Difference
from iglue_plugins.reporting.clustering import cluster_examples, pictured_examples
from iglue_plugins.reporting.interval_wording import difference_text, interval_text
from iglue_plugins.reporting.plots import COLOURS, bar_chart
from iglue_plugins.reporting.results import read_rows
from iglue_plugins.reporting.scores import Score, mean_over_languages, row_differences
from iglue_plugins.reporting.wording import mean_text, std_text

Labelled = list[tuple[str, list[Path]]]


@dataclass(frozen=True)
class Point:
    """The rows of a curve at one amount of data.

    Attributes:
        scores: The mean over the target languages, by start.
        differences: What it is above that of the control, by start; None for the control.
        gains: What it is above that of the start itself, by start.
    """

    scores: Mapping[str, Score]
    differences: Mapping[str, Difference | None]
    gains: Mapping[str, Difference]


def write_table(name: str, heading: str, labelled: Labelled, second: str, folder: Path) -> None:
    """Write a comparison with the first row and with another one, and its chart."""
    first = labelled[0][0]
    comparison = against(labelled, first)
    lines = [f"# {heading}", "", *table(comparison, against(labelled, second)), ""]
    lines += [f"{seconds_text([path for _, paths in labelled for path in paths])}", ""]
    bar_chart(comparison, folder / f"real_photographs_{name}.png")
    lines += [f"![Scores by language](real_photographs_{name}.png)", ""]
    _write(folder / f"real_photographs_{name}.md", lines)


def curve_point(labelled: Labelled, starts: Labelled, languages: Sequence[str], control: str) -> Point:
    """Compare rows with the control, and with what they start from, over some languages.

    Args:
        labelled: The runs of each start at an amount of data.
        starts: The runs of each start itself.
        languages: The target languages.
        control: The start that the others are compared with.
    """
    results, before = (read_rows(rows, "test", languages) for rows in (labelled, starts))
    every = [result for row in results.values() for result in row]
    groups, _ = cluster_examples(pictured_examples(every, languages))
    others = [label for label in results if label != control]
    found = row_differences(results[control], [(results[label], languages) for label in others], groups)
    return Point(
        {label: mean_over_languages(row, languages) for label, row in results.items()},
        {control: None, **dict(zip(others, found, strict=True))},
        {label: row_differences(before[label], [(row, languages)], groups)[0] for label, row in results.items()},
    )


def write_curve(
    name: str, heading: str, points: Mapping[int | str, Point], control: str, runs: Sequence[Path], folder: Path
) -> None:
    """Write the scores of each start by the amount of data, and how far each is from the control and from its start."""
    starts = list(next(iter(points.values())).scores)
    lines = [f"# {heading}", ""]
    others = [start for start in starts if start != control]
    adapted = {amount: point for amount, point in points.items() if amount != 0}
    for title, rows, columns, cell in (
        (
            "score",
            starts,
            points,
            lambda point, start: f"{mean_text(point.scores[start])} {std_text(point.scores[start])}",
        ),
        (f"to {control}", others, points, lambda point, start: _difference_cell(point.differences[start])),
        ("to its start", starts, adapted, lambda point, start: _difference_cell(point.gains[start])),
    ):
        lines += [f"| {title} | {' | '.join(map(str, columns))} |", f"|---{'|---:' * len(columns)}|"]
        lines += [f"| {start} | {' | '.join(cell(point, start) for point in columns.values())} |" for start in rows]
        lines.append("")
    detectable = [
        difference.detectable
        for point in points.values()
        for difference in point.differences.values()
        if difference is not None
    ]
    lines.append(
        f"A true difference of {min(detectable):.1f} to {max(detectable):.1f} points, as the row and column may be, is "
        f"found with a power of 80 %. {seconds_text(runs)}"
    )
    lines += ["", f"![Scores and differences by the amount of data](real_photographs_{name}.png)", ""]
    _draw_curve(points, starts, control, folder / f"real_photographs_{name}.png")
    _write(folder / f"real_photographs_{name}.md", lines)


def _difference_cell(difference: Difference | None) -> str:
    return f"{difference_text(difference)} {interval_text(difference)}" if difference else ""


def _draw_curve(points: Mapping[int | str, Point], starts: Sequence[str], control: str, path: Path) -> None:
    """Draw the scores and the differences; only amounts of the same data are connected, which are numbers."""
    figure = Figure(figsize=(9, 4), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    scores, differences = figure.subplots(1, 2)
    counted = [place for place, amount in enumerate(points) if isinstance(amount, int)]
    others = [place for place, amount in enumerate(points) if not isinstance(amount, int)]
    found = list(points.values())
    for number, start in enumerate(starts):
        color, shift = COLOURS[number % len(COLOURS)], 0.08 * (number - len(starts) / 2)
        for places, style, label in ((counted, "o-", start), (others, "o", None)):
            means = [found[place].scores[start].mean for place in places]
            scores.plot(places, means, style, color=color, label=label)
            chosen = [found[place].differences[start] for place in places]
            known = [difference for difference in chosen if difference is not None]
            if known:  # which the control has none of
                reach = [[one.difference - one.low for one in known], [one.high - one.difference for one in known]]
                shifted = [place + shift for place in places]
                differences.errorbar(
                    shifted, [one.difference for one in known], reach, fmt=style, capsize=2, color=color
                )
    differences.axhline(0, color="black", linewidth=0.8)
    for axes, label in ((scores, "mean of the targets"), (differences, f"points above {control}, 95 %")):
        axes.set_xticks(range(len(points)), [str(amount) for amount in points])
        axes.set(ylabel=label, xlabel="examples of the target language")
    figure.legend(loc="outside lower center", ncols=3, frameon=False, fontsize=8)
    figure.savefig(path)


def write_choices(made: Sequence[tuple[str, str, Mapping[str, float], str]], folder: Path) -> None:
    """Write what dev has chosen.

    Args:
        made: The recipe, the keys, the score of each value on dev, and the value that was taken.
        folder: Where the file goes.
    """
    lines = ["# Settings chosen on dev", "", "| recipe | setting | scores | chosen |", "|---|---|---|---|"]
    for recipe, keys, scores, chosen in made:
        listed = ", ".join(f"{value}: {score:.1f}" for value, score in scores.items())
        lines.append(f"| {recipe} | {keys} | {listed} | {chosen} |")
    _write(folder / "real_photographs_choices.md", [*lines, ""])


def write_learning_curves(runs: Mapping[str, Path], folder: Path) -> None:
    """Draw the losses of pre-training, and write them as a table of every hundredth step."""
    figure = Figure(figsize=(9, 3.5), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    lines = ["# Pre-training", ""]
    for axes, (name, run) in zip(figure.subplots(1, len(runs), squeeze=False)[0], runs.items(), strict=True):
        logged = EventAccumulator(str(run / "tensorboard"), size_guidance={"scalars": 0})
        logged.Reload()
        losses = sorted(tag for tag in logged.Tags()["scalars"] if tag.endswith("_loss") and "train_loss" not in tag)
        curves = {tag.removeprefix("train/"): {s.step: s.value for s in logged.Scalars(tag)} for tag in losses}
        for number, (loss, values) in enumerate(curves.items()):
            axes.plot(list(values), list(values.values()), color=COLOURS[number], label=loss)
        axes.set(title=name, xlabel="step", yscale="log")
        axes.legend(frameon=False, fontsize=8)
        shown = [step for step in next(iter(curves.values())) if step == 10 or step % 100 == 0]
        lines += [f"| {name} | {' | '.join(curves)} |", f"|---:{'|---:' * len(curves)}|"]
        lines += [f"| {step} | {' | '.join(f'{values[step]:.2f}' for values in curves.values())} |" for step in shown]
        lines += ["", seconds_text([run]), ""]
    figure.savefig(folder / "real_photographs_pretraining.png")
    lines += ["![Losses by step](real_photographs_pretraining.png)", ""]
    _write(folder / "real_photographs_pretraining.md", lines)


def seconds_text(runs: Sequence[Path]) -> str:
    """Say how long runs took, from their records, without the stages before them."""
    timings = [json.loads((run / "record.json").read_text())["timings"] for run in dict.fromkeys(runs)]
    training, evaluation = (
        sum(timing.get(key, 0) for timing in timings) / 60 for key in ("training_seconds", "evaluation_seconds")
    )
    return (
        f"{len(timings)} run{'s' * (len(timings) > 1)}: {training:.0f} minutes of training and {evaluation:.0f} of "
        "evaluation, on a core each."
    )


def _write(path: Path, lines: Sequence[str]) -> None:
    path.write_text("\n".join(lines), encoding="utf-8")
    print("\n".join(lines))
