"""The predictions of ctrl_xuniter in the IGLUE repository have the scores of its tables."""

from __future__ import annotations

import csv
from pathlib import Path

import datasets
import pytest

from iglue_plugins.evaluation.gold import read_gold
from iglue_plugins.evaluation.prediction_files import read_predictions
from iglue_plugins.evaluation.scoring import score

IGLUE = Path(__file__).parents[2].parent / "shared" / "iglue"
TABLES = {
    "xgqa": ("accuracy", "xgqa/xGQA_0.csv", 9666, 2912),
    "xflickrco": ("image_recall@1", "xflickrco/xFlickrCO_ir_0.csv", 2000, 0),
}
LANGUAGES = {
    "xgqa": ("en", "bn", "de", "id", "ko", "pt", "ru", "zh"),
    "xflickrco": ("en", "de", "es", "id", "ja", "ru", "tr", "zh"),
}

pytestmark = pytest.mark.skipif(not IGLUE.is_dir(), reason=f"no annotations and predictions of IGLUE in {IGLUE}")


@pytest.fixture(autouse=True, scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keep the cache of annotations in a folder of the tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path_factory.mktemp("cache"))
        yield


@pytest.mark.parametrize(("task", "language"), [(task, name) for task, names in LANGUAGES.items() for name in names])
def test_zero_shot_figures(task: str, language: str) -> None:
    metric, table, examples, extra = TABLES[task]
    with (IGLUE / "published" / table).open(newline="") as file:
        published = {row["model"]: row for row in csv.DictReader(file)}["ctrl_xuniter"][language]
    path = IGLUE / "published" / "predictions" / task / "ctrl_xuniter" / f"test_{language}_0_result.json"
    found = score(path, read_predictions(path), read_gold(task, language, str(IGLUE)))
    assert found.metrics[metric] == pytest.approx(float(published), abs=1e-9)
    assert (found.examples, found.missing, found.extra) == (examples, 0, extra)
