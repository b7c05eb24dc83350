"""Maps of features of vision models: tokens on their grid, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import BertConfig, BertModel, ViTMAEConfig, ViTMAEModel
from vision_towers import MODELS, SMALL, TRANSFORMER, make_model

from iglue_plugins.models.extraction.tower import VisionTower, load_tower
from iglue_plugins.utils.errors import UserError

STRIDES = {"swin": 8, "resnet": 32, "convnext": 32}  # pixels of a place; 16 otherwise
WIDTHS = {"swin": 16}


def feature_map(tower: VisionTower, pixels: Tensor) -> Tensor:
    with torch.inference_mode():
        found, covered = tower(pixels)
    assert covered == (1, 1)
    return found


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("size", [(64, 64), (64, 96), (128, 64)])
def test_the_map_of_each_model(kind: str, size: tuple[int, int], tower_folder: Callable) -> None:
    tower = load_tower(str(tower_folder(kind)), None, torch.float32)
    found = feature_map(tower, torch.rand(2, 3, *size))
    stride = STRIDES.get(kind, 16)
    assert found.shape == (2, WIDTHS.get(kind, 32), size[0] // stride, size[1] // stride)


@pytest.mark.parametrize("kind", MODELS)
def test_the_map_is_what_the_saved_model_computes(kind: str, tower_folder: Callable) -> None:
    tower = load_tower(str(tower_folder(kind)), None, torch.float32)
    torch.manual_seed(0)
    model = make_model(kind)
    reference = getattr(model, "vision_model", model)
    pixels = torch.rand(2, 3, 64, 64)
    with torch.inference_mode():
        expected = reference(pixel_values=pixels).last_hidden_state
    if expected.dim() == 3:
        special = {"vit": 1, "dinov2": 1, "dinov2_registers": 5, "clip": 1, "clip_vision": 1}.get(kind, 0)
        places = expected[:, special:].transpose(1, 2)
        expected = places.unflatten(2, (round(places.shape[2] ** 0.5),) * 2)
    torch.testing.assert_close(feature_map(tower, pixels), expected)


@pytest.mark.parametrize("kind", ["vit", "dinov2_registers", "siglip_vision", "swin"])
def test_a_place_of_the_map_is_the_place_of_its_pixels(kind: str) -> None:
    """Without layers, a token knows its own patch alone: what changes in the map is where the pixels have changed."""
    changes = {"depths": [0], "num_heads": [1]} if kind == "swin" else {"num_hidden_layers": 0}
    tower = VisionTower(make_model(kind, **changes), "x")
    stride = 4 if kind == "swin" else 16
    pixels = torch.zeros(1, 3, 64, 96)
    changed = pixels.clone()
    changed[:, :, stride : 2 * stride, 4 * stride : 5 * stride] = 1
    difference = (feature_map(tower, pixels) - feature_map(tower, changed)).abs().sum((0, 1))
    assert difference.shape == (64 // stride, 96 // stride)
    assert difference.nonzero().tolist() == [[1, 4]]


def test_pixels_that_fill_no_patch_are_not_covered() -> None:
    tower = VisionTower(make_model("dinov2"), "x")
    with torch.inference_mode():
        found, covered = tower(torch.rand(1, 3, 70, 80))
    assert found.shape[2:] == (4, 5)
    assert covered == (64 / 70, 1)


def test_half_precision(tower_folder: Callable) -> None:
    folder = str(tower_folder("vit"))
    pixels = torch.rand(1, 3, 64, 64)
    exact = feature_map(load_tower(folder, None, torch.float32), pixels)
    tower = load_tower(folder, None, torch.bfloat16)
    assert {weight.dtype for weight in tower.parameters()} == {torch.bfloat16}
    torch.testing.assert_close(feature_map(tower, pixels.bfloat16()).float(), exact, atol=0.1, rtol=0.1)


def test_a_checkpoint_with_a_head(tmp_path: Path) -> None:
    """It has no pooler, on which the map does not depend."""
    torch.manual_seed(0)
    model = transformers.ViTForImageClassification(transformers.ViTConfig(**TRANSFORMER)).eval()
    model.save_pretrained(tmp_path)
    pixels = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        expected = model.vit(pixels).last_hidden_state[:, 1:].transpose(1, 2).unflatten(2, (4, 4))
    torch.testing.assert_close(feature_map(load_tower(str(tmp_path), None, torch.float32), pixels), expected)


def refused(source: object) -> str:
    with pytest.raises(UserError) as error:
        load_tower(str(source), None, torch.float32)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize(("kind", "part"), [("vit", "layer"), ("clip", "vision_model")])
def test_weights_that_are_missing_are_not_drawn(kind: str, part: str, tower_folder: Callable) -> None:
    folder = tower_folder(kind)
    weights = load_file(folder / "model.safetensors")
    removed = next(name for name in weights if part in name and "layer" in name)
    save_file({name: weight for name, weight in weights.items() if name != removed}, folder / "model.safetensors")
    assert "lacks 1 weights of its vision model, such as " in refused(folder)


def test_what_is_no_vision_model(tmp_path: Path) -> None:
    assert refused(tmp_path / "none").startswith(f"--model: no model can be loaded from '{tmp_path / 'none'}'")
    BertModel(BertConfig(**SMALL, intermediate_size=32, vocab_size=99)).save_pretrained(tmp_path / "bert")
    assert "holds a BertModel, which reads no pictures" in refused(tmp_path / "bert")


def test_a_checkpoint_with_code_or_a_pickle_is_refused(tower_folder: Callable) -> None:
    folder = tower_folder("vit")
    weights = folder / "model.safetensors"
    torch.save(load_file(weights), folder / "pytorch_model.bin")
    weights.unlink()
    assert "no model can be loaded" in refused(folder)
    code = {"AutoModel": "own.Own", "AutoConfig": "own.OwnConfig"}
    (folder / "config.json").write_text(json.dumps({"model_type": "own", "auto_map": code}))
    (folder / "own.py").write_text("raise SystemExit('it ran')")
    assert "no model can be loaded" in refused(folder)


def test_tokens_on_no_grid_are_refused() -> None:
    masked = ViTMAEModel(ViTMAEConfig(**TRANSFORMER)).eval()  # leaves out three quarters of the patches
    with pytest.raises(UserError, match="makes 5 tokens of 64 x 64 pixels, which lie on no grid"):
        VisionTower(masked, "x")(torch.rand(1, 3, 64, 64))


def test_pixel_values_of_a_wrong_size_are_refused() -> None:
    class Strict(transformers.ViTModel):
        def forward(self, pixel_values: Tensor) -> None:
            raise ValueError("Input image size (70*64) doesn't match model (64*64).")

    with pytest.raises(UserError, match="cannot read pixel values of 64 x 70"):
        VisionTower(Strict(make_model("vit").config), "x")(torch.rand(1, 3, 70, 64))
