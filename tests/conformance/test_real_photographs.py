"""The recipes of the experiments on real photographs, on the photographs themselves; shared/flickr8k/README.md."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import datasets
import pytest
import torch

from iglue_plugins.recipes.recipe import load_recipe
from iglue_plugins.runs import plugins, preflight, runner
from iglue_plugins.runs.plugins import _make_task
from iglue_plugins.trainers.training_data import TrainingData
from iglue_plugins.utils.notices import quiet_libraries

ROOT = Path(__file__).parents[2]
FLICKR8K = ROOT.parent / "shared" / "flickr8k"
RECIPES = ROOT / "recipes/real_photographs"
FOLDERS = ("retrieval/dual_encoder", "retrieval/xuniter", "nli/dual_encoder", "nli/xuniter")

pytestmark = pytest.mark.skipif(
    not (FLICKR8K / "text_encoder").is_dir(), reason="the photos with captions are not there (shared/flickr8k)"
)


@pytest.fixture(scope="module")
def script() -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "benchmarks"))
        patch.setenv("OMP_NUM_THREADS", "1")
        import real_photographs

        yield real_photographs
        for name in [name for name in sys.modules if name.startswith("real_photographs")]:
            del sys.modules[name]


@pytest.fixture(scope="module", autouse=True)
def work(script: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """What `prepare` makes, and models that are not pre-trained in the place of those that are."""
    work = tmp_path_factory.mktemp("real_photographs")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        patch.setenv("FLICKR8K", str(FLICKR8K))
        patch.setenv("REAL_PHOTOGRAPHS", str(work))
        patch.setattr(datasets.config, "HF_DATASETS_CACHE", work / "cache")
        _make_task.cache_clear()
        quiet_libraries()
        script.prepare(FLICKR8K, work)
        for name in ("dual_encoder", "xuniter"):
            model, processor = plugins.load_model(load_recipe(RECIPES / f"pretrain/{name}.yaml"), None)
            model.set_head("image_text_matching", 1)
            model.save_pretrained(work / name)
            processor.save_pretrained(work / name)
        yield work
        _make_task.cache_clear()


@pytest.mark.parametrize("folder", FOLDERS)
def test_nothing_is_lacking(folder: str) -> None:
    for path in sorted((RECIPES / folder).rglob("*.yaml")):
        assert preflight.lacking(runner.unfinished_stages(load_recipe(path))) == [], path


@pytest.mark.parametrize(("folder", "shots"), [(FOLDERS[0], {5: 5, 25: 25, 100: 99}), (FOLDERS[2], {48: 27})])
def test_few_shot_sets(folder: str, shots: dict[int, int]) -> None:
    recipe = load_recipe(RECIPES / folder / "adapted/few_shot.yaml")
    task = plugins.make_task(recipe)
    for language in recipe.evaluation.languages:
        assert {count: len(task.load("few_shot", language, count)) for count in shots} == shots


@pytest.mark.parametrize("name", ["dual_encoder", "xuniter"])
def test_a_step_of_pre_training(name: str) -> None:
    recipe = load_recipe(RECIPES / f"pretrain/{name}.yaml", ["trainer.batch_size=4"])
    model, processor = plugins.load_model(recipe, None)
    task, trainer = plugins.make_task(recipe), plugins.make_trainer(recipe)
    model.set_head(task.head, task.num_labels)
    data = TrainingData(task, processor, ("en",), (), 0, None, tuple(trainer.reads(task, ("en",), ())))
    losses = trainer.objective(model, task)(**trainer.steps(data)[0])
    losses["loss"].backward()
    assert all(value.isfinite() for value in losses.values())
    frozen = {parameter for parameter in model.parameters() if not parameter.requires_grad}
    assert frozen and all(parameter.grad is None for parameter in frozen)
    assert all(torch.isfinite(value.grad).all() for value in model.parameters() if value.grad is not None)
