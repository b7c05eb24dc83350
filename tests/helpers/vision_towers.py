"""Tiny vision models of random weights, with the image processors that such models have."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import transformers
from transformers import PreTrainedModel

SIDE = 64  # pixels of what the models read
SMALL = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
TRANSFORMER = {**SMALL, "intermediate_size": 64, "image_size": SIDE, "patch_size": 16}
DINO = {**SMALL, "image_size": SIDE, "patch_size": 16}
TEXT = {**SMALL, "intermediate_size": 32, "vocab_size": 99, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
MAPS = {"hidden_sizes": [8, 16, 16, 32], "depths": [1, 1, 1, 1]}
SWIN = {"embed_dim": 8, "depths": [1, 1], "num_heads": [1, 2], "image_size": SIDE, "patch_size": 4, "window_size": 4}
DUAL = {"text_config": TEXT, "vision_config": TRANSFORMER}

SQUARE = {"size": {"height": SIDE, "width": SIDE}}
CROPPED = {"size": {"shortest_edge": 72}, "crop_size": {"height": SIDE, "width": SIDE}, "do_center_crop": True}

MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "vit": ("ViT", TRANSFORMER),
    "dinov2": ("Dinov2", DINO),
    "dinov2_registers": ("Dinov2WithRegisters", DINO),
    "clip": ("CLIP", DUAL),
    "clip_vision": ("CLIPVision", TRANSFORMER),
    "siglip": ("Siglip", DUAL),
    "siglip_vision": ("SiglipVision", TRANSFORMER),
    "swin": ("Swin", SWIN),
    "resnet": ("ResNet", MAPS | {"embedding_size": 8}),
    "convnext": ("ConvNext", MAPS),
}
PROCESSORS: dict[str, tuple[str, dict[str, Any]]] = {
    "dinov2": ("BitImageProcessorPil", CROPPED),
    "dinov2_registers": ("BitImageProcessorPil", CROPPED),
    "clip": ("CLIPImageProcessorPil", CROPPED),
    "clip_vision": ("CLIPImageProcessorPil", CROPPED),
    "siglip": ("SiglipImageProcessorPil", SQUARE),
    "siglip_vision": ("SiglipImageProcessorPil", SQUARE),
    "resnet": ("ConvNextImageProcessorPil", {"size": {"shortest_edge": SIDE}, "crop_pct": 0.875}),
    "convnext": ("ConvNextImageProcessorPil", {"size": {"shortest_edge": SIDE}, "crop_pct": 0.875}),
}


def make_processor(kind: str) -> Any:
    name, settings = PROCESSORS.get(kind, ("ViTImageProcessorPil", SQUARE))
    return getattr(transformers, name)(**settings)


def make_model(kind: str, **changes: Any) -> PreTrainedModel:
    name, settings = MODELS[kind]
    config = getattr(transformers, f"{name}Config")(**settings | changes)
    return getattr(transformers, f"{name}Model")(config).eval()


def save_tower(folder: Path, kind: str, processor: Any = None) -> PreTrainedModel:
    """Save a model with its image processor; returns the model."""
    model = make_model(kind)
    model.save_pretrained(folder)
    (processor or make_processor(kind)).save_pretrained(folder)
    return model
