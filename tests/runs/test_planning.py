"""What a run needs is looked for by what its model reads, and steps are planned without reading images or words."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import SimpleNamespace

import numpy as np
import pytest
from pydantic import BaseModel
from transformers import AutoTokenizer

from iglue_plugins import registry
from iglue_plugins.data.processors.regions import RegionProcessor
from iglue_plugins.data.regions import InMemoryRegions
from iglue_plugins.mini import ASSETS, base
from iglue_plugins.recipes.recipe import Recipe
from iglue_plugins.runs import plugins, preflight
from iglue_plugins.runs.planning import PlanningProcessor
from iglue_plugins.runs.plugins import make_task, make_trainer
from iglue_plugins.trainers.training_data import TrainingData

MakeRecipe = Callable[..., Recipe]


class Photographs:
    """A plugin whose model reads pixels; loading it gives a tokenizer, as plugins did before there were processors."""

    reads = "pixels"

    class Settings(BaseModel):
        checkpoint: str | None = None

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def load(self) -> tuple[None, object]:
        return None, AutoTokenizer.from_pretrained(ASSETS / "tokenizer")


@pytest.fixture
def photographs() -> Iterator[str]:
    """Registers the model 'tiny/photographs'."""
    registry.models.register("tiny/photographs")(Photographs)
    yield "tiny/photographs"
    for kept in (registry.models._classes, registry.models._origins):
        del kept["tiny/photographs"]


@pytest.fixture
def no_features(monkeypatch: pytest.MonkeyPatch) -> None:
    """Region features cannot be computed."""

    def refuse(scenes: object) -> None:
        raise AssertionError("region features are computed")

    monkeypatch.setattr(base, "cached_region_features", refuse)
    plugins._make_task.cache_clear()


@pytest.mark.parametrize("trainer", ["finetune", "auxiliary_finetune", "xvl_maml"])
def test_a_model_of_pixels_needs_pictures_and_no_region_features(
    recipe: MakeRecipe, photographs: str, no_features: None, trainer: str
) -> None:
    assert preflight.lacking([recipe({"model": photographs, "trainer": trainer})]) == []


def test_examples_without_pictures_are_found_before_a_run(
    recipe: MakeRecipe, photographs: str, no_features: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = recipe({"model": photographs, "trainer": "auxiliary_finetune", "start_from": "model"})
    pictures = make_task(made).pictures
    has = pictures.has
    monkeypatch.setattr(pictures, "has", lambda image: image != "tiny/xvnli/auxiliary/3/0" and has(image))
    found = preflight.lacking([made])
    assert len(found) > 0 and all(
        line.endswith(": tiny: 24 images, 1 image (tiny/xvnli/auxiliary/3/0) without pictures") for line in found
    )


def test_a_task_without_pictures_is_said_once_to_a_model_of_pixels(
    recipe: MakeRecipe, photographs: str, no_features: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = recipe({"model": photographs})
    monkeypatch.setattr(type(make_task(made)), "pictures", base.Task.pictures)
    assert set(preflight.lacking([made])) == {"task tiny/xvnli has no pictures, only region features"}


@pytest.mark.parametrize(
    ("trainer", "sentence"),
    [
        ({"name": "xvl_maml", "support_size": 20, "query_size": 20}, "24 training examples"),
        ({"name": "auxiliary_finetune", "batch_size": 25}, "24 training examples"),
    ],
)
def test_too_few_examples_are_found_for_a_model_of_pixels_too(
    recipe: MakeRecipe, photographs: str, no_features: None, trainer: dict[str, object], sentence: str
) -> None:
    (found,) = preflight.lacking([recipe({"model": photographs, "trainer": trainer})])
    assert sentence in found


@pytest.mark.parametrize("trainer", ["finetune", "auxiliary_finetune", "xvl_maml"])
def test_planned_steps_see_the_examples_of_the_training(recipe: MakeRecipe, trainer: str) -> None:
    """Images and texts are numbered otherwise, but the same ones are the same."""
    made = recipe({"trainer": trainer})
    task = make_task(made)
    task.load("auxiliary", "tr")
    processors = (PlanningProcessor("regions"), RegionProcessor(AutoTokenizer.from_pretrained(ASSETS / "tokenizer")))
    planned, real = (
        make_trainer(made).steps(TrainingData(task, processor, ("en",), ("tr", "de"), made.seed))
        for processor in processors
    )
    assert len(planned) == len(real) > 0
    for i in range(len(planned)):
        for one, other in zip(batches(planned[i]), batches(real[i]), strict=True):
            assert one.labels.tolist() == other.labels.tolist()
            assert (one.inputs.rows, len(one.inputs)) == (other.inputs.rows, 0)
            keys = ["image_identity", "text_identity"]
            assert (one.caption is None, other.caption is None) == (trainer != "xvl_maml",) * 2, (
                "only its loss reads them"
            )
            if trainer == "xvl_maml":
                assert one.caption.rows == other.caption.rows
                keys.append("caption_identity")
            for key in keys:
                ours, theirs = (getattr(batch, key).flatten() for batch in (one, other))
                assert ((ours[:, None] == ours) == (theirs[:, None] == theirs)).all(), key


def batches(item: dict) -> list:
    """The batches of a step of any trainer."""
    if "episodes" in item:
        return [episode[part] for episode in item["episodes"] for part in ("support", "query")]
    return [item["batch"]]


def test_planned_regions_are_counted_in_the_order_of_the_planned_images() -> None:
    store = InMemoryRegions(feature_size=1, max_boxes=3)
    for name, boxes in {"a": 3, "b": 1, "c": 2}.items():
        store.add({name: (np.zeros((boxes, 1), np.float32), np.zeros((boxes, 4), np.float32))}, 1, 1)
    images = PlanningProcessor("regions").prepare_images(SimpleNamespace(regions=store))
    assert images.index(["c", "b", "c", "a"]).tolist() == [0, 1, 0, 2]
    assert images.object_counts(np.asarray([2, 0, 1])).tolist() == [3, 2, 1]
    assert not hasattr(PlanningProcessor("pixels").prepare_images(SimpleNamespace()), "object_counts")
