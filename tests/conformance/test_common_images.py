"""How often IGLUE's few-shot data give a batch two texts of one image, and that `distinct_images` never does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import datasets
import numpy as np
import pytest

from iglue_plugins import registry
from iglue_plugins.data.batching import Batch
from iglue_plugins.data.processors.regions import RegionProcessor
from iglue_plugins.data.regions import InMemoryRegions
from iglue_plugins.tasks.base import Task
from iglue_plugins.tasks.iglue.task import IGLUETask
from iglue_plugins.trainers.base import TrainingData
from iglue_plugins.trainers.contrastive_loss import pair_targets
from iglue_plugins.trainers.settings.xvl_maml import XVLMAMLSettings
from iglue_plugins.trainers.xvl_maml import XVLMAML

IGLUE = Path(__file__).parents[2].parent / "shared" / "iglue"
EPISODES = 1000

pytestmark = pytest.mark.skipif(
    not (IGLUE / "datasets").is_dir(), reason="IGLUE's annotation files are not there (shared/iglue)"
)


class Words:
    """A tokenizer that numbers words as they come."""

    pad_token_id = 0

    def __init__(self) -> None:
        self.numbers: dict[str, int] = {}

    def __call__(self, texts: list[str], truncation: bool, max_length: int, **_: object) -> SimpleNamespace:
        numbers = self.numbers
        rows = ([numbers.setdefault(word, len(numbers) + 1) for word in text.split()] for text in texts)
        return SimpleNamespace(input_ids=[row[:max_length] for row in rows])


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path_factory.mktemp("cache"))
        yield


def make_task(name: str, language: str, shots: int | str) -> IGLUETask:
    """Make a task whose images have one region each."""
    cls = registry.tasks.load(name)
    task = cls(cls.Settings(data_root=IGLUE, auxiliary="few_shot", auxiliary_shots=shots))
    regions = InMemoryRegions(feature_size=1, max_boxes=1)
    ids = {image for images in task.load("auxiliary", language)["image_ids"] for image in images}
    region = np.zeros((1, 1), dtype=np.float32), np.asarray([[0, 0, 1, 1]], dtype=np.float32)
    regions.add(dict.fromkeys(sorted(ids), region), 1, 1)
    task.__dict__["regions"] = regions
    return task


def common(task: Task, batch: Batch) -> tuple[bool, bool, bool]:
    """Tell whether two pairs of a batch share an image, whether two have one text, and whether the loss masks any."""
    pairs = task.aligned_pairs(batch)
    images, texts = pairs.image_identity.tolist(), pairs.text_identity.tolist()
    masked = pair_targets(pairs.image_identity, pairs.text_identity, "masked").excluded
    share_an_image = sum(len(set(row)) for row in images) > len({image for row in images for image in row})
    return share_an_image, len(set(texts)) < len(texts), bool(masked.any())


@pytest.mark.parametrize(
    ("name", "language", "shots", "images", "texts", "either"),
    [
        ("xgqa", "en", 48, 963, 0, 963),
        ("xvnli", "ar", 48, 914, 801, 914),
        ("marvl", "id", "10x2", 515, 602, 778),
        ("xflickrco", "de", 100, 0, 0, 0),
    ],
)
def test_support_batches_with_false_negatives(
    name: str, language: str, shots: int | str, images: int, texts: int, either: int
) -> None:
    """Of 1,000 support batches of 16, as the sampler draws them; the figures stand in docs/method.md."""
    task = make_task(name, language, shots)
    data = TrainingData(task, RegionProcessor(Words()), ("en",), (language,), seed=0)
    found = {}
    for distinct in (False, True):
        steps = XVLMAML(XVLMAMLSettings(steps=EPISODES, distinct_images=distinct)).steps(data)
        episodes = [item["episodes"][0] for item in steps]
        found[distinct] = np.sum([common(task, episode["support"]) for episode in episodes], axis=0).tolist()
        assert {len(episode[part].labels) for episode in episodes for part in ("support", "query")} == {16}
        if distinct:
            assert not any(any(common(task, episode["query"])) for episode in episodes)
    assert found == {False: [images, texts, either], True: [0, 0, 0]}
