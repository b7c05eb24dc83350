"""What made a store is loaded by what the store's metadata say of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tiny_detectors import write_tiny

from iglue_plugins.data.stores.format import DetectionSettings
from iglue_plugins.models.detector.loading import load_detector
from iglue_plugins.models.extraction import loading
from iglue_plugins.models.extraction.grid import load_grid_extractor
from iglue_plugins.models.extraction.loading import load_extractor
from iglue_plugins.utils.errors import UserError


def test_a_grid(tower_folder: Callable[..., Path]) -> None:
    folder = str(tower_folder("siglip"))
    expected = load_grid_extractor(folder, grid=3).settings
    assert load_extractor(expected, folder).settings == expected
    with pytest.raises(UserError, match="^--weights is missing: .* a file or folder 'tower-siglip', but not where"):
        load_extractor(expected)


@pytest.mark.parametrize("preset", ["iglue-36", "caffe-36"])
def test_the_detector_of_visual_genome(preset: str, tmp_path: Path) -> None:
    folder = str(write_tiny(tmp_path / "tiny"))
    expected = load_detector("vg-r101", preset, folder, precision="bfloat16").settings
    found = load_extractor(DetectionSettings.model_validate_json(expected.model_dump_json()), folder)
    assert found.settings == expected
    with pytest.raises(UserError, match="^--weights is missing"):
        load_extractor(expected)


@pytest.mark.parametrize("is_local", [False, True])
def test_a_detector_of_transformers(is_local: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[Any, ...]] = []
    monkeypatch.setattr(loading, "load_detector", lambda *arguments: calls.append(arguments))
    settings = DetectionSettings(
        detector="some/detr",
        preset="queries",
        weights="some/detr",
        revision="c" * (64 if is_local else 40),
        precision="float32",
        options={"boxes": 50},
    )
    load_extractor(settings, str(tmp_path) if is_local else None, "cpu")
    source, revision = (str(tmp_path), None) if is_local else ("some/detr", "c" * 40)
    assert calls == [(source, "queries", None, revision, "float32", "cpu", 50)]
