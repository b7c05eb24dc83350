"""Answers of finished runs: for the examples of their tasks they are those of the runs' predictions."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from answered_runs import SIZES, TASKS, model_section

import iglue_plugins
from iglue_plugins import registry
from iglue_plugins.data.batching import Batcher
from iglue_plugins.mini import world
from iglue_plugins.models.trim import trim_checkpoint
from iglue_plugins.recipes.recipe import load_recipe
from iglue_plugins.runs import plugins, runner
from iglue_plugins.runs.folder import Run
from iglue_plugins.runs.prediction import Prediction, Ranking
from iglue_plugins.runs.predictor import Predictor
from iglue_plugins.tasks.texts import FileTexts
from iglue_plugins.utils.errors import UserError

MakeRun = Callable[..., Run]


@pytest.fixture(scope="module", autouse=True)
def few_examples() -> Iterator[None]:
    """Runs of one process share their tasks; those of other tests have other sizes."""
    plugins._make_task.cache_clear()
    with pytest.MonkeyPatch.context() as patch:
        for name in TASKS:
            patch.setattr(registry.tasks.load(f"mini/{name}"), "sizes", SIZES)
        yield
    plugins._make_task.cache_clear()


@pytest.fixture(scope="module")
def run_of(tmp_path_factory: pytest.TempPathFactory) -> MakeRun:
    """Gives a function that makes a finished run of a tiny model on a mini task, scored in Turkish."""
    folder = tmp_path_factory.mktemp("runs")

    def make(task: str, kind: str = "xuniter", /, adapter: Any = None, **changes: Any) -> Run:
        recipe = {
            "task": f"mini/{task}",
            "model": model_section(kind, folder / kind) | ({"adapter": adapter} if adapter else {}),
            "trainer": {"name": "finetune", "steps": 1, "batch_size": 4, "learning_rate": 1e-4},
            "evaluation": {"languages": ["tr"]},
            "runs": str(folder),
        }
        path = folder / f"{task}-{kind.replace('+', '-')}.yaml"
        path.write_text(yaml.safe_dump(recipe | changes))
        return runner.run(load_recipe(path))

    return make


def examples(run: Run, language: str = "tr") -> list[dict[str, Any]]:
    """The run's examples with what it predicted."""
    rows = plugins.make_task(load_recipe(run.recipe_path, ["start_from=model"])).load("test", language)
    return [dict(row) | {"row": found} for row, found in zip(rows, run.read_predictions("test", language), strict=True)]


def check_classification(run: Run) -> Predictor:
    """Assert that the answers for a run's examples are its predictions, with the probabilities of all of its logits."""
    predictor = iglue_plugins.load_run(run.folder)
    batcher = Batcher(predictor.task.load("test", "tr"), predictor.task, predictor.trained.processor)
    expected = predictor.trained.logits(batcher).double().sigmoid()
    labels = predictor.task.labels
    for example, probabilities in zip(examples(run), expected, strict=True):
        found = predictor(*example["image_ids"], text=example["text"], language="tr")
        assert isinstance(found, Prediction)
        assert found.label == example["row"]["prediction"] == next(iter(found.probabilities))
        assert float(found.label == example["label"]) == example["row"]["score"]
        by_label = dict(zip(labels, probabilities.tolist(), strict=True))
        assert found.probabilities == pytest.approx(by_label, abs=1e-5)
        assert list(found.probabilities.values()) == sorted(found.probabilities.values(), reverse=True)
        assert found.images == tuple(example["image_ids"]) and found.text == example["text"]
    return predictor


@pytest.mark.parametrize("model", ["xuniter", "siglip"])
@pytest.mark.parametrize("task", ["xvnli", "xgqa", "marvl"])
def test_answers_are_the_runs_predictions(task: str, model: str, run_of: MakeRun) -> None:
    run = run_of(task, model)
    check_classification(run)
    if task != "marvl":
        assert len({row["prediction"] for row in run.read_predictions("test", "tr")}) > 1


@pytest.mark.parametrize("model", ["uc2", "muniter", "siglip2", "clip", "xlm-roberta+dinov2"])
def test_answers_of_every_kind_of_model(model: str, run_of: MakeRun) -> None:
    check_classification(run_of("xvnli", model))


@pytest.mark.parametrize("model", ["xuniter", "siglip"])
def test_answers_of_a_model_with_an_adapter(model: str, run_of: MakeRun, tmp_path: Path) -> None:
    check_classification(run_of("xvnli", model, adapter={"type": "lora", "r": 2}, runs=str(tmp_path)))


def test_answers_in_the_precision_of_the_runs_evaluation(run_of: MakeRun, tmp_path: Path) -> None:
    run = run_of("xvnli", runs=str(tmp_path), evaluation={"languages": ["tr"], "precision": "bfloat16"})
    predictor = iglue_plugins.load_run(run.folder)
    assert predictor.trained.model.dtype == torch.bfloat16
    rows = run.read_predictions("test@bfloat16", "tr")
    texts = plugins.make_task(predictor.recipe).load("test", "tr")["text"]
    found = [predictor(*row["image_ids"], text=text).label for row, text in zip(rows, texts, strict=True)]
    assert found == [row["prediction"] for row in rows]


@pytest.mark.parametrize("model", ["xuniter", "siglip"])
def test_rankings_are_those_of_the_run(model: str, run_of: MakeRun) -> None:
    run = run_of("xflickrco", model)
    predictor = iglue_plugins.load_run(run.folder)
    batcher = Batcher(predictor.task.load("test", "tr"), predictor.task, predictor.trained.processor)
    similarity = predictor.trained.match(batcher, batcher.images[:, 0])
    of_run = examples(run)
    texts, images = [row["text"] for row in of_run], [row["image_ids"][0] for row in of_run]
    for number, example in enumerate(of_run):
        found = predictor(*images, text=example["text"], language="tr")
        assert isinstance(found, Ranking) and found.measure == ("cosine" if model == "siglip" else "logit")
        assert list(found.scores) == example["row"]["prediction"] and found.label == example["row"]["prediction"][0]
        expected = dict(zip(images, similarity[number].tolist(), strict=True))
        assert found.scores == pytest.approx(expected, abs=1e-4)
    by_text = predictor(images[2], text=texts)
    assert by_text.scores == pytest.approx(dict(zip(texts, similarity[:, 2].tolist(), strict=True)), abs=1e-4)
    assert (by_text.texts, by_text.images) == (tuple(texts), (images[2],))
    alone = predictor(images[2], text=texts[2])
    assert alone.scores == pytest.approx({texts[2]: similarity[2, 2]}, abs=1e-4)


def test_a_picture_is_read_as_the_image_of_the_task_that_it_is_of(run_of: MakeRun, tmp_path: Path) -> None:
    """A file and an id may stand together."""
    for task in ("xvnli", "marvl"):
        run = run_of(task, "siglip")
        predictor = iglue_plugins.load_run(run.folder)
        example = examples(run)[3]
        path = tmp_path / f"{task}.png"
        world.render(predictor.task.scene(example["image_ids"][0])).save(path)
        found = predictor.predict([path, *example["image_ids"][1:]], example["text"])
        assert found.probabilities == predictor(*example["image_ids"], text=example["text"]).probabilities
        assert found.images[0] == str(path)


def test_the_model_folder_stands_for_the_run(run_of: MakeRun) -> None:
    run = run_of("xvnli")
    example = examples(run)[0]
    found = [iglue_plugins.load_run(path)(*example["image_ids"], text="a") for path in (run.folder, run.model_dir)]
    assert found[0] == found[1]


def test_notes_on_the_language_and_the_text(run_of: MakeRun, tiny_checkpoint: Path, tmp_path: Path) -> None:
    run = run_of("xvnli")
    predictor, (image,) = iglue_plugins.load_run(run.folder), examples(run)[0]["image_ids"]
    accuracy = run.require_record()["scores"]["test"]["tr"]["accuracy"]
    assert predictor(image, text="a lion").notes == ()
    assert predictor(image, text="a", language="tr").notes == (f"in 'tr' the run has accuracy {accuracy:.1f} on test",)
    (unscored,) = predictor(image, text="a", language="xx").notes
    assert unscored.startswith("the run has no scores in 'xx'")
    (cut,) = predictor(image, text=" lion" * 200).notes
    assert cut.endswith("the first 80 tokens are read")

    texts = tmp_path / "texts.txt"
    texts.write_text("a lion\n")
    trim_checkpoint(str(tiny_checkpoint), tmp_path / "trimmed", {"texts": [FileTexts(texts)]})
    section = {"name": "xuniter", "checkpoint": str(tmp_path / "trimmed")}
    trimmed = iglue_plugins.load_run(run_of("xvnli", runs=str(tmp_path), model=section).folder)
    assert trimmed(image, text="a lion").notes == ()
    assert trimmed(image, text="a lion, ördek").notes[0].startswith("the model's vocabulary lacks ")


def test_answers_can_be_printed_shortened_and_written_as_json(run_of: MakeRun) -> None:
    run = run_of("xgqa")
    example = examples(run)[0]
    found = iglue_plugins.load_run(run.folder)(*example["image_ids"], text=example["text"])
    assert len(found.probabilities) == 122 and len(found.top(3).probabilities) == 3
    first, *others, meaning = str(found.top(3)).splitlines()
    assert first == found.label and len(others) == 3 and others[0].split(maxsplit=1)[1] == found.label
    assert "need not add up to 1" in meaning
    assert json.loads(json.dumps(found.to_dict())) == {
        "label": found.label,
        "probabilities": dict(found.probabilities),
        "text": example["text"],
        "images": example["image_ids"],
        "language": None,
        "run": str(run.folder),
        "notes": [],
    }


@pytest.mark.parametrize(
    ("task", "images", "texts", "sentence"),
    [
        (
            "marvl",
            1,
            1,
            "task mini/marvl: 1 image and 1 text are given, but it is on 2 images, in their order",
        ),
        ("xvnli", 2, 1, "task mini/xvnli: 2 images and 1 text are given, but it is on an image and a text"),
        ("xvnli", 0, 1, "task mini/xvnli: 0 images and 1 text"),
        ("xvnli", 1, 2, "task mini/xvnli: 1 image and 2 texts"),
        (
            "xflickrco",
            2,
            2,
            "task mini/xflickrco: 2 images and 2 texts are given, but it ranks texts for one image",
        ),
        ("xflickrco", 1, 0, "task mini/xflickrco: 1 image and 0 texts"),
    ],
)
def test_other_numbers_of_images_and_texts(task: str, images: int, texts: int, sentence: str, run_of: MakeRun) -> None:
    predictor = iglue_plugins.load_run(run_of(task).folder)
    with pytest.raises(UserError, match=f"^{sentence}"):
        predictor.predict([f"mini/{task}/test/{i}/0" for i in range(images)], ["a"] * texts)


@pytest.mark.parametrize("model", ["xuniter", "siglip"])
def test_images_and_texts_that_cannot_be_read(model: str, run_of: MakeRun, tmp_path: Path) -> None:
    predictor = iglue_plugins.load_run(run_of("xvnli", model).folder)
    for name in ("photo.jpg", "mini/xvnli/test/9/0", "test/0/0", str(tmp_path)):
        with pytest.raises(UserError, match=f"^{name}: there is no such file, and task mini/xvnli has no such image"):
            predictor(name, text="a")
    for text in ("", " \n", "\udcff"):
        with pytest.raises(UserError, match="^the text .* is (empty|not UTF-8); give another one"):
            predictor("mini/xvnli/test/0/0", text=text)


def test_a_file_that_is_no_picture(run_of: MakeRun, tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    path.write_text("a text")
    with pytest.raises(UserError, match=f"^{path}: the picture has no format of a photograph"):
        iglue_plugins.load_run(run_of("xvnli", "siglip").folder)(path, text="a")


def test_a_model_whose_output_is_not_finite(run_of: MakeRun) -> None:
    for task in ("xvnli", "xflickrco"):
        predictor = iglue_plugins.load_run(run_of(task).folder)
        with torch.no_grad():
            for parameter in predictor.trained.model.parameters():
                parameter.fill_(torch.nan)
        with pytest.raises(UserError, match="the model's output is not finite"):
            predictor(f"mini/{task}/test/0/0", text="a")


@pytest.mark.parametrize(
    "trainer",
    [
        {"name": "few_shot", "shots": 4, "epochs": 1, "batch_size": 4, "learning_rates": [1e-2]},
        {"name": "contrastive_adaptation", "inner_lr": 1e-2, "inner_steps": 1, "support_size": 4, "pairs": "all"},
    ],
)
def test_runs_that_keep_no_model(trainer: dict[str, Any], run_of: MakeRun, tmp_path: Path) -> None:
    run = run_of("xvnli", trainer=trainer, start_from="model", runs=str(tmp_path))
    with pytest.raises(UserError, match=": keeps no model, since its trainer adapts one to each language; name a run"):
        iglue_plugins.load_run(run.folder)


def test_folders_of_no_finished_run(run_of: MakeRun, tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(UserError, match=f"^{folder}: has no record.json; name the folder of a finished run"):
            iglue_plugins.load_run(folder)
    with pytest.raises(UserError, match="^device: 'cuda:99' is not available"):
        iglue_plugins.load_run(run_of("xvnli").folder, device="cuda:99")


def test_the_package_stays_light() -> None:
    code = "import sys, iglue_plugins; iglue_plugins.load_run; print({'torch', 'transformers'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "set()"
