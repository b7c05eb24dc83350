"""What predictions count of examples: objects, regions and unseen concepts."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from datasets import Dataset
from transformers import AutoTokenizer

from iglue_plugins.data.batching import Batcher
from iglue_plugins.data.processors.pixels import PixelProcessor
from iglue_plugins.data.processors.regions import RegionProcessor
from iglue_plugins.evaluation.example_facts import example_facts
from iglue_plugins.mini import ASSETS
from iglue_plugins.mini.tasks import MiniMaRVL, MiniTask, MiniXVNLI
from iglue_plugins.mini.world import lexicon as lexicon_of_the_world


@pytest.fixture
def make_batcher(monkeypatch: pytest.MonkeyPatch, tokenizer):
    def make(task: MiniTask, processor=None) -> Batcher:
        monkeypatch.setattr(type(task), "sizes", {"test": 9})
        return Batcher(task.load("test", "sw"), task, processor or RegionProcessor(tokenizer))

    return make


@pytest.fixture(scope="module")
def tokenizer():
    return AutoTokenizer.from_pretrained(ASSETS / "tokenizer")


@pytest.mark.parametrize("cls", [MiniXVNLI, MiniMaRVL])
def test_objects_and_regions_are_summed_over_the_images_of_an_example(cls: type[MiniTask], make_batcher) -> None:
    task = cls()
    found = example_facts(task, make_batcher(task))
    expected = [sum(len(scene.objects) for scene in example.scenes) for example in task.examples("test")]
    assert found == [{"objects": count, "regions": count, "unseen": 0} for count in expected]
    assert len(set(expected)) == 2


def test_regions_are_those_that_the_model_reads(make_batcher) -> None:
    task = MiniXVNLI()
    task.max_boxes = 2
    assert {facts["regions"] for facts in example_facts(task, make_batcher(task))} == {2}
    assert {facts["objects"] for facts in example_facts(task, make_batcher(task))} == {2, 3}


def test_what_is_not_known_is_absent(make_batcher, tokenizer, monkeypatch: pytest.MonkeyPatch) -> None:
    task = MiniXVNLI()
    batcher = make_batcher(task, PixelProcessor(tokenizer, SimpleNamespace()))
    assert [set(facts) for facts in example_facts(task, batcher)] == [{"objects", "unseen"}] * 9
    monkeypatch.setattr(MiniXVNLI, "unseen_count", lambda self, text, language: None)
    assert [set(facts) for facts in example_facts(task, batcher)] == [{"objects"}] * 9
    monkeypatch.setattr(MiniXVNLI, "object_count", lambda self, image_id: None if image_id.endswith("8/0") else 2)
    assert example_facts(task, batcher) == [{}] * 9, "one image of which it is not known"


def test_an_image_is_looked_up_once(make_batcher, monkeypatch: pytest.MonkeyPatch) -> None:
    task, asked = MiniXVNLI(), []
    batcher = make_batcher(task)
    batcher.dataset = Dataset.from_dict(
        {"image_ids": [["a"]] * 4 + [["b"]] * 5, "text": [""] * 9, "language": ["sw"] * 9}
    )
    monkeypatch.setattr(MiniXVNLI, "object_count", lambda self, image_id: asked.append(image_id) or 7)
    assert [facts["objects"] for facts in example_facts(task, batcher)] == [7] * 9
    assert asked == ["a", "b"]


def test_unseen_concepts_are_those_that_the_text_names(tokenizer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MiniXVNLI, "sizes", {"unseen": 40})
    task = MiniXVNLI()
    examples, lexicon = task.load("unseen", "sw"), lexicon_of_the_world()
    new = set(lexicon.names([*lexicon.new], "sw"))
    expected = [sum(name in new for name in text.split(" na ")) for text in examples["text"]]
    facts = example_facts(task, Batcher(examples, task, RegionProcessor(tokenizer)))
    assert [of_example["unseen"] for of_example in facts] == expected
    assert set(expected) == {0, 1, 2}
