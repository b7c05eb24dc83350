from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from made_runs import files
from PIL import Image
from reported_runs import TEXTS, label_line, make_ranked_rows, make_reported_run, make_rows

from iglue_plugins.experiments.launcher import Launch, run_all
from iglue_plugins.experiments.report import report
from iglue_plugins.published import PublishedFilter
from iglue_plugins.recipes.recipe import load_recipe
from iglue_plugins.runs.folder import Run
from iglue_plugins.utils.errors import UserError


def page(*paths: Path, output: Path, **options: Any) -> str:
    written = report(paths, [0], "test", (), output, **options)
    assert written == output / "index.html"
    return written.read_text()


def data(text: str) -> dict[str, Any]:
    found = re.search('id="data">(.*?)</script>', text)
    assert found
    return json.loads(found[1])


def test_everything_of_two_tasks(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    make_rows(runs / "a")
    make_ranked_rows(runs / "b")
    text = page(runs / "a", runs / "b", output=tmp_path / "report", margin=1.0)
    for heading in ("Average over tasks", "mini/xvnli", "mini/xflickrco", "Examples"):
        assert re.search(rf"<h2 id=\"[^\"]+\">{heading} ", text)
    assert re.findall(r'<h3 id="([^"]+)"', text) == [
        "task-mini-xvnli-comparison", "task-mini-xvnli-bars", "task-mini-xvnli-slices", "task-mini-xvnli-curves",
        "task-mini-xvnli-confusions", "task-mini-xflickrco-comparison", "task-mini-xflickrco-bars",
    ]  # fmt: skip
    tasks = data(text)["tasks"]
    assert [task["task"] for task in tasks] == ["mini/xvnli", "mini/xflickrco"]
    assert all(uri.startswith("data:image/webp;base64,") for task in tasks for _, uri in task["images"])


def test_the_same_page_each_time_in_the_place_of_an_earlier_one(tmp_path: Path) -> None:
    make_rows(tmp_path / "runs")
    first = page(tmp_path / "runs", output=tmp_path / "report")
    (tmp_path / "report" / "index.html").write_text("earlier")
    before = files(tmp_path / "runs")
    assert page(tmp_path / "runs", output=tmp_path / "report") == first
    assert files(tmp_path / "runs") == before
    assert [path.name for path in (tmp_path / "report").iterdir()] == ["index.html"]


def test_runs_of_earlier_versions(tmp_path: Path) -> None:
    rows = make_rows(tmp_path / "runs")
    for folder in (folder for row in rows.values() for folder in row):
        for path in Run(folder).folder.glob("predictions/test/*.jsonl"):
            lines = Run(folder).read_predictions("test", path.stem)
            kept = [{key: line[key] for key in ("id", "prediction", "label", "score")} for line in lines]
            Run(folder).write_predictions("test", path.stem, kept)
    (task,) = data(page(tmp_path / "runs", output=tmp_path / "report"))["tasks"]
    assert len(task["examples"]) == 16
    assert {(example[2], tuple(example[4]), example[5][0][1]) for example in task["examples"]} == {(None, (), None)}


def test_one_row(tmp_path: Path) -> None:
    rows = make_rows(tmp_path / "runs")
    text = page(*rows["finetune"], output=tmp_path / "report")
    assert "<h3" in text
    assert 'id="data"' not in text


def test_a_sweep_that_leaves_no_target_language(tmp_path: Path) -> None:
    for number, language in enumerate(language for language in TEXTS if language != "en"):
        right = range(number + 1)
        lines = {code: [label_line(code, place, place in right) for place in range(4)] for code in TEXTS}
        make_reported_run(tmp_path / "runs", f"xvl_{language}", 0, lines, auxiliary=[language])
    text = page(tmp_path / "runs", output=tmp_path / "report")
    assert "No comparison: the rows were trained on every target language" in text
    assert "best of 3 rows by the mean over the target languages that a row was not trained on: zh" in text
    assert "-heat-" in text


def test_a_task_that_cannot_be_made_has_no_pictures(tmp_path: Path) -> None:
    rows = make_rows(tmp_path / "runs")
    for folder in rows["finetune"]:
        Run(folder).recipe_path.unlink()
    text = page(tmp_path / "runs", output=tmp_path / "report")
    assert "mini/xvnli: pictures are lacking." in text
    assert all(uri is None for _, uri in data(text)["tasks"][0]["images"])


def test_pictures_of_a_folder_stand_in_for_those_that_a_task_has_not(tmp_path: Path) -> None:
    rows = make_rows(tmp_path / "runs")
    for folder in rows["finetune"]:
        Run(folder).recipe_path.unlink()
    picture = tmp_path / "pictures" / "mini" / "xvnli" / "test" / "4" / "0.png"
    picture.parent.mkdir(parents=True)
    Image.new("RGB", (40, 30), "red").save(picture)
    text = page(tmp_path / "runs", output=tmp_path / "report", pictures=tmp_path / "pictures")
    uris = dict(data(text)["tasks"][0]["images"])
    assert [name for name, uri in uris.items() if uri] == ["mini/xvnli/test/4/0"]
    with pytest.raises(UserError, match="--pictures: .*nowhere is no folder"):
        page(tmp_path / "runs", output=tmp_path / "other", pictures=tmp_path / "nowhere")


def test_published_rows_need_published_figures(tmp_path: Path) -> None:
    make_rows(tmp_path / "runs")
    with pytest.raises(UserError, match="there are no published figures for task 'mini/xvnli'"):
        page(tmp_path / "runs", output=tmp_path / "report", chosen=PublishedFilter())


def test_what_is_lacking_is_named_with_the_command_that_runs_it(write: Callable[..., Path], tmp_path: Path) -> None:
    recipe = write("row")
    expected = f"nor those of 1 more; `iglue compare {recipe} --seeds 3,4 --split dev --set trainer.steps=1` makes what"
    with pytest.raises(UserError, match=re.escape(expected)):
        report([recipe], [3, 4], "dev", ["trainer.steps=1"], tmp_path / "report")
    assert not (tmp_path / "runs").exists()
    assert not (tmp_path / "report").exists()


@pytest.mark.usefixtures("without_pictures")
def test_the_finished_runs_of_recipes_are_found(write: Callable[..., Path], tmp_path: Path) -> None:
    recipes = [write("one"), write("two", trainer={"name": "auxiliary_finetune", "steps": 3, "batch_size": 8})]
    run_all([load_recipe(recipe) for recipe in recipes], Launch())
    text = report(recipes, [0], "dev", (), tmp_path / "report").read_text()
    assert '<th scope="row" title="two">two</th>' in text
    assert "contrastive loss" not in text
    assert "task loss" in text


def test_a_folder_s_name_need_not_be_utf8(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_rows(tmp_path / "runs")
    try:
        (tmp_path / "runs").rename(tmp_path / "r\udce9sultats")
    except OSError:
        pytest.skip("the file system takes UTF-8 only")
    assert r"r\udce9sultats" in page(tmp_path / "r\udce9sultats", output=tmp_path / "report")
    assert r"r\xe9sultats" in capsys.readouterr().err  # TensorBoard opens no such event files
