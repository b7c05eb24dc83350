"""The shipped recipes of each task on the real annotations: English, XVL-MAML, every language, few shots of one.

The files are cut to their first rows; English training data, which are not among them, are stood in for by other
English files of the same kind. Region features are random numbers for the real image ids, converted from H5; the
model is tiny.
"""

from __future__ import annotations

import itertools
import json
import shutil
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from transformers import AutoTokenizer

from iglue_plugins import registry
from iglue_plugins.data.conversion.converter import convert
from iglue_plugins.mini import ASSETS
from iglue_plugins.models.configuration import UC2Config, XUniterConfig
from iglue_plugins.models.uniter import UC2ForVisionAndLanguage, XUniterForVisionAndLanguage
from iglue_plugins.recipes.recipe import load_recipe
from iglue_plugins.runs import runner
from iglue_plugins.utils.errors import UserError

ROOT = Path(__file__).parents[2]
DATASETS = ROOT.parent / "shared" / "iglue" / "datasets"
pytestmark = pytest.mark.skipif(not DATASETS.is_dir(), reason="the annotations of the IGLUE repository are not at hand")

FEATURE_SIZE = 16
MODELS = {"xuniter": (XUniterForVisionAndLanguage, XUniterConfig), "uc2": (UC2ForVisionAndLanguage, UC2Config)}


@dataclass(frozen=True)
class Case:
    """stand_ins: English training files, and which file takes their place. shots: of the few-shot files used.

    split and languages: what is evaluated after each stage. steps: of the baseline, a multiple of its epochs.
    """

    rows: int
    stand_ins: dict[str, str]
    auxiliary: str
    shots: int
    split: str
    languages: tuple[str, ...]
    steps: int


CASES = {
    "xvnli": Case(
        40,
        {
            "XVNLI/annotations/en/train.jsonl": "XVNLI/annotations/en/train_48.jsonl",
            "XVNLI/annotations/en/dev.jsonl": "XVNLI/annotations/en/train_20.jsonl",
        },
        "ar",
        10,
        "test",
        ("en", "ar", "es", "fr", "ru"),
        steps=10,
    ),
    "xgqa": Case(  # the test files of the other languages are not at hand: the few-shot dev sets of two are
        40,
        {
            "gqa/annotations/train.json": "xGQA/annotations/few_shot/en/train_5.json",
            "gqa/annotations/valid.json": "xGQA/annotations/few_shot/en/train_1.json",
        },
        "de",
        5,
        "few_shot_dev",
        ("en", "de"),
        steps=5,
    ),
    "marvl": Case(
        24,
        {
            "nlvr2/annotations/train.jsonl": "nlvr2/annotations/dev.jsonl",
            "nlvr2/annotations/test.jsonl": "nlvr2/annotations/dev.jsonl",
        },
        "id",
        4,
        "test",
        ("en", "id", "sw", "ta", "tr", "zh"),
        steps=20,
    ),
    "xflickrco": Case(
        12,
        {"flickr30k/annotations/train_ann.jsonl": "flickr30k/annotations/valid_ann.jsonl"},
        "de",
        10,
        "test",
        ("en", "de", "es", "id", "ja", "ru", "tr", "zh"),
        steps=10,
    ),
}


def cut(source: Path, target: Path, rows: int) -> None:
    """The first rows of a file of JSON lines; of a JSON file, the first entries; of a pickle, all."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.suffix == ".pkl":
        shutil.copy(source, target)
        return
    if source.suffix == ".jsonl":
        with source.open(encoding="utf-8") as lines:
            target.write_text("".join(itertools.islice(lines, rows)), encoding="utf-8")
        return
    entries = json.loads(source.read_text(encoding="utf-8"))
    few = entries[:rows] if isinstance(entries, list) else dict(itertools.islice(entries.items(), rows))
    target.write_text(json.dumps(few), encoding="utf-8")


def copy_annotations(datasets: Path, case: Case, name: str) -> None:
    task = registry.tasks.load(name)
    entries = [entry for sources in task.config.splits.values() for entry in sources]
    for entry in entries:
        for language, pattern, shots in itertools.product(entry.languages, entry.file, entry.shots or (None,)):
            file = pattern.format(language=language, shots=shots)
            if (DATASETS / file).is_file():
                cut(DATASETS / file, datasets / file, case.rows if shots is None else 10**6)
    for target, source in case.stand_ins.items():
        cut(DATASETS / source, datasets / target, 10**6 if "few_shot" in source else case.rows)
    for answers in ("trainval_label2ans.json", "trainval_ans2label.json"):
        cut(DATASETS / "gqa/annotations" / answers, datasets / "gqa/annotations" / answers, 10**6)


def make_regions(home: Path, name: str) -> None:
    """A store of random features for every image of every split that is there."""
    task = registry.tasks.load(name)(registry.tasks.get(name).Settings(auxiliary="few_shot"))
    images: defaultdict[str, set[str]] = defaultdict(set)
    for split, language in itertools.product(task.config.splits, task.languages):
        for shots in task.config.shots(split, language) or (None,):
            try:
                examples = task.load(split, language, shots)
            except UserError as error:
                assert "no such file" in str(error) or "has no language" in str(error), error
                continue
            for image_id in itertools.chain.from_iterable(examples["image_ids"][:]):
                store, _, image = image_id.partition("/")
                images[store].add(image)
    rng = np.random.default_rng(0)
    for store, names in images.items():
        with h5py.File(home / f"{store}.h5", "w") as file:
            for image in names:
                boxes = rng.integers(2, 5)
                corners = rng.uniform(0, 50, (boxes, 2))
                group = file.create_group(image)
                group["features"] = rng.standard_normal((boxes, FEATURE_SIZE), dtype=np.float32)
                group["boxes"] = np.concatenate([corners, corners + 40], 1).astype(np.float32)
                group["img_w"], group["img_h"] = 100, 100
        convert([home / f"{store}.h5"], home / "regions" / store)


def save_model(folder: Path, model: str) -> None:
    tokenizer = AutoTokenizer.from_pretrained(ASSETS / "tokenizer")
    torch.manual_seed(0)
    cls, config = MODELS[model]
    cls(
        config(
            vocab_size=len(tokenizer),
            hidden_size=16,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=16,
            max_position_embeddings=90,
            region_feature_size=FEATURE_SIZE,
            pooler_size=16,
            classifier_hidden_size=16,
            contrastive_size=8,
        )
    ).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], Path]:
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("IGLUE_HOME", str(tmp_path))

    def make(task: str, model: str) -> Path:
        copy_annotations(tmp_path / "datasets", CASES[task], task)
        make_regions(tmp_path, task)
        save_model(tmp_path / "checkpoints" / model, model)
        return tmp_path

    return make


@pytest.mark.parametrize(
    ("task", "model"), [("xvnli", "xuniter"), ("xgqa", "uc2"), ("marvl", "xuniter"), ("xflickrco", "uc2")]
)
def test_the_whole_pipeline(home: Callable[[str, str], Path], task: str, model: str) -> None:
    case, folder = CASES[task], home(task, model)
    common = [
        f"runs={folder / 'runs'}",
        f"evaluation.splits=[{case.split}]",
        "task.auxiliary=few_shot",
        f"auxiliary_languages=[{case.auxiliary}]",
        f"task.auxiliary_shots={case.shots}",
    ]
    everywhere = f"evaluation.languages=[{', '.join(case.languages)}]"
    meta = ["trainer.steps=3", "trainer.support_size=4", "trainer.query_size=4"]

    baseline = runner.run(load_recipe(f"recipes/iglue/{task}/{model}/finetune.yaml", [*common, everywhere]))
    record = baseline.record()
    assert record["steps"] % case.steps == 0
    assert record["validation"].keys() == {"step", "score"}
    maml = runner.run(load_recipe(f"recipes/iglue/{task}/{model}/xvl_maml.yaml", [*common, everywhere, *meta])).record()
    assert maml["start_from"]["fingerprint"] == record["fingerprint"], "the baseline is not run again"
    assert maml["training_languages"] == [case.auxiliary]
    few_shot = runner.run(
        load_recipe(
            f"recipes/iglue/{task}/{model}/few_shot.yaml",
            [
                *common,
                f"start_from={baseline.folder}",
                f"evaluation.languages=[en, {case.auxiliary}]",
                f"trainer.shots={case.shots}",
                "trainer.epochs=2",
                "trainer.learning_rates=[1e-3, 1e-4]",
            ],
        )
    ).record()
    assert list(few_shot["adaptation"]["languages"]) == [case.auxiliary]
    for scored, languages in ((record, case.languages), (maml, case.languages), (few_shot, ("en", case.auxiliary))):
        scores = scored["scores"][case.split]
        assert tuple(scores) == languages
        for language in languages:
            assert 0 <= scores[language][scored["main_metric"]] <= 100
            assert 0 < scores[language]["examples"] <= case.rows
