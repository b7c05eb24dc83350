"""Registries with small plugins that need neither torch nor data."""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar, Literal

import pytest
import yaml
from hypothesis import HealthCheck, settings
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from iglue_plugins import registry

# HYPOTHESIS_PROFILE=thorough or --hypothesis-profile thorough draws 2,000 mutations for each reader of files.
settings.register_profile(
    "suite",
    max_examples=40,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
settings.register_profile("thorough", settings.get_profile("suite"), max_examples=2000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "suite"))


@pytest.fixture(scope="session", autouse=True)
def ctrl_c_arrives() -> None:
    """A shell starts what it runs in the background with SIGINT ignored, and so would the tests' own processes be."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def temporary_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keeps the caches of annotations and of mini's features out of the user's, in subprocesses too."""
    import datasets

    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_DATASETS_CACHE", str(folder))
        patch.setattr(datasets.config, "HF_DATASETS_CACHE", folder)
        yield


@pytest.fixture(scope="session", autouse=True)
def what_is_imported_is_no_garbage() -> None:
    """transformers collects garbage in every training, and would look through all of torch each time."""
    import iglue_plugins.runs.runner  # noqa: F401

    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def processor_without_bfloat16(monkeypatch: pytest.MonkeyPatch) -> None:
    """What `precision: auto` comes to is the same on every machine that runs the tests."""
    monkeypatch.setattr("iglue_plugins.trainers.precision.multiplies_bfloat16", lambda device: False)


@pytest.fixture(autouse=True)
def single_thread() -> Iterator[None]:
    """Threads cost tiny models more than they bring, and sums of several are rounded otherwise."""
    from iglue_plugins.utils.threads import single_thread

    with single_thread():
        yield


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Optimiser(Strict):
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 0.0


class NliTask:
    languages = ("en", "ar", "fr", "ru")
    source_language = "en"
    default_auxiliary_languages = ("ar",)
    splits = ("train", "val", "test")
    trainer_defaults = {"finetune": {"lr": 2e-5, "epochs": 10}, "meta": {"optimiser": {"weight_decay": 0.1}}}

    class Settings(Strict):
        fingerprint_exclude: ClassVar[frozenset[str]] = frozenset({"data_root"})

        pairs: Literal["aligned", "all"] = "aligned"
        data_root: str | None = None


class TinyModel:
    class Settings(Strict):
        layers: int = Field(2, ge=1)


class FinetuneTrainer:
    starts_from = "model"
    trains_on = "source"

    class Settings(Strict):
        lr: float = Field(1e-4, gt=0)
        epochs: int = 3


class MetaTrainer:
    starts_from = "finetune"
    trains_on = "auxiliary"

    class Settings(Strict):
        inner_lr: float = Field(0.01, ge=0)
        inner_steps: int = 1
        first_order: bool = False
        optimiser: Optimiser = Optimiser()
        steps: int | None = None
        shots: int | Literal["all"] = "all"

        @field_validator("inner_steps")
        @classmethod
        def not_negative(cls, value: int) -> int:
            if value < 0:
                raise ValueError("expected at least 0 inner steps")
            return value

        @model_validator(mode="after")
        def first_order_steps(self) -> MetaTrainer.Settings:
            if self.first_order and self.inner_steps == 0:
                raise ValueError("first_order is set, expected at least one inner step")
            return self


@pytest.fixture
def plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    """Puts task 'nli', model 'tiny' and trainers 'finetune' and 'meta' in the place of the real registries."""
    for kind, classes in {
        "task": {"nli": NliTask},
        "model": {"tiny": TinyModel},
        "trainer": {"finetune": FinetuneTrainer, "meta": MetaTrainer},
    }.items():
        fresh = registry.Registry(kind, f"no.such.group.{kind}", [])
        for name, cls in classes.items():
            fresh.register(name)(cls)
        monkeypatch.setattr(registry, f"{kind}s", fresh)


@pytest.fixture
def without_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaves out the region features of mini tasks, which take most of the time, and keeps none in the cache."""
    import numpy as np

    from iglue_plugins.mini import base, world

    nothing = np.zeros((1, world.FEATURE_SIZE), dtype=np.float32), np.zeros((1, 4), dtype=np.float32)
    monkeypatch.setattr(base, "cached_region_features", lambda scenes: [nothing] * len(scenes))


@pytest.fixture(scope="session")
def tiny_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint folder: a freshly initialised xUNITER of two narrow layers, with the mini benchmark's tokenizer."""
    import torch
    from transformers import AutoTokenizer

    from iglue_plugins.mini import ASSETS
    from iglue_plugins.mini.world import FEATURE_SIZE
    from iglue_plugins.models.configuration import XUniterConfig
    from iglue_plugins.models.uniter import XUniterForVisionAndLanguage

    folder = tmp_path_factory.mktemp("checkpoints") / "tiny"
    tokenizer = AutoTokenizer.from_pretrained(ASSETS / "tokenizer")
    torch.manual_seed(0)
    config = XUniterConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=24,
        max_position_embeddings=90,
        region_feature_size=FEATURE_SIZE,
        pooler_size=16,
        classifier_hidden_size=16,
        contrastive_size=8,
    )
    XUniterForVisionAndLanguage(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture
def write(tmp_path: Path, tiny_checkpoint: Path) -> Callable[..., Path]:
    """Writes a recipe that takes a moment to run, with changes to it: <name>.yaml."""

    def make(name: str, **changes: Any) -> Path:
        recipe = {
            "task": "mini/xvnli",
            "model": {"name": "xuniter", "checkpoint": str(tiny_checkpoint)},
            "trainer": {"name": "auxiliary_finetune", "steps": 2, "batch_size": 8, "learning_rate": 1e-2},
            "start_from": "model",
            "evaluation": {"splits": ["dev"], "languages": ["en", "tr", "de"]},
            "runs": str(tmp_path / "runs"),
        }
        path = tmp_path / f"{name}.yaml"
        path.write_text(yaml.safe_dump(recipe | changes))
        return path

    return make
