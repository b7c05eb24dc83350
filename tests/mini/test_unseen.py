"""The split unseen: concepts that no other split names or shows, of its own or held out."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from transformers import AutoTokenizer

from iglue_plugins.mini import ASSETS, LANGUAGES, base, world
from iglue_plugins.mini.tasks import MiniCaptions, MiniMaRVL, MiniTask, MiniXFlickrCO, MiniXGQA, MiniXVNLI

Named = Callable[[str, str], set[int]]
WITH_UNSEEN = (MiniXVNLI, MiniMaRVL, MiniXFlickrCO)
CLASSES = (*WITH_UNSEEN, MiniXGQA, MiniCaptions)
SEEN = ("train", "auxiliary", "dev", "test")


def make(cls: type[MiniTask], held_out: int = 0) -> MiniTask:
    return cls(cls.Settings(held_out=held_out))


def shown(task: MiniTask, split: str) -> set[int]:
    return {concept for example in task.examples(split) for scene in example.scenes for concept in scene.concepts}


# What no training has seen


@pytest.mark.parametrize("held_out", [0, 24])
@pytest.mark.parametrize("cls", CLASSES)
def test_unseen_concepts_are_in_no_other_split_in_any_language(cls: type[MiniTask], held_out: int) -> None:
    task = make(cls, held_out)
    assert len(task.new_concepts) == 24
    for split in set(SEEN) & set(cls.splits):
        assert not shown(task, split) & set(task.new_concepts)
        for language in LANGUAGES:
            texts = "\n".join(example.text(language) for example in task.examples(split))
            names = world.lexicon().names([*task.new_concepts], language)
            assert [name for name in names if name in texts] == []


@pytest.mark.parametrize("held_out", [0, 24])
@pytest.mark.parametrize("cls", WITH_UNSEEN)
def test_every_unseen_concept_is_named_and_shown_in_the_split_unseen(cls: type[MiniTask], held_out: int) -> None:
    task = make(cls, held_out)
    assert set(task.new_concepts) <= shown(task, "unseen")
    texts = "\n".join(task.load("unseen", "tr")["text"])
    assert all(name in texts for name in world.lexicon().names([*task.new_concepts], "tr"))


def test_the_tokenizer_knows_new_names_in_all_languages_but_chinese() -> None:
    tokenizer = AutoTokenizer.from_pretrained(ASSETS / "tokenizer")
    unknown: Counter[str] = Counter()
    for cls in WITH_UNSEEN:
        for language in LANGUAGES:
            ids = tokenizer(make(cls).load("unseen", language)["text"][:]).input_ids
            unknown[language] += sum(tokenizer.unk_token_id in of_text for of_text in ids)
    assert {language for language, count in unknown.items() if count} == {"zh"}
    names = world.lexicon().names([*world.lexicon().new], "zh")
    lacking = sum(tokenizer.unk_token_id in ids for ids in tokenizer(names).input_ids)
    page = (Path(__file__).parents[2] / "docs/mini.md").read_text(encoding="utf-8")
    assert f"{lacking} of the 24 names" in page


# The examples


@pytest.mark.parametrize("language", ["en", "sw", "zh"])
def test_xvnli_labels_follow_from_the_scene_whatever_is_new(named: Named, language: str) -> None:
    task = make(MiniXVNLI)
    rows, labels_by_count = task.load("unseen", language), {0: Counter(), 1: Counter(), 2: Counter()}
    for text, label, example in zip(rows["text"], rows["label"], task.examples("unseen"), strict=True):
        things, (scene,) = named(text, language), [set(scene.concepts) for scene in example.scenes]
        assert len(things) == 2
        assert label == {2: "entailment", 1: "neutral", 0: "contradiction"}[len(things & scene)]
        assert task.unseen_count(text, language) == len(things & set(task.new_concepts))
        labels_by_count[task.unseen_count(text, language)][label] += 1
    sizes = [counts.total() / len(rows) for counts in labels_by_count.values()]
    assert np.allclose(sizes, [0.25, 0.5, 0.25], atol=0.06)
    for counts in labels_by_count.values():
        assert len(counts) == 3 and max(counts.values()) < 0.5 * counts.total(), (
            "the number does not give the label away"
        )


def test_pictures_of_new_concepts_are_drawn_in_the_views_of_evaluation() -> None:
    task = make(MiniXFlickrCO)
    found = [scene for example in task.examples("unseen") for scene in example.scenes if max(scene.concepts) >= 120]
    assert len(found) > 60
    for scene in found[:5]:
        picture = np.asarray(task.pictures.picture(scene.id))
        assert np.array_equal(picture, np.asarray(world.render(scene)))
        assert all(
            (picture[y1:y2, x1:x2] != scene.background).any() for x1, y1, x2, y2 in (o.box for o in scene.objects)
        )
        features = task.regions.gather(task.regions.index([scene.id]))["region_features"]
        assert np.array_equal(features[0, 1:].numpy(), world.region_features(scene)[0])
    low, high = world.ROTATIONS["test"]
    assert all(low <= item.rotation <= high for scene in found for item in scene.objects)


def test_answers_of_xgqa_are_a_closed_set_so_that_it_has_no_such_split() -> None:
    assert "unseen" not in MiniXGQA.splits and "unseen" not in MiniCaptions.splits
    assert len(make(MiniXGQA, 24).labels) == 122


# Held-out concepts


def test_fewer_held_out_concepts_are_some_of_more() -> None:
    twelve, many = (set(make(MiniXVNLI, count).new_concepts) for count in (12, 24))
    assert len(twelve) == 12 and twelve < many
    categories = {world.lexicon().concepts[i].category for i in many}
    assert len(categories) == 5


def test_the_test_split_has_known_concepts_alone() -> None:
    task = make(MiniXVNLI, 24)
    assert {task.unseen_count(text, "ru") for text in task.load("test", "ru")["text"]} == {0}
    assert shown(task, "test") <= set(task.known_concepts) and len(task.known_concepts) == 96


def test_scenes_of_worlds_with_other_held_out_concepts_have_other_ids() -> None:
    worlds = [set(sum(make(MiniXVNLI, count).load("unseen", "en")["image_ids"][:], [])) for count in (0, 12, 24)]
    assert [len(world) for world in worlds] == [400] * 3 and not worlds[0] & worlds[1] | worlds[1] & worlds[2]
    task = make(MiniXVNLI, 12)
    (scene_id, *_) = sorted(worlds[1])
    assert task.pictures.has(scene_id) and not make(MiniXVNLI, 24).pictures.has(scene_id)
    assert task.regions.gather(task.regions.index([scene_id]))["region_mask"].sum() == 1 + task.object_count(scene_id)


# Fingerprints


def test_fingerprints_tell_held_out_concepts_and_the_split_unseen() -> None:
    found = [make(MiniXVNLI, count).fingerprint("train", "en") for count in (0, 12, 24)]
    assert len(set(found)) == 3
    assert make(MiniXVNLI).fingerprint("unseen", "en") not in found


def test_new_concepts_count_for_the_split_unseen_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("concepts.json", "pictures.png", "unseen.json", "unseen.png"):
        shutil.copy(ASSETS / name, tmp_path)
    monkeypatch.setattr(base, "ASSETS", tmp_path)
    before = [make(MiniXVNLI).fingerprint(split, "en") for split in ("train", "unseen")]
    facts = json.loads((tmp_path / "unseen.json").read_text(encoding="utf-8"))
    (tmp_path / "unseen.json").write_text(json.dumps(facts["concepts"][1:]))
    monkeypatch.setattr(MiniXVNLI, "sizes", MiniXVNLI.sizes | {"unseen": 10})
    after = [make(MiniXVNLI).fingerprint(split, "en") for split in ("train", "unseen")]
    assert after[0] == before[0] and after[1] != before[1]
