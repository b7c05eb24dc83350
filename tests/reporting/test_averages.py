"""The average over tasks of means over target languages."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from iglue_plugins.published import PublishedFigures
from iglue_plugins.reporting import exports
from iglue_plugins.reporting.averages import TaskAverage, average_over_tasks
from iglue_plugins.reporting.comparison import Comparison, compare_results
from iglue_plugins.reporting.details import average_details
from iglue_plugins.reporting.external_rows import with_published
from iglue_plugins.reporting.notes import average_notes
from iglue_plugins.reporting.results import read_rows
from iglue_plugins.reporting.tables import AverageTable
from iglue_plugins.reporting.wording import describe

# Means over target languages, by seed: xvnli 50 (ar 100, ru 0) and 25; marvl 75 and 50.
XVNLI = {"finetune": [{"en": "10", "ar": "11", "ru": "00"}, {"en": "10", "ar": "10", "ru": "00"}]}
XVNLI["xvl_maml"] = [{"en": "10", "ar": "11", "ru": "11"}, {"en": "10", "ar": "11", "ru": "10"}]
MARVL = {"finetune": [{"en": "10", "sw": "1110"}, {"en": "10", "sw": "1010"}]}
MARVL["xvl_maml"] = [{"en": "10", "sw": "1111"}, {"en": "10", "sw": "1110"}]
MARVL["alone"] = [{"en": "10", "sw": "1111"}, {"en": "10", "sw": "1110"}]
FIGURES = PublishedFigures("uc2", "zero_shot", "0", "accuracy", {"ar": 50.0, "ru": 60.0, "sw": 70.0})

Made = tuple[list[Comparison], TaskAverage]


@pytest.fixture
def averaged(make_run: Callable[..., Path]) -> Callable[..., Made]:
    """Gives a function that compares rows of tasks, given by their hits, and averages them over the tasks."""

    def build(tasks: Mapping[str, Mapping[str, list[dict[str, str]]]], images: dict[str, dict[str, str]]) -> Made:
        comparisons, results = [], []
        for task, rows in tasks.items():
            folders = [
                (
                    label,
                    [make_run(label, seed, hits, task=task, images=images.get(task)) for seed, hits in enumerate(of)],
                )
                for label, of in rows.items()
            ]
            results.append(read_rows(folders, "test"))
            comparisons.append(with_published(compare_results(results[-1], "test"), [FIGURES]))
        return comparisons, average_over_tasks(comparisons, results)

    return build


@pytest.fixture
def two_tasks(averaged: Callable[..., Made]) -> Made:
    return averaged({"xvnli": XVNLI, "marvl": MARVL}, {})


def test_every_task_counts_once_whatever_its_languages(two_tasks: Made) -> None:
    _, average = two_tasks
    finetune, xvl_maml, alone = average.rows
    assert finetune.average is not None and xvl_maml.average is not None
    assert finetune.average.per_seed == pytest.approx([(50 + 75) / 2, (25 + 50) / 2])
    assert xvl_maml.average.mean == pytest.approx(np.mean([(100 + 100) / 2, (75 + 75) / 2]))
    assert xvl_maml.difference is not None
    assert xvl_maml.difference.difference == pytest.approx(xvl_maml.average.mean - finetune.average.mean)
    assert (alone.average, alone.difference, list(alone.tasks)) == (None, None, ["marvl"])
    (published,) = average.published
    assert (published.tasks, published.average) == ({"xvnli": 55.0, "marvl": 70.0}, 62.5)


def test_the_interval_is_that_of_independent_tasks_where_they_share_no_image(averaged: Callable[..., Made]) -> None:
    rng = np.random.default_rng(0)

    def hits(probability: float, languages: str) -> dict[str, str]:
        return {
            name: "".join(rng.choice(["1", "0"], 300, p=[probability, 1 - probability])) for name in languages.split()
        }

    tasks = {
        task: {"a": [hits(0.5, languages)], "b": [hits(0.6, languages)]}
        for task, languages in (("xvnli", "en ar ru"), ("marvl", "en sw"))
    }
    comparisons, average = averaged(tasks, {})
    errors = [
        comparison.rows[1].difference.standard_error for comparison in comparisons if comparison.rows[1].difference
    ]
    assert average.rows[1].difference is not None
    assert average.rows[1].difference.standard_error == pytest.approx(np.hypot(*errors) / 2, rel=0.05)


def test_an_image_of_two_tasks_is_drawn_with_its_examples_in_both(averaged: Callable[..., Made]) -> None:
    rows = {"a": [{"en": "1100", "ar": "1100"}], "b": [{"en": "1100", "ar": "1010"}]}
    apart = {task: {"ar": " ".join(names)} for task, names in (("xvnli", "abcd"), ("marvl", "efgh"))}
    together = {task: {"ar": "a b c d"} for task in ("xvnli", "marvl")}
    (_, of_apart), (_, of_together) = (averaged({"xvnli": rows, "marvl": rows}, images) for images in (apart, together))
    assert of_apart.drawn is not None and of_together.drawn is not None
    assert (of_apart.drawn.number, of_together.drawn.number) == (8, 4)
    assert of_together.rows[1].difference is not None and of_apart.rows[1].difference is not None
    assert of_together.rows[1].difference.standard_error > 1.2 * of_apart.rows[1].difference.standard_error


def test_it_is_printed_described_and_explained(two_tasks: Made) -> None:
    _, average = two_tasks
    console = Console(width=120, file=io.StringIO())
    console.print(AverageTable(average))
    lines = console.file.getvalue().splitlines()
    assert lines[0] == "average over 2 tasks, test split: accuracy (%)"
    assert [line.split() for line in lines[1:3]] == [["xvnli", "marvl"], ["average", "diff"]]
    by_label = {line.split()[0]: line.split()[1:] for line in lines[4:] if line.strip()}
    assert by_label["finetune"] == ["37.5", "62.5", "50.0"] and by_label["alone"] == ["-", "87.5", "-"]
    assert by_label["uc2"] == ["zero-shot", "55.0", "70.0", "62.5"]
    found = average_notes(average)
    assert len(found) <= 5 and "the average is over tasks, each counted once" in found[0]
    assert "There is no average of alone, because it lacks a task." in found
    assert any(sentence == "Target languages are xvnli: ar, ru; marvl: sw." for sentence in average_details(average))
    (sentence,) = describe(average)
    assert sentence.startswith("xvl_maml beats finetune by +37.5 [") and "points over 2 tasks" in sentence


def test_it_is_in_all_files(two_tasks: Made, tmp_path: Path) -> None:
    comparisons, average = two_tasks
    exports.write(comparisons, tmp_path, average)
    content = json.loads((tmp_path / "comparison.json").read_text(encoding="utf-8"))
    assert [table["task"] for table in content["tasks"]] == ["xvnli", "marvl"]
    assert content["average"]["rows"][0]["average"]["mean"] == 50.0
    assert content["average"]["rows"][1]["difference"]["text"].startswith("+37.5")
    with (tmp_path / "comparison.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["label"], row["task"], row["mean"]) for row in rows if row["task"] == "average"] == [
        ("finetune", "average", "50.0"),
        ("xvl_maml", "average", "87.5"),
        ("uc2 zero-shot", "average", "62.5"),
    ]
    assert [row["sw"] for row in rows if row["task"] == "xvnli"] == ["", "", ""]
    markdown = (tmp_path / "comparison.md").read_text(encoding="utf-8")
    assert "|  | xvnli | marvl | average | difference |" in markdown and "| alone | - | 87.5 ±17.7 | - |" in markdown
    assert markdown.count("**") == 6
    assert (tmp_path / "comparison.tex").read_text(encoding="utf-8").count(r"\begin{table}") == 3
