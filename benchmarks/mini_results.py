"""Every recipe of a folder with several seeds: writes docs/results/<folder>.md and .png.

    python benchmarks/mini_results.py mini/xvnli mini/marvl --jobs 2
    python benchmarks/mini_results.py ablations/xvl_maml ablations/test_time --against no_inner_step --jobs 2

A row says how far it is from the English baseline and how far from another row, XVL-MAML's by default, with 95 %
intervals.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from fnmatch import fnmatch
from pathlib import Path

from iglue_plugins.experiments.launcher import Launch, require_all, run_all
from iglue_plugins.experiments.rows import expanded
from iglue_plugins.recipes.recipe import load_recipe
from iglue_plugins.reporting.comparison import Comparison, build_comparison
from iglue_plugins.reporting.details import details
from iglue_plugins.reporting.interval_wording import difference_text, interval_text
from iglue_plugins.reporting.plots import bar_chart
from iglue_plugins.reporting.wording import mean_text, std_text, title

ROOT = Path(__file__).parents[1]
MOST_BARS = 12  # a language, that can be told apart


def rows(
    paths: Sequence[Path], seeds: int, runs: Path, launch: Launch, settings: Sequence[str] = ()
) -> list[tuple[str, list[Path]]]:
    own = [f"runs={runs}", *settings]
    recipes = [load_recipe(path, [f"seed={seed}", *own]) for path in paths for seed in range(seeds)]
    require_all(recipes)
    folders = run_all(recipes, launch)
    return [(path.stem, folders[i * seeds : (i + 1) * seeds]) for i, path in enumerate(paths)]


def against(labelled: list[tuple[str, list[Path]]], first: str, split: str = "test") -> Comparison:
    return build_comparison(sorted(labelled, key=lambda row: row[0] != first), split)


def table(to_finetune: Comparison, to_second: Comparison) -> list[str]:
    second = to_second.rows[0].label
    other = {row.label: row.difference for row in to_second.rows}
    auxiliary = to_finetune.auxiliary[0]
    headers = (
        "",
        *to_finetune.sources,
        auxiliary,
        f"{len(to_finetune.targets)} targets",
        "to finetune",
        f"to {second}",
    )
    lines = [f"| {' | '.join(headers)} |", "|---|---:|---:|---:|---:|---:|"]
    for row in to_finetune.rows:
        scores = (
            *(row.languages[language] for language in to_finetune.sources),
            row.languages[auxiliary],
            row.target_mean,
        )
        cells = [f"{mean_text(score)} {std_text(score)}" for score in scores]
        cells += [
            f"{difference_text(interval)} {interval_text(interval)}" if interval else ""
            for interval in (row.difference, other[row.label])
        ]
        lines.append(f"| {row.label} | {' | '.join(cells)} |")
    return [*lines, "", *(f"- {note}" for note in details(to_finetune))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", help="below recipes/")
    parser.add_argument("--against", default="xvl_maml", help="the second row that all are compared with")
    parser.add_argument("--without", nargs="*", default=[], help="recipes to leave out, as patterns of their names")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--jobs", type=int, default=1)
    arguments = parser.parse_args()
    for folder in arguments.folders:
        name = folder.removeprefix("mini/").replace("/", "_")
        paths = [
            path
            for path in expanded([ROOT / "recipes" / folder])
            if not any(fnmatch(path.stem, pattern) for pattern in arguments.without)
        ]
        labelled = rows(paths, arguments.seeds, arguments.runs, Launch(jobs=arguments.jobs))
        comparison = against(labelled, "finetune")
        lines = [f"# {title(comparison)}", "", *table(comparison, against(labelled, arguments.against)), ""]
        if len(comparison.rows) <= MOST_BARS:
            bar_chart(comparison, ROOT / "docs/results" / f"{name}.png")
            lines += [f"![Scores by language]({name}.png)", ""]
        (ROOT / "docs/results" / f"{name}.md").write_text("\n".join(lines), encoding="utf-8")
        print("\n".join(lines))


if __name__ == "__main__":
    main()
