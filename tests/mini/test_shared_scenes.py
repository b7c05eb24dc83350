"""Scenes that several examples share: the same world, with more texts about each of its scenes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest
import torch
from transformers import AutoTokenizer

from iglue_plugins.data.batching import Batcher
from iglue_plugins.data.processors.regions import RegionProcessor
from iglue_plugins.mini import ASSETS, world
from iglue_plugins.mini.settings import MiniSettings
from iglue_plugins.mini.tasks import MiniCaptions, MiniMaRVL, MiniTask, MiniXFlickrCO, MiniXGQA, MiniXVNLI
from iglue_plugins.recipes.recipe import load_recipe

CLASSES = (MiniXVNLI, MiniXGQA, MiniMaRVL, MiniXFlickrCO, MiniCaptions)
Named = Callable[[str, str], set[int]]


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    for cls in CLASSES:
        monkeypatch.setattr(cls, "sizes", dict.fromkeys(cls.sizes, 200))


def make(cls: type[MiniTask], shared_scenes: int) -> MiniTask:
    return cls(cls.Settings(shared_scenes=shared_scenes))


@pytest.mark.parametrize("cls", CLASSES)
def test_examples_share_the_first_scenes_of_the_world(cls: type[MiniTask], few: None, without_pictures: None) -> None:
    one, three = cls(), make(cls, 3)
    for split in cls.splits:
        alone, shared = one.load(split, "tr"), three.load(split, "tr")
        assert len(shared) == len(alone) == 200
        images, texts = alone["image_ids"][:], alone["text"][:]
        assert shared["image_ids"][:] == [images[i // 3] for i in range(200)]
        assert shared["text"][::3] == texts[:67], "the first example of a scene is that of the world"
        assert shared["id"][:] == alone["id"][:]
        scenes = [example.scenes for example in one.examples(split)]
        assert [example.scenes for example in three.examples(split)] == [scenes[i // 3] for i in range(200)]


@pytest.mark.parametrize("cls", CLASSES)
def test_the_texts_of_a_scene_differ_and_are_the_same_in_every_language(
    cls: type[MiniTask], few: None, without_pictures: None, named: Named
) -> None:
    task = make(cls, 3)
    english, swahili = (task.load("dev", language) for language in ("en", "sw"))
    for column in ("id", "image_ids", "label"):
        assert english[column][:] == swahili[column][:]
    texts = english["text"][:]
    groups = [set(texts[start : start + 3]) for start in range(0, 198, 3)]
    assert np.mean([len(group) for group in groups]) > (1.3 if issubclass(cls, MiniXFlickrCO) else 2.5)
    if cls is not MiniXGQA:  # whose questions by category name nothing
        assert [named(text, "en") for text in texts] == [named(text, "sw") for text in swahili["text"]]


def test_labels_follow_from_the_shared_scenes(few: None, without_pictures: None, named: Named) -> None:
    for cls in (MiniXVNLI, MiniMaRVL, MiniXGQA):
        task = make(cls, 4)
        rows = task.load("auxiliary", "de")
        further: Counter[str] = Counter()
        examples = zip(rows["text"], rows["label"], task.examples("auxiliary"), strict=True)
        for i, (text, label, example) in enumerate(examples):
            things, scenes = named(text, "de"), [set(scene.concepts) for scene in example.scenes]
            if cls is MiniXVNLI:
                assert len(things) == 2
                assert label == {2: "entailment", 1: "neutral", 0: "contradiction"}[len(things & scenes[0])]
            elif cls is MiniMaRVL:
                assert len(things) in (1, 2)
                assert label == str(all(things <= scene for scene in scenes))
            elif label in ("yes", "no"):
                assert label == ("yes" if things <= scenes[0] else "no")
            else:
                assert label in {world.lexicon().concepts[concept].names["en"] for concept in scenes[0] - things}
            further[label] += i % 4 > 0
        assert min(further[label] for label in list(task.labels)[:2]) > 25


def test_regions_and_pictures_are_those_of_the_shared_scene(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MiniMaRVL, "sizes", dict.fromkeys(MiniMaRVL.sizes, 8))
    task = make(MiniMaRVL, 3)
    rows = task.load("test", "en")
    assert len({image for images in rows["image_ids"] for image in images}) == 6
    for images, example in zip(rows["image_ids"], task.examples("test"), strict=True):
        for image, scene in zip(images, example.scenes, strict=True):
            features, _ = world.region_features(scene)
            found = task.regions.gather(task.regions.index([image]))["region_features"]
            assert np.array_equal(found[0, 1:].numpy(), features)
            assert np.array_equal(np.asarray(task.pictures.picture(image)), np.asarray(world.render(scene)))


def test_batches_know_the_shared_scenes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MiniXFlickrCO, "sizes", dict.fromkeys(MiniXFlickrCO.sizes, 12))
    task = make(MiniXFlickrCO, 3)
    batcher = Batcher(
        task.load("auxiliary", "tr"), task, RegionProcessor(AutoTokenizer.from_pretrained(ASSETS / "tokenizer"))
    )
    batch = batcher.batch(range(12))
    scenes = torch.arange(12) // 3
    assert torch.equal(batch.image_identity == batch.image_identity.T, scenes[:, None] == scenes)


@pytest.mark.parametrize("cls", CLASSES)
def test_the_fingerprint_changes_with_the_number_of_examples_that_share_scenes(cls: type[MiniTask]) -> None:
    assert cls().fingerprint("train", "en") == make(cls, 1).fingerprint("train", "en")
    assert len({make(cls, count).fingerprint("train", "en") for count in (1, 2, 3)}) == 3


def test_shared_scenes_are_a_setting_of_recipes() -> None:
    for task in ("xvnli", "marvl", "xgqa", "xflickrco"):
        recipe = load_recipe(f"recipes/mini/{task}/xvl_maml.yaml", ["task.shared_scenes=3"])
        assert recipe.task.settings["shared_scenes"] == 3
    assert MiniSettings().shared_scenes == 1
