"""The mini tasks: texts and labels agree with the scenes in every language, and splits share no view."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from iglue_plugins.mini import ASSETS, LANGUAGES, base, world
from iglue_plugins.mini.tasks import MiniCaptions, MiniMaRVL, MiniTask, MiniXFlickrCO, MiniXGQA, MiniXVNLI

Named = Callable[[str, str], set[int]]
CLASSES = (MiniXVNLI, MiniXGQA, MiniMaRVL, MiniXFlickrCO, MiniCaptions)


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    for cls in CLASSES:
        monkeypatch.setattr(cls, "sizes", dict.fromkeys(cls.sizes, 6))


def scenes_of(task: MiniTask, split: str) -> list[list[set[int]]]:
    """Return the concepts of each scene of each example."""
    return [[set(scene.concepts) for scene in scenes] for scenes, _, _ in task.examples(split)]


@pytest.mark.parametrize("cls", CLASSES)
def test_every_language_has_the_same_scenes_and_labels(cls: type[MiniTask], without_pictures: None) -> None:
    task = cls()
    english = task.load("dev", "en")
    assert cls.languages[0] == "en" and set(cls.languages) == set(LANGUAGES)
    assert set(english["language"]) == {"en"}
    for language in LANGUAGES[1:]:
        rows = task.load("dev", language)
        for column in ("id", "image_ids", "label"):
            assert rows[column] == english[column]
        assert set(rows["language"]) == {language}
        assert np.mean([text == other for text, other in zip(rows["text"], english["text"], strict=True)]) < 0.2


@pytest.mark.parametrize("cls", [MiniXVNLI, MiniMaRVL, MiniXFlickrCO, MiniCaptions])
def test_every_language_names_the_same_things(cls: type[MiniTask], named: Named, without_pictures: None) -> None:
    task = cls()
    english = [named(text, "en") for text in task.load("dev", "en")["text"]]
    for language in LANGUAGES[1:]:
        assert [named(text, language) for text in task.load("dev", language)["text"]] == english


@pytest.mark.parametrize("language", ["en", "sw", "zh"])
def test_xvnli_labels_say_how_many_of_two_named_things_are_there(
    named: Named, without_pictures: None, language: str
) -> None:
    task = MiniXVNLI()
    rows = task.load("test", language)
    for text, label, (scene,) in zip(rows["text"], rows["label"], scenes_of(task, "test"), strict=True):
        things = named(text, language)
        assert len(things) == 2 and len(scene) in (2, 3)
        assert len(things & scene) == {"entailment": 2, "neutral": 1, "contradiction": 0}[label]


@pytest.mark.parametrize("cls", CLASSES)
def test_the_objects_of_a_scene_are_counted(cls: type[MiniTask], few: None) -> None:
    task = cls()
    scenes = [scene for example in task.examples("dev") for scene in example.scenes]
    assert [task.object_count(scene.id) for scene in scenes] == [len(set(scene.concepts)) for scene in scenes]
    assert task.object_count(f"{task.name}/dev/6/0") is None


def kind_and_answer(text: str, language: str, scene: set[int], named: Named) -> tuple[str, str]:
    """Return the kind of a question, and its answer according to the scene, as an English word."""
    lexicon = world.lexicon()
    question = text.removesuffix(lexicon.languages[language]["question_mark"])
    assert question != text, "a question mark ends the question"
    for category, label in lexicon.languages[language]["categories"].items():
        if question == label:
            (found,) = (i for i in scene if lexicon.concepts[i].category == category)
            return "which", lexicon.concepts[found].names["en"]
    (thing,) = named(question, language)
    if question == lexicon.concepts[thing].names[language]:
        return "is it there", "yes" if thing in scene else "no"
    (other,) = scene - {thing}
    assert thing in scene
    return "what else", lexicon.concepts[other].names["en"]


@pytest.mark.parametrize("language", LANGUAGES)
def test_xgqa_answers_follow_from_the_scene(named: Named, without_pictures: None, language: str) -> None:
    task = MiniXGQA()
    rows = task.load("test", language)
    kinds = Counter()
    for text, label, (scene,) in zip(rows["text"], rows["label"], scenes_of(task, "test"), strict=True):
        kind, answer = kind_and_answer(text, language, scene, named)
        kinds[kind] += 1
        assert len(scene) == 2 and label == answer
    assert len(kinds) == 3 and min(kinds.values()) > len(rows) / 6


def test_xgqa_answers_are_english_words() -> None:
    labels = MiniXGQA().labels
    assert labels[:2] == ("no", "yes")
    assert list(labels[2:]) == [concept.names["en"] for concept in world.lexicon().concepts[:120]]


def test_marvl_is_true_if_both_scenes_show_all_named_things(named: Named, without_pictures: None) -> None:
    task = MiniMaRVL()
    rows = task.load("test", "tr")
    lacking = Counter()
    for text, label, scenes in zip(rows["text"], rows["label"], scenes_of(task, "test"), strict=True):
        things = named(text, "tr")
        without = sum(not things <= scene for scene in scenes)
        lacking[without] += 1
        assert [len(scene) for scene in scenes] == [len(things) + 1] * 2 and len(things) in (1, 2)
        assert label == str(without == 0)
    assert set(lacking) == {0, 1, 2}, "false in one scene, and in both"


@pytest.mark.parametrize("cls", [MiniXFlickrCO, MiniCaptions])
@pytest.mark.parametrize("column", ["text", "caption"])
def test_captions_list_all_concepts_of_the_scene_and_no_others(
    cls: type[MiniTask], column: str, named: Named, without_pictures: None
) -> None:
    task = cls()
    rows = task.load("dev", "ko")
    scenes = [scene for (scene,) in scenes_of(task, "dev")]
    assert [named(text, "ko") for text in rows[column]] == scenes
    assert {len(scene) for scene in scenes} == ({2, 3} if cls is MiniXFlickrCO else {1, 2, 3})


@pytest.mark.parametrize("cls", [MiniXVNLI, MiniXGQA])
def test_captions_stand_beside_the_texts_of_one_scene(cls: type[MiniTask], named: Named, few: None) -> None:
    task = cls()
    captions = task.load("train", "de")["caption"]
    assert [named(caption, "de") for caption in captions] == [scene for (scene,) in scenes_of(task, "train")]
    assert "caption" not in MiniMaRVL().load("train", "de").column_names


@pytest.mark.parametrize("split", ["train", "auxiliary", "test"])
def test_labels_are_balanced(split: str, without_pictures: None) -> None:
    for cls, slack in ((MiniXVNLI, 0.05), (MiniMaRVL, 0.05)):
        shares = np.asarray(list(Counter(cls().load(split, "en")["label"]).values())) / cls.sizes[split]
        assert len(shares) == len(cls.labels)
        assert np.abs(shares - 1 / len(cls.labels)).max() < slack
    answers = Counter(MiniXGQA().load(split, "en")["label"])
    assert abs(answers["yes"] - answers["no"]) < 0.05 * MiniXGQA.sizes[split]
    assert max(answers.values()) < 0.2 * MiniXGQA.sizes[split], "no answer is right for more than a fifth"


@pytest.mark.parametrize("cls", CLASSES)
def test_splits_share_no_scene_and_training_no_view_with_evaluation(
    cls: type[MiniTask], without_pictures: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cls, "sizes", dict.fromkeys(cls.sizes, 100))
    task = cls()
    scenes = {split: [scene for scenes, _, _ in task.examples(split) for scene in scenes] for split in cls.splits}
    ids = [scene.id for split in scenes for scene in scenes[split]]
    assert len(set(ids)) == len(ids)
    rotations = {split: [item.rotation for scene in scenes[split] for item in scene.objects] for split in scenes}
    trained = [angle for split in scenes if split in ("train", "auxiliary") for angle in rotations[split]]
    scored = [angle for split in scenes if split in ("dev", "test", "unseen") for angle in rotations[split]]
    assert max(trained) < min(scored)
    assert len({tuple(map(frozenset, example)) for example in scenes_of(task, "train")}) > 50, "not one scene repeated"


def test_examples_do_not_depend_on_what_was_loaded_before(few: None) -> None:
    one, other = MiniXVNLI(), MiniXVNLI()
    other.load("train", "tr")
    other.load("dev", "sw")
    rows, same = one.load("test", "ar"), other.load("test", "ar")
    assert rows.to_dict() == same.to_dict()
    images = sum(rows["image_ids"], [])
    mine, theirs = (task.regions.gather(task.regions.index(images)) for task in (one, other))
    assert all((mine[key] == theirs[key]).all() for key in mine)


def test_shots_are_the_first_examples(few: None) -> None:
    task = MiniXVNLI()
    assert task.load("train", "tr", shots=4).to_dict() == task.load("train", "tr").select(range(4)).to_dict()


@pytest.mark.parametrize("cls", [MiniXVNLI, MiniMaRVL])
def test_regions_are_the_scenes_with_the_global_one_first(cls: type[MiniTask], few: None) -> None:
    task = cls()
    image_ids = sum(task.load("test", "en")["image_ids"], [])
    scenes = {scene.id: scene for scenes, _, _ in task.examples("test") for scene in scenes}
    assert len(image_ids) == len(scenes) == 6 * cls.rows_per_example
    for image_id in image_ids:
        scene = scenes[image_id]
        regions = task.regions.gather(task.regions.index([image_id]))
        features, boxes = world.region_features(scene)
        assert regions["region_mask"].tolist() == [[1] * (1 + len(scene.objects))]
        assert np.array_equal(regions["region_features"][0, 1:].numpy(), features)
        assert np.allclose(regions["region_features"][0, 0].numpy(), features.mean(0))
        assert regions["region_locations"][0, 0].tolist() == [0, 0, 1, 1, 1]
        assert np.allclose(regions["region_locations"][0, 1:, :4].numpy() * world.CANVAS, boxes)
        assert np.array_equal(np.asarray(task.pictures.picture(image_id)), np.asarray(world.render(scene)))


@pytest.fixture
def copied_assets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("concepts.json", "pictures.png"):
        shutil.copy(ASSETS / name, tmp_path)
    monkeypatch.setattr(base, "ASSETS", tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", ["concepts.json", "pictures.png"])
def test_the_fingerprint_changes_with_the_assets(name: str, copied_assets: Path) -> None:
    before = MiniXVNLI().fingerprint("train", "en")
    assert MiniXVNLI().fingerprint("train", "en") == before
    with (copied_assets / name).open("ab") as file:
        file.write(b"\n")
    assert MiniXVNLI().fingerprint("train", "en") != before


def test_a_changed_world_needs_a_new_version(few: None) -> None:
    """After an intended change, raise WORLD_VERSION, put the new digest here and train the encoder again."""
    digest = hashlib.sha256()
    for cls in CLASSES:
        task = cls()
        rows = task.load("dev" if "dev" in cls.splits else "train", "ja")
        for row in rows:
            digest.update(json.dumps(row, ensure_ascii=False, sort_keys=True).encode())
            for image_id in row["image_ids"]:
                digest.update(task.pictures.picture(image_id).tobytes())
    first = task.regions.gather(task.regions.index(rows[0]["image_ids"]))
    assert (base.WORLD_VERSION, digest.hexdigest()[:16]) == ("1", "6a30b66d565ee7b6")
    assert first["region_features"][0, :2, 0].tolist() == pytest.approx([-1.18668, -0.89305], abs=1e-4)
    location = [0.57812, 0.64844, 0.92969, 1.0, 0.12360]
    assert first["region_locations"][0, 1].tolist() == pytest.approx(location, abs=1e-4)


def test_the_fingerprint_changes_with_the_sizes_of_the_splits(monkeypatch: pytest.MonkeyPatch) -> None:
    before = MiniXVNLI().fingerprint("train", "en")
    monkeypatch.setattr(MiniXVNLI, "sizes", MiniXVNLI.sizes | {"train": 10})
    assert MiniXVNLI().fingerprint("train", "en") != before


@pytest.mark.parametrize("cls", CLASSES)
def test_the_documentation_states_the_sizes(cls: type[MiniTask]) -> None:
    sizes = [str(cls.sizes.get(split, "")) for split in ("train", "auxiliary", "dev", "test", "unseen")]
    row = "|".join(["", f"`{cls.name}`", *sizes, ""])
    assert row in (Path(__file__).parents[2] / "docs/mini.md").read_text(encoding="utf-8").replace(" ", "")
