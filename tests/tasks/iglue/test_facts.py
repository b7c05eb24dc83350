"""The facts about the IGLUE tasks in task_configs/, which agree with each other and with VOLTA's task files."""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path

import pytest

from iglue_plugins import registry
from iglue_plugins.data.annotations.hub import LAYOUTS
from iglue_plugins.data.annotations.readers import READERS
from iglue_plugins.tasks.config import IGLUEConfig, load_task_config
from iglue_plugins.tasks.iglue.task import IGLUETask
from iglue_plugins.tasks.volta import read_volta_task, read_volta_tasks

NAMES = ("xvnli", "xgqa", "marvl", "xflickrco")
VOLTA = Path(__file__).parents[3].parent / "shared" / "iglue" / "volta" / "config_tasks"
FILES = [
    f"iglue_{use}_tasks_{features}.dtu.yml"
    for use, features in product(("trainval", "test", "fewshot"), ("boxes36", "X101"))
]


@pytest.fixture(params=NAMES)
def config(request: pytest.FixtureRequest) -> IGLUEConfig:
    return load_task_config(request.param, IGLUEConfig)


def test_every_task_has_a_file() -> None:
    full = {name for name in registry.tasks.names() if issubclass(registry.tasks.load(name), IGLUETask)}
    folder = Path(__file__).parents[3] / "task_configs"
    assert full == set(NAMES) == {path.stem for path in folder.glob("*.yaml")}


def test_a_task_has_the_facts_of_its_file(config: IGLUEConfig) -> None:
    cls = registry.tasks.load(config.name)
    assert cls.name == config.name
    assert cls.languages == (config.source_language, *config.target_languages)
    assert cls.splits == (*config.splits, "auxiliary")
    assert cls.main_metric == config.main_metric
    assert cls.default_auxiliary_languages == config.auxiliary_languages
    assert set(cls.training_splits.values()) <= set(cls.splits)
    assert cls.validation_split in config.splits
    if config.labels:
        assert cls.labels == config.labels


def test_the_facts_fit_together(config: IGLUEConfig) -> None:
    assert bool(config.labels) != bool(config.answers)
    assert set(config.auxiliary_languages) <= set(config.target_languages)
    assert config.split_languages("test") == (config.source_language, *config.target_languages)
    assert config.split_languages("test_translated") == config.target_languages
    assert config.split_languages("train") == config.split_languages("dev") == (config.source_language,)
    assert {"few_shot"} | ({"dev_translated"} if "machine_translated" in config.auxiliary else set()) <= set(
        config.splits
    )
    assert config.auxiliary_shots in config.shots("few_shot")
    assert set(config.hub.languages) <= set(config.split_languages("test"))
    assert config.name in LAYOUTS and len(config.hub.revision) == 40
    for source in (source for sources in config.splits.values() for source in sources):
        assert source.kind in READERS
        assert source.origin in config.origins
        assert all(("{shots}" in file) == bool(source.shots) for file in source.file)
        assert len(source.languages) == 1 or all("{language}" in file for file in source.file)
    assert config.summary[-1] in ".?" and config.licence and config.citation


def test_trainer_defaults_are_settings_of_the_trainers(config: IGLUEConfig) -> None:
    for trainer, settings in config.trainer_defaults.items():
        needed = {"shots": 1} if trainer == "few_shot" else {}
        made = registry.trainers.get(trainer).Settings.model_validate_json(json.dumps(needed | settings), strict=True)
        assert made.model_dump(include=set(settings)) == settings


@pytest.fixture
def volta() -> Path:
    if not VOLTA.is_dir():
        pytest.skip("IGLUE's files are not there (shared/iglue/volta)")
    return VOLTA


@pytest.mark.parametrize("file", FILES)
def test_the_facts_equal_those_of_volta(file: str, config: IGLUEConfig, volta: Path) -> None:
    found = read_volta_task(volta / file, config.volta_task)
    cls = registry.tasks.load(config.name)
    loss = "cross_entropy" if config.name == "xflickrco" else "binary_cross_entropy"
    assert (found.head, found.loss) == (cls.head, loss)
    assert found.num_labels == (config.answers.count if config.answers else len(config.labels)) or (
        config.name == "xflickrco" and found.num_labels == 1
    )
    assert found.max_text_length == config.max_text_length
    assert found.max_boxes == (config.max_boxes if "boxes36" in file else 100)


def test_the_training_settings_equal_those_of_volta(config: IGLUEConfig, volta: Path) -> None:
    found = read_volta_task(volta / FILES[0], config.volta_task)
    settings = config.trainer_defaults["finetune"]
    assert (found.batch_size, found.learning_rate) == (settings["batch_size"], settings["learning_rate"])
    assert found.epochs == settings["epochs"]


def test_every_file_of_volta_can_be_read(volta: Path) -> None:
    keys = {load_task_config(name, IGLUEConfig).volta_task for name in NAMES}
    found = {path.name: keys & set(read_volta_tasks(path)) for path in volta.glob("*.yml")}
    assert found == dict.fromkeys(FILES, keys) | dict.fromkeys(
        ("all_trainval_tasks.yml", "all_test_tasks.yml"), keys - {"TASK19"}
    )
