"""The experiments of docs/real_photographs.md, from a folder with Flickr8k and its captions to the tables and charts.

    python benchmarks/real_photographs.py FOLDER WORK                 # everything, a few hours of two cores
    python benchmarks/real_photographs.py FOLDER WORK --steps prepare pretrain main

FOLDER is read only; region store, models and runs go to WORK, tables and charts to docs/results/. What is finished is
not done again, so the same command goes on after an interruption. Steps, in the order in which they run:

    prepare     the region store, and XVNLI's rows with captions beside them; no test photograph is trained on
    pretrain    both models, once
    tune        learning rates by dev alone, written into the recipes
    main        all rows of both tasks and models
    adapt       unlabelled captions and labelled examples of the target languages
    languages   Arabic and German as auxiliary languages
    losses      false negatives, temperature and batch size of the contrastive loss
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # a run a core; read when PyTorch is imported

from iglue_plugins.experiments.launcher import Launch, require_all, run_all
from iglue_plugins.recipes.recipe import Recipe, load_recipe
from iglue_plugins.utils.errors import UserError, exit_on_user_error

STEPS = ("prepare", "pretrain", "tune", "main", "adapt", "languages", "losses")
STORE = "regions"
CAPTION_LANGUAGES = ("zh", "ar")  # whose captions are unlabelled auxiliary data of XVNLI
RESULTS = Path(__file__).parents[1] / "docs" / "results"
MODELS = ("dual_encoder", "xuniter")
TUNING_SEED = 100


def read_rows(path: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def check_photographs(folder: Path) -> None:
    """Check that no photograph is in two splits, over captions and entailment pairs together.

    Raises:
        UserError: One is.
    """
    split_of: dict[str, str] = {}
    for path in sorted([*folder.glob("captions/*.jsonl"), *folder.glob("nli/*.jsonl")]):
        for row in read_rows(path):
            if split_of.setdefault(row["image"], row["split"]) != row["split"]:
                raise UserError(
                    f"{path}: the photograph {row['image']} is in the splits {split_of[row['image']]} and "
                    f"{row['split']}; leave its rows out of one of them"
                )


def prepare(folder: Path, work: Path) -> None:
    """Make the region store, and rows of XVNLI beside captions without labels."""
    from iglue_plugins.data.conversion.converter import convert

    check_photographs(folder)
    convert([folder / "regions.h5"], work / STORE, "h5")
    (work / "nli").mkdir(exist_ok=True)
    for path in sorted((folder / "nli").glob("*.jsonl")):
        rows = path.read_text(encoding="utf-8")
        (work / "nli" / path.name).write_text(rows, encoding="utf-8")
    for language in CAPTION_LANGUAGES:
        rows = [row for row in read_rows(folder / "captions" / f"{language}.jsonl") if row["split"] == "train"]
        with (work / "nli" / f"{language}.jsonl").open("a", encoding="utf-8") as file:
            for row in rows:
                text = {"premise": row["caption"], "hypothesis": row["caption"], "label": "entailment"}
                kept = {"id": row["id"], "image": row["image"], "split": "auxiliary", **text}
                file.write(json.dumps(kept, ensure_ascii=False) + "\n")


class Experiments:
    """Runs rows of recipes, and writes their tables.

    Args:
        work: The folder for models and runs.
        jobs: Runs at a time.
        seeds: The seeds of each row.
        settings: Overrides of all recipes, to try the script with few steps.
        results: Where tables and charts go.
    """

    def __init__(self, work: Path, jobs: int, seeds: Sequence[int], settings: Sequence[str], results: Path) -> None:
        self.work, self.results = work, results
        self._launch = Launch(jobs=jobs)
        self._everywhere = [f"runs={work / 'runs'}", *settings]
        self._seeds = seeds

    def run(self, recipes: Sequence[Recipe]) -> list[Path]:
        require_all(recipes)
        return run_all(recipes, self._launch)

    def labelled(self, rows: Sequence) -> list[tuple[str, list[Path]]]:
        seeded = [row.recipes(self._seeds, self._everywhere) for row in rows]
        folders = iter(self.run([recipe for recipes in seeded for recipe in recipes]))
        return [(row.label, [next(folders) for _ in recipes]) for row, recipes in zip(rows, seeded, strict=True)]

    def pretrain(self) -> None:
        """Pre-train both models, and put each where the other recipes look for it."""
        from real_photographs_rows import RECIPES
        from real_photographs_tables import write_learning_curves

        recipes = [load_recipe(RECIPES / "pretrain" / f"{name}.yaml", [], self._everywhere) for name in MODELS]
        runs = dict(zip(MODELS, self.run(recipes), strict=True))
        for name, run in runs.items():
            unfinished = self.work / f"{name}.unfinished"
            shutil.rmtree(unfinished, ignore_errors=True)
            shutil.copytree(run / "model", unfinished)
            shutil.rmtree(self.work / name, ignore_errors=True)
            unfinished.rename(self.work / name)
        write_learning_curves(runs, self.results)

    def tune(self) -> None:
        """Choose settings by dev, and write them into the recipes."""
        from real_photographs_rows import RECIPES, Row, choices
        from real_photographs_tables import write_choices

        made = []
        for choice in choices():
            dev = ["evaluation.splits=[dev]", f"evaluation.languages={choice.languages}"]
            candidates = [
                [f"trainer.{key}={value}" for key, value in zip(choice.keys, values, strict=True)]
                for values in choice.values
            ]
            recipes = [
                Row("", f"{choice.folder}/{choice.recipe}", (*choice.overrides, *dev, *candidate)).recipes(
                    [TUNING_SEED], self._everywhere
                )[0]
                for candidate in candidates
            ]
            scores = {
                ", ".join(values): dev_score(run, recipe)
                for values, run, recipe in zip(choice.values, self.run(recipes), recipes, strict=True)
            }
            best = max(choice.values, key=lambda values: scores[", ".join(values)])
            for name in choice.written_to:
                set_values(RECIPES / choice.folder / f"{name}.yaml", choice.keys, best)
            made.append((f"{choice.folder}/{choice.recipe}", ", ".join(choice.keys), scores, ", ".join(best)))
            write_choices(made, self.results)

    def tables(self, tables: Sequence) -> None:
        from real_photographs_tables import write_table

        for table in tables:
            write_table(table.name, table.heading, self.labelled(table.rows), table.second, self.results)

    def curves(self, curves: Sequence) -> None:
        from real_photographs_rows import CONTROL, Row
        from real_photographs_tables import curve_point, write_curve

        for curve in curves:
            folder = next(iter(curve.points.values()))[0].recipe.partition("/adapted")[0]
            rows = {0: tuple(Row(start, f"{folder}/{start}") for start in curve.starts), **curve.points}
            labelled = {amount: self.labelled(of_amount) for amount, of_amount in rows.items()}
            languages = next(iter(curve.points.values()))[0].recipes([0], self._everywhere)[0].evaluation.languages
            points = {amount: curve_point(found, labelled[0], languages, CONTROL) for amount, found in labelled.items()}
            runs = [run for amount, found in labelled.items() if amount != 0 for _, paths in found for run in paths]
            write_curve(curve.name, curve.heading, points, CONTROL, runs, self.results)


def dev_score(run: Path, recipe: Recipe) -> float:
    record = json.loads((run / "record.json").read_text())
    scores = record["scores"][recipe.evaluation.scored_split("dev")]
    languages = recipe.evaluation.languages
    return sum(scores[language][record["main_metric"]] for language in languages) / len(languages)


def set_values(path: Path, keys: Sequence[str], values: Sequence[str]) -> None:
    """Write settings of the trainer into a recipe; a recipe without one of them is left as it is."""
    text = path.read_text(encoding="utf-8")
    for key, value in zip(keys, values, strict=True):
        text = re.sub(rf"\b{key}: [^,}}\n]+", f"{key}: {value}", text)
    path.write_text(text, encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="captions, entailment pairs, regions.h5 and text_encoder")
    parser.add_argument("work", type=Path, help="for the region store, models and runs")
    parser.add_argument("--steps", nargs="+", choices=STEPS, default=STEPS)
    parser.add_argument("--jobs", type=int, default=2, help="runs at a time, a core each")
    parser.add_argument("--seeds", type=int, default=3, help="how many seeds a row has")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting of all recipes")
    parser.add_argument("--results", type=Path, default=RESULTS, help="for tables and charts")
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    arguments.results.mkdir(parents=True, exist_ok=True)
    os.environ |= {"FLICKR8K": str(arguments.folder.resolve()), "REAL_PHOTOGRAPHS": str(arguments.work.resolve())}
    os.chdir(Path(__file__).parents[1])  # which the recipes' paths are relative to
    import real_photographs_rows as rows

    with exit_on_user_error():
        experiments = Experiments(
            arguments.work.resolve(), arguments.jobs, range(arguments.seeds), arguments.set, arguments.results.resolve()
        )
        for step in (step for step in STEPS if step in arguments.steps):
            if step == "prepare":
                prepare(arguments.folder.resolve(), arguments.work.resolve())
            elif step in ("pretrain", "tune"):
                getattr(experiments, step)()
            elif step == "adapt":
                experiments.curves([*rows.unlabelled_curves(), *rows.labelled_curves()])
            else:
                made = {"main": rows.main_tables, "languages": rows.language_tables, "losses": rows.loss_tables}
                experiments.tables(list(made[step]()))


if __name__ == "__main__":
    main()
