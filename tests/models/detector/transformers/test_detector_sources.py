"""Sources that are no detectors, or lack something, end in a sentence; nothing of a checkpoint is run."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_transformers_detectors import SaveDetector, make_processor
from vision_towers import save_tower

from iglue_plugins.models.detector.transformers_detector import load
from iglue_plugins.utils.errors import UserError


def change_json(file: Path, **changes: Any) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def test_a_model_that_is_no_detector(tmp_path: Path) -> None:
    save_tower(tmp_path / "vit", "vit")
    with pytest.raises(UserError, match="vit' holds a model of type 'vit', which is no detector of objects; name one"):
        load(str(tmp_path / "vit"))


def test_a_folder_that_is_not_there() -> None:
    with pytest.raises(UserError, match="--detector: .*/no/detector"):
        load("/no/detector")


def test_weights_that_are_lacking(detector_folder: SaveDetector) -> None:
    folder = detector_folder("detr")
    weights = load_file(folder / "model.safetensors")
    first, second, *_ = [name for name in sorted(weights) if "decoder" in name]
    kept = {name: tensor for name, tensor in weights.items() if name not in (first, second)}
    save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UserError, match=f"lacks 2 weights of its detector, such as {first}; copy or download it again"):
        load(str(folder))


def test_weights_that_only_training_reads_may_be_lacking(detector_folder: SaveDetector) -> None:
    folder = detector_folder("rt_detr")
    weights = load_file(folder / "model.safetensors")
    kept = {name: tensor for name, tensor in weights.items() if "denoising_class_embed" not in name}
    assert len(kept) == len(weights) - 1
    save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})
    load(str(folder))


def test_weights_that_could_run_code_are_not_read(detector_folder: SaveDetector) -> None:
    folder = detector_folder("detr")
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    with pytest.raises(UserError, match=r"model\.safetensors"):
        load(str(folder))


def test_code_of_a_checkpoint_is_not_run(detector_folder: SaveDetector, tmp_path: Path) -> None:
    folder = detector_folder("detr")
    (folder / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    auto_map = {"AutoConfig": "evil.Config", "AutoModelForObjectDetection": "evil.Model"}
    change_json(folder / "config.json", auto_map=auto_map, model_type="evil")
    with pytest.raises(UserError, match="--detector: no model can be loaded"):
        load(str(folder))
    assert not (tmp_path / "ran").exists()


def test_a_backbone_of_timm_needs_timm(detector_folder: SaveDetector, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("iglue_plugins.models.detector.transformers_detector.is_timm_available", lambda: False)
    folder = detector_folder("detr")
    change_json(folder / "config.json", backbone_config=None, use_timm_backbone=True, backbone="resnet50")
    with pytest.raises(UserError, match="needs the package timm: pip install timm; or name a detector"):
        load(str(folder))


def test_a_processor_that_makes_no_boxes(detector_folder: SaveDetector) -> None:
    folder = detector_folder("detr")
    change_json(folder / "preprocessor_config.json", image_processor_type="ViTImageProcessor")
    with pytest.raises(UserError, match="a ViTImageProcessor.*, does not make boxes and probabilities"):
        load(str(folder))


@pytest.mark.parametrize(("kind", "processor"), [("detr", "deformable_detr"), ("rt_detr", "detr")])
def test_a_processor_of_another_kind_of_detector(
    kind: str, processor: str, detector_folder: SaveDetector, photos: list[Any]
) -> None:
    detector = load(str(detector_folder(kind, make_processor(processor, size={"height": 64, "width": 64}))))
    with pytest.raises(UserError, match=r"logits for each box, but its image processor, a .*, and its 7 names"):
        detector.extract([detector.prepare(photos[0])])


def test_yolos_has_no_backbone(saved_detector: Callable[[str], Path]) -> None:
    with pytest.raises(UserError, match="a YolosForObjectDetection, which has no backbone .*choose the preset queries"):
        load(str(saved_detector("yolos")), "backbone")


def test_a_precision_that_a_model_does_not_know(saved_detector: Callable[[str], Path], photos: list[Any]) -> None:
    detector = load(str(saved_detector("dab_detr")), precision="bfloat16")
    with pytest.raises(UserError, match=r"in bfloat16 \(.*\); choose --precision float32"):
        detector.extract([detector.prepare(photos[0])])


def test_a_hub_id_is_pinned_to_its_commit(
    saved_detector: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit, repository = "0123456789abcdef0123456789abcdef01234567", tmp_path / "models--someone--detr"
    shutil.copytree(saved_detector("detr"), repository / "snapshots" / commit)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(commit)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    settings = load("someone/detr").settings
    assert (settings.detector, settings.weights, settings.revision) == ("someone/detr", "someone/detr", commit)
    with pytest.raises(UserError, match="--detector: no model can be loaded from 'someone/detr'"):
        load("someone/detr", revision="v2")


def test_options_that_do_not_fit(saved_detector: Callable[[str], Path]) -> None:
    folder = str(saved_detector("detr"))
    with pytest.raises(UserError, match="has no preset 'backbones'; did you mean 'backbone'"):
        load(folder, "backbones")
    with pytest.raises(UserError, match="--boxes: it is 0"):
        load(folder, boxes=0)
    with pytest.raises(UserError, match="the revision 'v1' is of a hub id"):
        load(folder, revision="v1")
