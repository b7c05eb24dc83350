"""Loading examples of a user's own data."""

from __future__ import annotations

import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from PIL import Image

from iglue_plugins import registry
from iglue_plugins.data.batching import Batcher
from iglue_plugins.data.processors.regions import RegionProcessor
from iglue_plugins.tasks.custom.task import CustomTask
from iglue_plugins.utils.errors import UserError

Make = Callable[..., dict[str, Any]]
Write = Callable[..., Path]
MakeTask = Callable[..., CustomTask]


def texts(examples: Dataset) -> list[str]:
    return list(examples["text"])


@pytest.fixture
def rows(row: Make) -> list[dict[str, Any]]:
    """English training, few-shot German of 1, 5 and 5 shots, French training, and tests in all three."""
    return [
        *(row(number) for number in range(3)),
        row(3, split="dev"),
        *(
            row(f"shot {shots}{i}", split="few_shot", language="de", shots=shots)
            for shots, i in ((5, ""), (1, ""), (5, "b"))
        ),
        row(4, language="fr"),
        *(row(f"test {language}", split="test", language=language) for language in ("en", "de", "fr")),
    ]


def test_splits_and_languages(rows: list[Any], put: Write, describe: Write, make: MakeTask) -> None:
    put(*rows)
    describe(auxiliary_languages=["fr"])
    task = make()
    assert (task.source_language, task.languages) == ("en", ("en", "de", "fr"))
    assert task.splits == ("train", "dev", "few_shot", "auxiliary", "test")
    assert task.default_auxiliary_languages == ("fr",)
    examples = task.load("train", "en")
    assert examples.column_names == ["id", "image_ids", "text", "language", "label"]
    assert examples[1] == {
        "id": "row 1", "image_ids": ["1"], "text": "text 1", "language": "en", "label": "neutral"
    }  # fmt: skip
    assert [(split, language) for split, language, _ in task.available_splits()] == [
        ("train", "en"), ("train", "fr"), ("dev", "en"), ("few_shot", "de"),
        ("test", "en"), ("test", "de"), ("test", "fr"),
    ]  # fmt: skip
    assert task.count_table() == [
        "    train  dev  few_shot  test",
        "en      3    1         -     1",
        "de      -    -         3     1",
        "fr      1    -         -     1",
    ]


def test_shots(rows: list[Any], put: Write, describe: Write, make: MakeTask) -> None:
    put(*rows)
    path = describe()
    task = make()
    assert texts(task.load("few_shot", "de", shots=1)) == ["text shot 1"]
    assert texts(task.load("few_shot", "de", shots=4)) == ["text shot 1"]
    assert texts(task.load("few_shot", "de", shots=5)) == ["text shot 5", "text shot 1", "text shot 5b"]
    assert texts(task.load("few_shot", "de")) == ["text shot 5", "text shot 1", "text shot 5b"]
    for shots in (6, 0, "5", "ten"):
        with pytest.raises(
            UserError, match="has rows with 1, 5 shots, but was asked for .*; ask for a whole number from 1"
        ):
            task.load("few_shot", "de", shots=shots)
    with pytest.raises(UserError, match=f"^{path}: split 'train' in 'en' has no numbers of shots, but was asked for 5"):
        task.load("train", "en", shots=5)


def test_auxiliary_data(rows: list[Any], row: Make, put: Write, describe: Write, make: MakeTask) -> None:
    put(*rows)
    describe()
    task = make()
    assert texts(task.load("auxiliary", "fr")) == ["text 4"]
    assert texts(task.load("auxiliary", "de")) == ["text shot 5", "text shot 1", "text shot 5b"]
    put(*rows, row(8, split="auxiliary", language="fr"))
    task = make()
    assert texts(task.load("auxiliary", "fr")) == ["text 8"]
    assert [language for split, language, _ in task.available_splits() if split == "auxiliary"] == ["fr"]
    put(*rows, row(9, split="translated", language="de"))
    describe(splits={"auxiliary": "translated"})
    task = make()
    assert texts(task.load("auxiliary", "de")) == ["text 9"]
    with pytest.raises(UserError, match="split 'auxiliary' in 'fr' has no rows: none of the split 'translated'"):
        task.load("auxiliary", "fr")


def test_what_is_not_there(rows: list[Any], put: Write, describe: Write, make: MakeTask) -> None:
    put(*rows)
    path = describe()
    task = make()
    with pytest.raises(UserError, match="task custom/nli has no split 'tset'; did you mean 'test'?"):
        task.load("tset", "en")
    with pytest.raises(UserError, match="task custom/nli has no language 'xx'; choose from de, en, fr"):
        task.load("test", "xx")
    with pytest.raises(UserError) as raised:
        task.load("dev", "de")
    assert str(raised.value) == (
        f"{path}: split 'dev' in 'de' has no rows: none of the split 'dev'; the rows in 'de' are 3 of 'few_shot', 1 of "
        "'test'"
    )


def test_names_of_splits(row: Make, put: Write, describe: Write, make: MakeTask) -> None:
    put(row(0, split="training"), row(1, split="hard"), row(2, split="eval"))
    describe(splits={"train": "training", "test": "eval", "others": ["hard"]})
    task = make()
    assert task.splits == ("train", "dev", "few_shot", "auxiliary", "test", "hard")
    assert [texts(task.load(split, "en")) for split in ("train", "test", "hard")] == [
        ["text 0"],
        ["text 2"],
        ["text 1"],
    ]


def test_several_files(row: Make, put: Write, describe: Write, make: MakeTask) -> None:
    first, second = put(row(0), row(1), file="en/a.jsonl"), put(row(2), row(3, split="dev"), file="en/b.jsonl")
    damaged = put("damaged", file="de/a.jsonl")
    describe(files="{language}/*.jsonl")
    task = make()
    assert texts(task.load("train", "en")) == ["text 0", "text 1", "text 2"]  # the German file is not read
    with pytest.raises(UserError, match=f"^{damaged}: line 1: "):
        task.load("train", "de")
    with pytest.raises(UserError, match=f"^{damaged}: line 1: "):
        task.count_table()
    put(row(0), file="en/b.jsonl")
    with pytest.raises(UserError, match=f"^{second}: the id 'row 0' is that of a row of {first} too"):
        make().load("train", "en")


def test_captions_that_only_some_have(
    row: Make, put: Write, describe: Write, make: MakeTask, capsys: pytest.CaptureFixture[str]
) -> None:
    put(row(0, caption="a"), row(1, caption="b"), row(2, split="dev", caption="c"), row(3, split="dev"))
    path = describe()
    task = make()
    assert task.load("train", "en")["caption"][:] == ["a", "b"]
    assert "caption" not in task.load("dev", "en").column_names
    assert capsys.readouterr().err == (f"iglue: {path}: dev/en: 1 of 2 examples have no caption, so none is used\n")
    task.load("dev", "en")
    assert capsys.readouterr().err == ""


def test_the_limits_of_inputs(row: Make, put: Write, describe: Write, make: MakeTask) -> None:
    put(row())
    describe()
    assert (make().max_text_length, make().max_boxes, make("vqa").max_text_length) == (80, None, 40)
    describe(max_text_length=12, max_boxes=3)
    assert (make().max_text_length, make().max_boxes, make("vqa").max_text_length) == (12, 3, 12)


def test_labels(row: Make, put: Write, describe: Write, make: MakeTask, data: Path) -> None:
    put(row(label=1), row(1, label=0, split="test"))
    path = describe(labels=[0, 1, 2])
    assert make().labels == ("0", "1", "2")
    assert make().targets(make().load("train", "en")["label"][:]).tolist() == [1]
    (data / "labels.json").write_text('["1", "0"]')
    describe(labels_file="labels.json")
    assert make().labels == ("1", "0")
    describe(labels_file="none.json")
    with pytest.raises(UserError, match=f"^{path}: labels_file: {data / 'none.json'} is no file"):
        make()


def test_the_label_of_a_text_that_describes_its_image(row: Make, put: Write, describe: Write, make: MakeTask) -> None:
    put(row(label="yes"))
    indices = torch.tensor([0, 1])
    path = describe(labels=["no", "yes"])
    with pytest.raises(
        UserError, match=f"^{path}: none of the labels no, yes is known to say that a text describes its"
    ):
        make().is_aligned(indices)
    describe(labels=["no", "yes"], aligned="yes")
    assert make().is_aligned(indices).tolist() == [False, True]
    describe(labels=["entailment", "other"])
    assert make().is_aligned(indices).tolist() == [True, False]
    describe()
    assert make("image_pair").is_aligned(indices).tolist() == [False, True]


def test_answers(row: Make, put: Write, describe: Write, make: MakeTask, capsys: pytest.CaptureFixture[str]) -> None:
    train = [row(number, label=label) for number, label in enumerate(["two", "one", "two", "red"])]
    others = [
        row("a", split="few_shot", language="de", shots=1, label="red"),
        row("b", split="few_shot", language="de", shots=1, label="rot"),
        row("c", split="test", label="blue"),
        row("d", language="fr", label="rouge"),
    ]
    put(*train, *others)
    path = describe()
    task = make("vqa")
    assert task.labels == ("two", "one", "red")
    assert task.targets(task.load("test", "en")["label"][:]).tolist() == [-1]
    assert task.score(["two"], ["blue"]) == ([0.0], {"accuracy": 0.0})
    assert texts(task.load("few_shot", "de", shots=1)) == ["text a"]
    said = "few_shot/de: left out 1 examples whose answer is not in the vocabulary"
    assert capsys.readouterr().err == f"iglue: {path}: {said}\n"
    with pytest.raises(UserError, match="split 'auxiliary' in 'fr' has no example whose answer is in the vocabulary"):
        task.load("auxiliary", "fr")
    describe(labels=["red", "blue", "two"])
    task = make("vqa")
    assert task.labels == ("red", "blue", "two")
    assert texts(task.load("train", "en")) == ["text 0", "text 2", "text 3"]


def test_wrong_captions_are_of_other_images(
    row: Make, put: Write, describe: Write, make: MakeTask, put_regions: Write, tokenizer: Any
) -> None:
    rows = [row(f"{image} {i}", image=f"{image}.jpg", label=None) for image in range(4) for i in range(3)]
    put(*rows)
    put_regions(map(str, range(4)))
    describe(regions="regions")
    task = make("retrieval")
    examples = task.load("train", "en")
    assert (len(examples), examples["label"][0], task.labels) == (12, "match", ("match",))
    images = [image for (image,) in examples["image_ids"]]
    batcher: Any = Batcher(examples, task, RegionProcessor(tokenizer))
    texts_of, positions = task.rows(torch.arange(12).numpy(), batcher, None)
    shown = [task.regions.ids[position] for position in positions]
    pairs = [(images[text], image) for text, image in zip(texts_of, shown, strict=True)]
    assert all((one == other) == (place % 4 == 0) for place, (one, other) in enumerate(pairs))


def test_regions_and_pictures_that_there_are_not(row: Make, put: Write, describe: Write, make: MakeTask) -> None:
    put(row())
    path = describe()
    assert make().image_kinds == ("pixels",)
    with pytest.raises(UserError, match=f"has no region features, only pictures; .* name it in {path} as `regions`"):
        _ = make().regions
    describe(pictures=None, regions="store")
    assert make().image_kinds == ("regions",)
    with pytest.raises(UserError, match=f"has no pictures, only region features; name their folder in {path} as"):
        _ = make().pictures
    with pytest.raises(UserError, match="store"):
        _ = make().regions


def test_pictures(row: Make, put: Write, describe: Write, make: MakeTask, data: Path) -> None:
    put(row(0), row(1, image="deep/1.png"), row(2, image="2"))
    describe()
    (data / "images" / "deep").mkdir(parents=True)
    Image.new("RGB", (4, 3), "red").save(data / "images" / "0.jpg")
    Image.new("RGB", (2, 2), "blue").save(data / "images" / "deep" / "1.png")
    task = make()
    ids = [image for (image,) in task.load("train", "en")["image_ids"]]
    assert [task.pictures.has(image) for image in ids] == [True, True, False]
    assert [task.pictures.picture(image).size for image in ids[:2]] == [(4, 3), (2, 2)]


def test_a_task_survives_a_pickle_of_its_store(
    row: Make, put: Write, describe: Write, make: MakeTask, put_regions: Write
) -> None:
    put(row(7))
    put_regions(["7"])
    describe(regions="regions")
    regions = pickle.loads(pickle.dumps(make().regions))
    assert regions.index(["7"]).tolist() == [0]


def test_the_cache_is_made_anew_for_a_changed_file(row: Make, put: Write, describe: Write, make: MakeTask) -> None:
    describe()
    put(row(0))
    assert texts(make().load("train", "en")) == ["text 0"]
    put(row(0), row(1))
    assert texts(make().load("train", "en")) == ["text 0", "text 1"]


def test_all_kinds_are_registered_and_need_data() -> None:
    names = [name for name in registry.tasks.names() if name.startswith("custom/")]
    assert names == ["custom/image_pair", "custom/nli", "custom/retrieval", "custom/vqa"]
    for name in names:
        with pytest.raises(UserError, match=f"task {name} needs data; set task.data"):
            registry.tasks.load(name)()


def test_a_copy_of_the_folder_is_the_same_data(
    rows: list[Any], put: Write, describe: Write, make: MakeTask, data: Path, tmp_path: Path
) -> None:
    put(*rows)
    describe()
    copy = shutil.copytree(data, tmp_path / "copy")
    assert make(folder=copy).fingerprint("train", "en") == make().fingerprint("train", "en")
