"""The published figures that ship, and which of them a comparison shows."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest

from iglue_plugins import published
from iglue_plugins.published import PublishedFigures, PublishedFilter
from iglue_plugins.utils.errors import UserError

TABLES = Path(__file__).parents[2].parent / "shared" / "iglue" / "published"
NAME = re.compile(
    r"\w+?(?P<many>-many)?(_(?P<direction>ir|tr))?_(?P<shots>[0-9x]+)(\.id_tr_zh)?"
    r"(?P<translated>\.mt|\.translate-train)?\.csv"
)
TRANSLATED = {".mt": "translate_test", ".translate-train": "translate_train"}
METRICS = {"ir": "image_recall@1", "tr": "text_recall@1", None: "accuracy"}
MULTILINGUAL = ["ctrl_muniter", "ctrl_xuniter", "uc2", "m3p"]


def chosen(task: str, models: str | None = None, settings: str | None = None) -> list[PublishedFigures]:
    return published.select(task, "test", PublishedFilter.parse(True, models, settings))


# The figures


@pytest.mark.skipif(not TABLES.is_dir(), reason=f"no result tables of the IGLUE repository in {TABLES}")
@pytest.mark.parametrize("task", published.TASKS)
def test_every_figure_is_that_of_the_source_and_no_other_is_there(task: str) -> None:
    ours = {(row.model, row.setting, row.shots, row.metric): row.languages for row in published.read(task)}
    found = set()
    for path in (TABLES / task).glob("*.csv"):
        name = NAME.fullmatch(path.name)
        setting = TRANSLATED.get(
            name["translated"], "many_shot" if name["many"] else "zero_shot" if name["shots"] == "0" else "few_shot"
        )
        with path.open(newline="") as file:
            for row in csv.DictReader(file):
                key = (row.pop("model"), setting, name["shots"], METRICS[name["direction"]])
                mean = row.pop("avg", None)
                figures = {language: float(figure) for language, figure in row.items()}
                assert figures.items() <= ours[key].items(), path
                if mean is not None:
                    targets = [figure for language, figure in figures.items() if language != "en"]
                    assert sum(targets) / len(targets) == pytest.approx(float(mean), abs=1e-9), path
                found |= {(*key, language) for language in figures}
    assert found == {(*key, language) for key, languages in ours.items() for language in languages}
    assert len(found) > 100


def test_the_source_stands_in_every_file() -> None:
    assert published.TASKS == ("marvl", "xflickrco", "xgqa", "xvnli")
    for task in published.TASKS:
        lines = (published.FOLDER / f"{task}.csv").read_text(encoding="utf-8").splitlines()
        head = " ".join(line for line in lines if line.startswith("#"))
        assert all(words in head for words in (published.SOURCE, "IGLUE", "ICML", "e-bug/iglue"))


@pytest.mark.parametrize("task", published.TASKS)
def test_figures_are_percentages_of_a_closed_set_of_settings(task: str) -> None:
    figures = published.read(task)
    assert {row.setting for row in figures} <= {
        "zero_shot",
        "translate_test",
        "translate_train",
        "few_shot",
        "many_shot",
    }
    assert all(0 < figure < 100 for row in figures for figure in row.languages.values())


# The choice


@pytest.mark.parametrize("task", published.TASKS)
def test_zero_shot_figures_of_all_models_are_the_default(task: str) -> None:
    rows = chosen(task)
    assert [row.model for row in rows] == MULTILINGUAL
    assert {(row.setting, row.shots) for row in rows} == {("zero_shot", "0")}
    assert {row.metric for row in rows} == {"recall@1" if task == "xflickrco" else "accuracy"}


def test_models_and_settings_can_be_chosen() -> None:
    rows = chosen("xgqa", "uc2, m3p", "few_shot,zero_shot")
    assert [row.label for row in rows if row.model == "uc2"] == [
        "uc2 zero-shot",
        *(f"uc2 few-shot {shots}" for shots in (1, 5, 10, 20, 25, 48)),
    ]
    assert {row.model for row in rows} == {"uc2", "m3p"}
    assert [row.label for row in chosen("marvl", "ctrl_vilbert", "translate_test")] == ["ctrl_vilbert translate-test"]


def test_recall_is_the_mean_of_both_directions_where_both_are_there() -> None:
    (xuniter,) = chosen("xflickrco", "ctrl_xuniter")
    assert xuniter.languages["de"] == (14.55 + 13.25) / 2
    assert list(xuniter.languages) == ["en", "de", "es", "id", "ja", "ru", "tr", "zh"]
    one_sided = [
        PublishedFigures("m", "zero_shot", "0", "image_recall@1", {"en": 1.0, "de": 3.0}),
        PublishedFigures("m", "zero_shot", "0", "text_recall@1", {"de": 5.0}),
        PublishedFigures("n", "zero_shot", "0", "image_recall@1", {"de": 3.0}),
    ]
    assert published.main_metric(one_sided) == [PublishedFigures("m", "zero_shot", "0", "recall@1", {"de": 4.0})]


REFUSED = {
    "task": (("mini/xvnli", "test", None, None), ["--published: ", "'mini/xvnli'", "marvl, xflickrco, xgqa, xvnli"]),
    "split": (("xvnli", "dev", None, None), ["--published: ", "'dev'", "'test'"]),
    "model": (
        ("xvnli", "test", "uc2,xuniter", None),
        ["--published-models: 'xuniter'", "xvnli in the setting zero_shot", "did you mean 'ctrl_xuniter'?"],
    ),
    "model in another setting": (("xvnli", "test", "ctrl_vilbert", None), ["--published-models: 'ctrl_vilbert'"]),
    "setting": (
        ("xvnli", "test", None, "fewshot"),
        ["--published-settings: 'fewshot'", "xvnli", "did you mean 'few_shot'?"],
    ),
    "setting of another task": (("xvnli", "test", None, "many_shot"), ["--published-settings: 'many_shot'"]),
    "nothing": (("xvnli", "test", "", None), ["--published-models: ''"]),
}


@pytest.mark.parametrize(("arguments", "facts"), REFUSED.values(), ids=REFUSED)
def test_what_is_not_published(arguments: tuple[str, str, str | None, str | None], facts: list[str]) -> None:
    task, split, models, settings = arguments
    with pytest.raises(UserError) as error:
        published.select(task, split, PublishedFilter.parse(True, models, settings))
    assert str(error.value).startswith(facts[0])
    assert [fact for fact in facts if fact not in str(error.value)] == [], str(error.value)


def test_a_filter_needs_the_option_for_published_figures() -> None:
    assert PublishedFilter.parse(False, None, None) is None
    with pytest.raises(UserError, match="^--published-models needs the option --published"):
        PublishedFilter.parse(False, "uc2", None)
