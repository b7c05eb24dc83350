"""One-layer models as VOLTA saves them, by names written out here."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

LINEAR = {
    "embeddings.image_embeddings": (8, 6),
    "encoder.layer.0.attention_self.query": (8, 8), "encoder.layer.0.attention_self.key": (8, 8),
    "encoder.layer.0.attention_self.value": (8, 8), "encoder.layer.0.attention_output.dense": (8, 8),
    "encoder.layer.1.intermediate.dense": (12, 8), "encoder.layer.1.output.dense": (8, 12),
    "t_pooler.dense": (10, 8),
}  # fmt: skip
NORMS = (
    "embeddings.LayerNorm", "embeddings.image_layer_norm", "embeddings.image_location_layer_norm",
    "embeddings.v_LayerNorm", "encoder.layer.0.attention_output.LayerNorm", "encoder.layer.1.output.LayerNorm",
)  # fmt: skip
SETTINGS = {
    "vocab_size": 20, "hidden_size": 8, "num_attention_heads": 2, "intermediate_size": 12, "pooler_size": 10,
    "max_position_embeddings": 12, "v_feature_size": 6, "clf_hidden_size": 16, "hidden_act": "gelu",
    "v_hidden_size": 8, "v_num_attention_heads": 2, "v_intermediate_size": 12, "v_pooler_size": 10,
    "tt_attn_sublayers": [0], "tv_attn_sublayers": [0], "vt_attn_sublayers": [0], "vv_attn_sublayers": [0],
    "t_ff_sublayers": [1], "v_ff_sublayers": [1], "shared_sublayers": [0, 1], "single_ln_sublayers": [0, 1],
}  # fmt: skip
KINDS = {
    "xuniter": {"image_embeddings": "uniter", "model": "roberta", "pad_token_id": 1, "type_vocab_size": 1,
                "num_locs": 5, "add_global_imgfeat": "first", "fusion_method": "mul"},
    "uc2": {"image_embeddings": "uc2", "model": "roberta", "pad_token_id": 1, "type_vocab_size": 2, "num_locs": 7,
            "add_global_imgfeat": None, "fusion_method": "text", "layer_norm_eps": 1e-5},
    "muniter": {"image_embeddings": "uniter", "type_vocab_size": 2, "num_locs": 5, "add_global_imgfeat": "first",
                "fusion_method": "mul"},
}  # fmt: skip
Save = Callable[..., tuple[Path, Path]]


def linear(weights: dict[str, Tensor], name: str, *shape: int) -> None:
    weights |= {f"{name}.weight": torch.randn(shape), f"{name}.bias": torch.randn(shape[0])}


def encoder_weights(kind: str) -> dict[str, Tensor]:
    """Make the weights of an encoder; shared weights are one tensor under both names."""
    torch.manual_seed(0)
    weights: dict[str, Tensor] = {}
    for name, rows in (("word", 20), ("position", 12)):
        weights[f"bert.embeddings.{name}_embeddings.weight"] = torch.randn(rows, 8)
    types = "new_token_type" if kind == "uc2" else "token_type"
    weights[f"bert.embeddings.{types}_embeddings.weight"] = torch.randn(KINDS[kind]["type_vocab_size"], 8)
    shared = weights[f"bert.embeddings.{types}_embeddings.weight"]
    weights["bert.embeddings.image_token_type_embeddings.weight"] = torch.randn(1, 8) if kind == "xuniter" else shared
    linear(weights, "bert.embeddings.image_location_embeddings", 8, KINDS[kind]["num_locs"])
    for name, shape in LINEAR.items():
        linear(weights, f"bert.{name}", *shape)
    if kind != "uc2":
        linear(weights, "bert.v_pooler.dense", 10, 8)
    for name in NORMS:
        linear(weights, f"bert.{name}", 8)
    for name in [name for name in weights if ".layer." in name]:
        first, module, part = name.rsplit(".", 2)
        weights[f"{first}.v_{module}.{part}"] = weights[name]
    return weights


def head_weights(task: str, kind: str) -> dict[str, Tensor]:
    weights: dict[str, Tensor] = {}
    if kind in ("classifier", "image_text_matching"):
        linear(weights, f"clfs_dict.{task}", 3 if kind == "classifier" else 1, 10)
        return weights
    linear(weights, f"clfs_dict.{task}.logit_fc.0", 14, 20 if kind == "image_pair" else 10)
    linear(weights, f"clfs_dict.{task}.logit_fc.2", 14)
    linear(weights, f"clfs_dict.{task}.logit_fc.3", 5, 14)
    return weights


@pytest.fixture
def kind() -> str:
    """The kind of model; tests of how the kinds differ parametrize it."""
    return "xuniter"


@pytest.fixture
def weights(kind: str) -> dict[str, Tensor]:
    """The weights of a fine-tuned model with a 3-way head."""
    return encoder_weights(kind) | head_weights("TASK19", "classifier")


@pytest.fixture
def settings(kind: str) -> dict[str, Any]:
    return SETTINGS | KINDS[kind]


@pytest.fixture
def save(tmp_path: Path, settings: dict[str, Any]) -> Save:
    """Returns a function that writes VOLTA's two files; keywords change the configuration."""

    def write(weights: Any, **changes: Any) -> tuple[Path, Path]:
        folder = tmp_path / "volta"
        folder.mkdir(exist_ok=True)
        (folder / "config.json").write_text(json.dumps(settings | changes))
        torch.save(weights, folder / "pytorch_model.bin")
        return folder / "config.json", folder / "pytorch_model.bin"

    return write


@pytest.fixture
def add_head() -> Callable[[str, str], dict[str, Tensor]]:
    return head_weights
