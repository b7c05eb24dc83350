"""Every recipe of recipes/mini/<task> with five seeds: writes docs/results/<task>.md and .png.

    python benchmarks/mini_results.py xvnli marvl --jobs 2

A row says how far a trainer is from the English baseline and how far it is from XVL-MAML, with 95 % intervals.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from iglue_plugins import comparing
from iglue_plugins.launching import Launch, run_all
from iglue_plugins.recipes import load_recipe
from iglue_plugins.reporting.comparison import Comparison, build_comparison
from iglue_plugins.reporting.plots import bar_chart
from iglue_plugins.reporting.wording import difference_text, interval_text, mean_text, notes, std_text, title

ROOT = Path(__file__).parents[1]
SEEDS = range(5)


def rows(task: str, runs: Path, jobs: int) -> list[tuple[str, list[Path]]]:
    paths = comparing.expanded([ROOT / "recipes/mini" / task])
    recipes = [load_recipe(path, [f"seed={seed}", f"runs={runs}"]) for path in paths for seed in SEEDS]
    folders = run_all(recipes, Launch(jobs=jobs))
    return [(path.stem, folders[i * len(SEEDS) : (i + 1) * len(SEEDS)]) for i, path in enumerate(paths)]


def against(labelled: list[tuple[str, list[Path]]], first: str) -> Comparison:
    return build_comparison(sorted(labelled, key=lambda row: row[0] != first))


def table(labelled: list[tuple[str, list[Path]]]) -> list[str]:
    to_finetune, to_xvl_maml = against(labelled, "finetune"), against(labelled, "xvl_maml")
    other = {row.label: row.difference for row in to_xvl_maml.rows}
    auxiliary = to_finetune.auxiliary[0]
    headers = ("", to_finetune.source, auxiliary, f"{len(to_finetune.targets)} targets", "to finetune", "to xvl_maml")
    lines = [f"| {' | '.join(headers)} |", "|---|---:|---:|---:|---:|---:|"]
    for row in to_finetune.rows:
        scores = (row.languages[to_finetune.source], row.languages[auxiliary], row.target_mean)
        cells = [f"{mean_text(score)} {std_text(score)}" for score in scores]
        cells += [f"{difference_text(interval)} {interval_text(interval)}" if interval else ""
                  for interval in (row.difference, other[row.label])]
        lines.append(f"| {row.label} | {' | '.join(cells)} |")
    return [*lines, "", *(f"- {note}" for note in notes(to_finetune))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tasks", nargs="+", choices=["xvnli", "xgqa", "marvl", "xflickrco"])
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--jobs", type=int, default=1)
    arguments = parser.parse_args()
    for task in arguments.tasks:
        labelled = rows(task, arguments.runs, arguments.jobs)
        comparison = against(labelled, "finetune")
        text = "\n".join([f"# {title(comparison)}", "", *table(labelled), "", f"![Scores by language]({task}.png)", ""])
        (ROOT / "docs/results" / f"{task}.md").write_text(text, encoding="utf-8")
        bar_chart(comparison, ROOT / "docs/results" / f"{task}.png")
        print(text)


if __name__ == "__main__":
    main()
