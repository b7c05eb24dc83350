"""Mistakes of a model's plugin end in a sentence, before anything is trained."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from iglue_plugins import registry
from iglue_plugins.recipes.recipe import Recipe
from iglue_plugins.runs import runner
from iglue_plugins.utils.errors import UserError

MakeRecipe = Callable[..., Recipe]
MODELS = """
from torch import nn
from iglue_plugins.data.processors.base import Processor
from iglue_plugins.data.processors.pixels import PixelProcessor
from iglue_plugins.data.processors.regions import RegionProcessor
from iglue_plugins.models.plugin import XUniter


class Whole(XUniter):
    def change(self, model, processor):
        return model, processor

    def load(self):
        return self.change(*super().load())


class Alone(Whole):
    def change(self, model, processor):
        return model


class NoPreTrained(Whole):
    def change(self, model, processor):
        return nn.Linear(1, 1), processor


class Tokenizer(Whole):
    def change(self, model, processor):
        return model, processor.tokenizer


class OtherKind(Whole):
    def change(self, model, processor):
        return model, PixelProcessor(processor.tokenizer, None)


class Kindless(Whole):
    def change(self, model, processor):
        processor.reads = None
        return model, processor


class Headless(Whole):
    def change(self, model, processor):
        return model.encoder, processor


class Abstract(Whole):
    def change(self, model, processor):
        class Mine(Processor):
            prepare_texts, prepare_images = RegionProcessor.prepare_texts, RegionProcessor.prepare_images

        return model, Mine()


class Unsavable(Whole):
    def change(self, model, processor):
        processor.tokenizer = str.split
        return model, processor


class Unsaved(Whole):
    def change(self, model, processor):
        processor.save_pretrained = lambda folder: None
        return model, processor
"""
SENTENCES = {
    "Alone": r"load\(\) returns a XUniterForVisionAndLanguage; let it return a pair, the model and its processor$",
    "NoPreTrained": r"load\(\) returns a Linear as the model; make it a transformers.PreTrainedModel$",
    "Tokenizer": r"load\(\) returns a \w*Tokenizer\w* beside the model; let it return a Processor, such as Region",
    "OtherKind": "reads is 'regions', but its PixelProcessor reads 'pixels'; set reads = 'pixels' in the class of the",
    "Kindless": "reads of its RegionProcessor is None; set it to 'regions' or 'pixels' in the processor's class$",
    "Headless": r"a \w+ has no method set_head\(kind, num_labels\), by which it gets the head of a task; add it",
    "Abstract": r"load\(\) fails \(Can't instantiate abstract class Mine .*save_pretrained'?\); define it in the class",
}


@pytest.fixture(scope="module", autouse=True)
def models(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Registers the classes of MODELS, which are of another package, as models `of_mine/<class>`."""
    folder = tmp_path_factory.mktemp("models")
    (folder / "models_of_mine.py").write_text(MODELS)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        module = importlib.import_module("models_of_mine")
        names = ["Whole", "Unsavable", "Unsaved", *SENTENCES]
        for name in names:
            registry.models.register(f"of_mine/{name}")(getattr(module, name))
        yield
    del sys.modules["models_of_mine"]
    for name in names:
        del registry.models._classes[f"of_mine/{name}"], registry.models._origins[f"of_mine/{name}"]


@pytest.fixture
def recipe_of(recipe: MakeRecipe, tiny_checkpoint: Path) -> MakeRecipe:
    """Gives a function that makes a recipe with one of the models."""

    def make(name: str, **model: Any) -> Recipe:
        return recipe({"model": {"name": f"of_mine/{name}", "checkpoint": str(tiny_checkpoint), **model}})

    return make


@pytest.mark.parametrize("adapter", [None, {"type": "lora", "r": 2}])
@pytest.mark.parametrize("name", SENTENCES)
def test_what_load_returns(name: str, adapter: object, recipe_of: MakeRecipe, fits: list[str]) -> None:
    made = recipe_of(name, **({"adapter": adapter} if adapter else {}))
    with pytest.raises(UserError, match=f"^the model plugin models_of_mine:{name}: {SENTENCES[name]}"):
        runner.run(made)
    assert fits == []


def test_a_processor_that_cannot_be_saved_is_refused_before_the_training(
    recipe_of: MakeRecipe, fits: list[str]
) -> None:
    sentence = r"processor, a RegionProcessor, cannot be saved \(AttributeError: .*save_pretrained.*\), as a run does"
    with pytest.raises(UserError, match=sentence):
        runner.run(recipe_of("Unsavable"))
    assert fits == []


def test_a_processor_that_is_not_saved_is_missed_when_the_model_is_loaded_again(recipe_of: MakeRecipe) -> None:
    run = runner.run(recipe_of("Unsaved"))
    with pytest.raises(UserError, match=rf"{run.model_dir}.*; if it is damaged, delete {run.folder} and run again$"):
        runner.evaluate(run.folder, ["dev"])


def test_a_checkpoint_that_the_plugin_cannot_read(
    recipe_of: MakeRecipe, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    cls = registry.models.load("of_mine/Whole")
    made = recipe_of("Whole")

    def load(self: Any) -> None:
        (tmp_path / "preprocessor.json").read_text()

    monkeypatch.setattr(cls, "load", load)
    sentence = (
        "^the model plugin models_of_mine:Whole: load.. fails for checkpoint .*tiny .FileNotFoundError: .*"
        "preprocessor.json'.; see that all that it reads is there, of which save_pretrained of the processor writes"
    )
    with pytest.raises(UserError, match=sentence):
        runner.run(made)


def test_a_plugin_without_mistakes_runs(recipe_of: MakeRecipe, fits: list[str]) -> None:
    run = runner.run(recipe_of("Whole"))
    assert fits == ["Finetune"]
    assert json.loads((run.folder / "record.json").read_text())["scores"]["test"].keys() == {"en", "tr"}
