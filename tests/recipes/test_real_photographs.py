"""The recipes of the experiments on real photographs, on a folder of the same layout with random features."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import datasets
import photograph_folder
import pytest
import yaml

from iglue_plugins.recipes.recipe import load_recipe
from iglue_plugins.runs import plugins, preflight, runner
from iglue_plugins.runs.plugins import _make_task
from iglue_plugins.utils.errors import UserError

ROOT = Path(__file__).parents[2]
RECIPES = ROOT / "recipes/real_photographs"
FOLDERS = ("retrieval/dual_encoder", "retrieval/xuniter", "nli/dual_encoder", "nli/xuniter")
PATHS = sorted(path.relative_to(RECIPES).as_posix() for path in RECIPES.rglob("*.yaml") if path.parent.name != "data")


@pytest.fixture(scope="module")
def script() -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "benchmarks"))
        patch.setenv("OMP_NUM_THREADS", "1")
        import real_photographs

        yield real_photographs
        for name in [name for name in sys.modules if name.startswith("real_photographs")]:
            del sys.modules[name]


@pytest.fixture(scope="module")
def work(script: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """What `prepare` makes, and two pre-trained models of a few numbers."""
    folder, work = (tmp_path_factory.mktemp("photographs") / name for name in ("flickr8k", "work"))
    photograph_folder.write(folder)
    work.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        patch.setenv("FLICKR8K", str(folder))
        patch.setenv("REAL_PHOTOGRAPHS", str(work))
        patch.setattr(datasets.config, "HF_DATASETS_CACHE", work / "cache")
        _make_task.cache_clear()
        script.prepare(folder, work)
        few = ["trainer.steps=2", "trainer.batch_size=8", "trainer.precision=float32", "evaluation.languages=[de]"]
        experiments = script.Experiments(work, 1, range(1), few, work)
        experiments.pretrain()
        yield work
        _make_task.cache_clear()


@pytest.mark.parametrize("path", PATHS)
def test_a_recipe_resolves_and_lacks_nothing(path: str, work: Path) -> None:
    recipe = load_recipe(RECIPES / path, [f"runs={work / 'runs'}"])
    assert (RECIPES / path).read_text().startswith("# "), "the first lines say what the recipe is for"
    assert preflight.lacking(runner.unfinished_stages(recipe)) == []
    assert recipe.source_language == "en"
    trained = set(recipe.auxiliary_languages) if recipe.trains_on == "auxiliary" else set()
    assert set(recipe.evaluation.languages) - trained - {"en"}, "there are targets"


@pytest.mark.parametrize("folder", FOLDERS)
def test_controls_take_as_many_steps_and_labels_as_the_method(folder: str, work: Path) -> None:
    def steps_and_labels(name: str) -> tuple[int, int]:
        recipe = load_recipe(RECIPES / folder / f"{name}.yaml")
        trainer = plugins.make_trainer(recipe)
        return trainer.settings.steps, trainer.labels_per_step(plugins.make_task(recipe), languages=1)

    expected = steps_and_labels("xvl_maml")
    for control in ("auxiliary_finetune", "contrastive", "finetune_longer", "x_maml", "xvl_maml_inner_lr_0"):
        assert steps_and_labels(control) == expected, control
    assert steps_and_labels("xvl_maml_unsupervised")[1] == 0


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_row_starts_from_the_same_baseline(folder: str, work: Path) -> None:
    baseline = load_recipe(RECIPES / folder / "finetune.yaml")
    for path in (RECIPES / folder).glob("*.yaml"):
        before = load_recipe(path).previous()
        if path.stem != "finetune":
            assert before is not None
            assert (before.trainer, before.model) == (baseline.trainer, baseline.model), path


def test_pre_training_sees_neither_auxiliary_languages_nor_targets_of_retrieval(work: Path) -> None:
    for name in ("xuniter", "dual_encoder"):
        seen = set(load_recipe(RECIPES / f"pretrain/{name}.yaml").trainer.settings["language_shares"])
        for folder in FOLDERS[:2]:
            recipe = load_recipe(RECIPES / folder / "xvl_maml.yaml")
            assert seen & {*recipe.auxiliary_languages, *recipe.evaluation.languages} == {"en"}


def test_captions_without_labels_stand_beside_the_rows_of_xvnli(work: Path) -> None:
    found = {}
    for name in ("nli", "nli_captions"):
        recipe = load_recipe(RECIPES / "nli/xuniter/finetune.yaml", [f"task.data={RECIPES}/data/{name}.yaml"])
        found[name] = plugins.make_task(recipe)
    for split, language in (("train", "en"), ("dev", "en"), ("test", "ru")):
        assert found["nli"].fingerprint(split, language) == found["nli_captions"].fingerprint(split, language)
    assert set(found["nli_captions"].load("auxiliary", "zh")["label"]) == {"entailment"}
    assert len(found["nli_captions"].load("auxiliary", "zh")) == 160
    assert len(found["nli"].load("auxiliary", "ar")) == 27
    photographs = {image for row in found["nli_captions"].load("auxiliary", "zh")["image_ids"] for image in row}
    assert not photographs & {image for (image,) in found["nli"].load("test", "en")["image_ids"]}


def test_a_photograph_in_two_splits_is_refused(script: ModuleType, tmp_path: Path) -> None:
    photograph_folder.write(tmp_path / "folder")
    path = tmp_path / "folder/nli/ru.jsonl"
    row = json.loads(path.read_text().splitlines()[0])
    path.write_text(path.read_text() + json.dumps(row | {"image": "train0", "id": "another"}))
    with pytest.raises(UserError, match=r"ru.jsonl: the photograph train0 is in the splits train and test"):
        script.check_photographs(tmp_path / "folder")


def test_settings_are_written_into_recipes(script: ModuleType, tmp_path: Path) -> None:
    path = tmp_path / "xvl_maml.yaml"
    path.write_text((RECIPES / "nli/xuniter/xvl_maml.yaml").read_text())
    before = yaml.safe_load(path.read_text())["trainer"]
    script.set_values(path, ("inner_lr", "learning_rate"), ("0.5", "3.0e-3"))
    assert yaml.safe_load(path.read_text())["trainer"] == before | {"inner_lr": 0.5, "learning_rate": 3e-3}


@pytest.fixture
def rows(script: ModuleType) -> ModuleType:
    import real_photographs_rows

    return real_photographs_rows


def test_all_rows_of_all_tables_resolve(rows: ModuleType, work: Path) -> None:
    tables = [*rows.main_tables(), *rows.language_tables(), *rows.loss_tables()]
    curves = [*rows.unlabelled_curves(), *rows.labelled_curves()]
    named = [row for table in tables for row in table.rows]
    named += [row for curve in curves for point in curve.points.values() for row in point]
    for row in named:
        (recipe,) = row.recipes([7], [f"runs={work / 'runs'}"])
        assert recipe.seed == 7
    for choice in rows.choices():
        for name in choice.written_to:
            assert all(f"{key}: " in (RECIPES / choice.folder / f"{name}.yaml").read_text() for key in choice.keys)


def test_a_table_and_a_curve(script: ModuleType, rows: ModuleType, work: Path) -> None:
    results = work / "results"
    results.mkdir()
    experiments = script.Experiments(
        work, 1, range(2), ["trainer.steps=2", "evaluation.languages=[en, ar, ru]"], results
    )
    folder = "nli/dual_encoder"
    names = ("finetune", "xvl_maml", rows.CONTROL)
    table = rows.Table("small", "a table", tuple(rows.Row(name, f"{folder}/{name}") for name in names), rows.CONTROL)
    experiments.tables([table])
    written = (results / "real_photographs_small.md").read_text()
    assert "| | en | ar | 1 targets | to finetune | to xvl_maml_inner_lr_0 |" in written.replace("|  |", "| |")
    assert "A true difference of this many points is found with a power of 80 %" in written
    (curve,) = (one for one in rows.unlabelled_curves() if one.name == "nli_dual_encoder_captions")
    point = tuple(row for row in curve.points[27] if row.label in names)
    experiments.curves([rows.Curve("curve", "a curve", names, {27: point})])
    written = (results / "real_photographs_curve.md").read_text()
    assert "| score | 0 | 27 |" in written and "| to xvl_maml_inner_lr_0 | 0 | 27 |" in written
    assert (results / "real_photographs_curve.png").is_file()
