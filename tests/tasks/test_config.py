"""The files of facts about tasks, and the facts about the mini tasks."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from iglue_plugins import registry
from iglue_plugins.mini import ASSETS, LANGUAGES
from iglue_plugins.tasks import config as reading
from iglue_plugins.tasks.config import GeneratedTaskConfig, load_task_config, with_task_config
from iglue_plugins.utils.errors import UserError

FOLDER = Path(__file__).parents[2] / "task_configs"
NAMES = sorted(path.relative_to(FOLDER).with_suffix("").as_posix() for path in FOLDER.glob("mini/*.yaml"))
FACTS = """
name: toy
summary: An example.
source_language: en
target_languages: [tr, sw]
auxiliary_languages: [tr]
splits: {train: 3, test: 2}
main_metric: accuracy
licence: MIT
citation: nobody
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(reading, "FOLDERS", (tmp_path / "missing", tmp_path))
    (tmp_path / "toy.yaml").write_text(FACTS)
    return tmp_path


def test_a_class_gets_the_facts_of_its_file(folder: Path) -> None:
    (folder / "toy.yaml").write_text(f"{FACTS}\ntrainer_defaults: {{finetune: {{steps: 7}}}}")

    @with_task_config("toy")
    class Toy:
        pass

    assert (Toy.name, Toy.source_language, Toy.languages) == ("toy", "en", ("en", "tr", "sw"))
    assert (Toy.default_auxiliary_languages, Toy.splits, Toy.main_metric) == (("tr",), ("train", "test"), "accuracy")
    assert (Toy.sizes, Toy.trainer_defaults) == ({"train": 3, "test": 2}, {"finetune": {"steps": 7}})


def test_a_missing_file(folder: Path) -> None:
    with pytest.raises(UserError, match="^task_configs/toys.yaml: no such file"):
        load_task_config("toys", GeneratedTaskConfig)


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ("lisence: MIT", "lisence"),
        ("splits: many", "splits"),
        ("splits: {train: few}", "splits.train"),
        ("name: [", "toy.yaml"),
    ],
)
def test_an_invalid_file(folder: Path, change: str, found: str) -> None:
    (folder / "toy.yaml").write_text(f"{FACTS}\n{change}\n")
    with pytest.raises(UserError) as error:
        load_task_config("toy", GeneratedTaskConfig)
    assert str(error.value).startswith(f"{folder / 'toy.yaml'}: ")
    assert found in str(error.value)
    assert "\n" not in str(error.value)


# The files that ship


REQUIRED = {"few_shot": {"shots": 1}, "pretrain": {"language_shares": {"en": 1}}}  # what recipes have to say


def check_languages(config: GeneratedTaskConfig, cls: type) -> None:
    assert cls.source_language == config.source_language
    assert cls.languages == (config.source_language, *config.target_languages)
    assert len(set(cls.languages)) == len(cls.languages)
    assert set(cls.languages) <= set(LANGUAGES)
    assert cls.default_auxiliary_languages == config.auxiliary_languages
    assert set(config.auxiliary_languages) <= set(config.target_languages)


def check_trainer_defaults(config: GeneratedTaskConfig, cls: type) -> None:
    assert cls.trainer_defaults == config.trainer_defaults
    for trainer, settings in config.trainer_defaults.items():
        plugin, required = registry.trainers.get(trainer), REQUIRED.get(trainer, {})
        made = plugin.Settings.model_validate_json(json.dumps(required | settings), strict=True)
        assert made.model_dump(include=set(settings)) == settings


def check_examples(config: GeneratedTaskConfig, cls: type) -> None:
    task = cls()
    for split, size in config.splits.items():
        assert size > 0
        examples = task.load(split, config.source_language)
        assert len(examples) == size
        assert len(task.targets(examples["label"])) == size
        assert len(set(examples["id"])) == size


@pytest.mark.parametrize("name", NAMES)
def test_the_facts_about_a_task_are_true(name: str, without_pictures: None) -> None:
    config, cls = load_task_config(name, GeneratedTaskConfig), registry.tasks.load(name)
    assert config.name == cls.name == name
    assert cls.splits == tuple(config.splits)
    assert cls.main_metric == config.main_metric
    assert {cls.training_splits["source"], "dev"} <= set(config.splits)
    if config.auxiliary_languages:
        assert {cls.training_splits["auxiliary"], "test"} <= set(config.splits)
    check_languages(config, cls)
    check_trainer_defaults(config, cls)
    check_examples(config, cls)
    assert config.summary.endswith(".") and config.citation.strip() and config.licence.strip()


@pytest.mark.parametrize("name", NAMES)
def test_the_licences_of_a_mini_task_are_those_beside_the_assets(name: str) -> None:
    licence = load_task_config(name, GeneratedTaskConfig).licence
    assert {path.stem for path in (ASSETS / "licences").iterdir()} == set(re.findall(r"\w+-\d\.\d", licence))


def test_every_mini_task_has_a_file() -> None:
    assert {name for name in registry.tasks.names() if name.startswith("mini/")} <= set(NAMES)
