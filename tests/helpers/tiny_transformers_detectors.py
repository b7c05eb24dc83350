"""Tiny object detectors of random weights, with the image processors that such models have."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import PretrainedConfig, PreTrainedModel

QUERIES = 12
NAMES = ["person", "bicycle", "car", "motorcycle", "airplane", "bus", "train"]
CLASSES = {"id2label": dict(enumerate(NAMES)), "label2id": {name: place for place, name in enumerate(NAMES)}}
COUNTS = {"num_queries": QUERIES, **CLASSES}

MAPS = {"embedding_size": 8, "hidden_sizes": [8, 16, 24, 40], "depths": [1, 1, 1, 1], "layer_type": "basic"}
THREE_MAPS = {**MAPS, "out_features": ["stage2", "stage3", "stage4"]}

DETR = {
    "d_model": 32,
    "encoder_layers": 1,
    "decoder_layers": 2,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 2,
    "encoder_ffn_dim": 16,
    "decoder_ffn_dim": 16,
    **COUNTS,
}
RT_DETR = {
    "encoder_hidden_dim": 16,
    "encoder_in_channels": [16, 24, 40],
    "encoder_ffn_dim": 16,
    "encoder_attention_heads": 2,
    "d_model": 16,
    "decoder_in_channels": [16, 16, 16],
    "decoder_ffn_dim": 16,
    "decoder_layers": 2,
    "decoder_attention_heads": 2,
    **COUNTS,
}
YOLOS = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 16,
    "image_size": [64, 96],
    "patch_size": 16,
    "num_detection_tokens": QUERIES,
    **CLASSES,
}
VIT = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "image_size": 64,
    "pretrain_image_size": 64,
    "patch_size": 16,
    "num_windows": 4,
    "window_block_indices": [0],
    "out_indices": [1, 2],
}
LW_DETR = {
    "projector_scale_factors": [1.0],
    "d_model": 16,
    "decoder_layers": 2,
    "decoder_self_attention_heads": 2,
    "decoder_cross_attention_heads": 2,
    "decoder_ffn_dim": 16,
    "group_detr": 3,
    **COUNTS,
}

ONE_BACKBONE = {"backbone_config": ("ResNet", {**MAPS, "out_features": ["stage4"]})}
THREE_BACKBONE = {"backbone_config": ("ResNet", THREE_MAPS)}
RT_BACKBONE = {"backbone_config": ("RTDetrResNet", THREE_MAPS)}
TWO_STAGES = {"two_stage": True, "with_box_refine": True, "two_stage_num_proposals": QUERIES}

MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "detr": ("Detr", DETR | ONE_BACKBONE),
    "table_transformer": ("TableTransformer", DETR | ONE_BACKBONE | {"use_timm_backbone": False}),
    "conditional_detr": ("ConditionalDetr", DETR | ONE_BACKBONE),
    "dab_detr": ("DabDetr", DETR | ONE_BACKBONE | {"hidden_size": 32}),
    "deformable_detr": ("DeformableDetr", DETR | THREE_BACKBONE),
    "deformable_detr_two_stages": ("DeformableDetr", DETR | THREE_BACKBONE | TWO_STAGES),
    "rt_detr": ("RTDetr", RT_DETR | RT_BACKBONE),
    "rt_detr_v2": ("RTDetrV2", RT_DETR | RT_BACKBONE),
    "d_fine": ("DFine", RT_DETR | RT_BACKBONE),
    "lw_detr": ("LwDetr", LW_DETR | {"backbone_config": ("LwDetrViT", VIT)}),
    "yolos": ("Yolos", YOLOS),
}
WITH_BACKBONE = [kind for kind in MODELS if kind != "yolos"]

BY_SIDE = {"size": {"shortest_edge": 96, "longest_edge": 144}}
SQUARE = {"size": {"height": 64, "width": 64}}
PROCESSORS: dict[str, tuple[str, dict[str, Any]]] = {
    "detr": ("Detr", BY_SIDE),
    "table_transformer": ("Detr", BY_SIDE),
    "conditional_detr": ("ConditionalDetr", BY_SIDE),
    "dab_detr": ("ConditionalDetr", BY_SIDE),
    "deformable_detr": ("DeformableDetr", BY_SIDE),
    "deformable_detr_two_stages": ("DeformableDetr", BY_SIDE),
    "rt_detr": ("RTDetr", SQUARE),
    "rt_detr_v2": ("RTDetr", SQUARE),
    "d_fine": ("RTDetr", SQUARE),
    "lw_detr": ("DeformableDetr", SQUARE),
    "yolos": ("Yolos", BY_SIDE),
}

SaveDetector = Callable[..., Path]


def make_config(kind: str, **changes: Any) -> PretrainedConfig:
    name, settings = MODELS[kind]
    made = settings | changes
    if "backbone_config" in made and isinstance(made["backbone_config"], tuple):
        backbone, sizes = made["backbone_config"]
        made["backbone_config"] = getattr(transformers, f"{backbone}Config")(**sizes)
    return getattr(transformers, f"{name}Config")(**made)


def make_processor(kind: str, **changes: Any) -> Any:
    name, settings = PROCESSORS[kind]
    return getattr(transformers, f"{name}ImageProcessorPil")(**settings | changes)


def make_detector(kind: str, **changes: Any) -> PreTrainedModel:
    """Makes a detector whose queries differ: fresh heads give all of them one box and nearly one score."""
    torch.manual_seed(0)
    model = getattr(transformers, f"{MODELS[kind][0]}ForObjectDetection")(make_config(kind, **changes))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.dim() > 1 and "backbone" not in name:
                torch.nn.init.normal_(parameter, std=0.1)
    return model.eval()


def save_detector(folder: Path, kind: str, processor: Any = None, **changes: Any) -> PreTrainedModel:
    """Saves a detector with its image processor; returns the detector."""
    model = make_detector(kind, **changes)
    model.save_pretrained(folder)
    (processor or make_processor(kind)).save_pretrained(folder)
    return model
