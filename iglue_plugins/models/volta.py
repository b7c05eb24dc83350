"""Reading models of the VOLTA toolkit (github.com/e-bug/volta): a JSON configuration and a pytorch_model.bin."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import torch
from torch import Tensor

from iglue_plugins.errors import UserError, nearest
from iglue_plugins.models.configuration import XUniterConfig
from iglue_plugins.models.xuniter import XUniterForVisionAndLanguage

SETTINGS = {
    "vocab_size": "vocab_size",
    "hidden_size": "hidden_size",
    "num_attention_heads": "num_attention_heads",
    "intermediate_size": "intermediate_size",
    "max_position_embeddings": "max_position_embeddings",
    "type_vocab_size": "type_vocab_size",
    "pad_token_id": "pad_token_id",
    "hidden_dropout_prob": "hidden_dropout_prob",
    "attention_probs_dropout_prob": "attention_probs_dropout_prob",
    "initializer_range": "initializer_range",
    "v_feature_size": "region_feature_size",
    "num_locs": "region_location_size",
    "pooler_size": "pooler_size",
    "clf_hidden_size": "classifier_hidden_size",
}
ARCHITECTURE = {"image_embeddings": "uniter", "model": "roberta", "fusion_method": "mul", "hidden_act": "gelu"}
SUBLAYERS = ("tt_attn_sublayers", "t_ff_sublayers", "shared_sublayers")
EMBEDDINGS_AND_POOLERS = {
    "embeddings.word_embeddings": "text_embeddings.word_embeddings",
    "embeddings.position_embeddings": "text_embeddings.position_embeddings",
    "embeddings.token_type_embeddings": "text_embeddings.token_type_embeddings",
    "embeddings.LayerNorm": "text_embeddings.norm",
    "embeddings.image_embeddings": "region_embeddings.image_embeddings",
    "embeddings.image_layer_norm": "region_embeddings.image_norm",
    "embeddings.image_location_embeddings": "region_embeddings.location_embeddings",
    "embeddings.image_location_layer_norm": "region_embeddings.location_norm",
    "embeddings.image_token_type_embeddings": "region_embeddings.region_type_embeddings",
    "embeddings.v_LayerNorm": "region_embeddings.norm",
    "t_pooler.dense": "text_pooler",
    "v_pooler.dense": "region_pooler",
}
ATTENTION = {"attention_output.dense": "attention_output", "attention_output.LayerNorm": "attention_norm"}
FEED_FORWARD = {"intermediate.dense": "intermediate", "output.dense": "output", "output.LayerNorm": "output_norm"}
QUERY_KEY_VALUE = ("query", "key", "value")


def from_volta(
    config_path: Path | str, weights_path: Path | str, head: str | None = None
) -> XUniterForVisionAndLanguage:
    """Read an xUNITER of VOLTA with one of its task heads (TASK19, ...), or without head.

    The contrastive projections, which VOLTA has not, are freshly initialised. Pre-training heads, the heads of other
    tasks and the second name (v_...) of each weight that text and regions share are left out.

    Raises:
        UserError: a file that cannot be read, another architecture, or weights that do not fit the configuration.
    """
    settings, weights = read_settings(Path(config_path)), read_weights(Path(weights_path))
    sublayers = list(zip(sorted(settings["tt_attn_sublayers"]), sorted(settings["t_ff_sublayers"]), strict=True))
    sizes = {ours: settings[theirs] for theirs, ours in SETTINGS.items()}
    if "layer_norm_eps" in settings:
        sizes["embedding_layer_norm_eps"] = settings["layer_norm_eps"]
    if head is not None:
        sizes["head"], sizes["num_labels"] = describe_head(weights, head, settings["pooler_size"], weights_path)
    try:
        config = XUniterConfig(num_hidden_layers=len(sublayers), **sizes)
    except ValueError as error:
        raise UserError(f"{config_path} describes no xUNITER: {error}") from error
    model = XUniterForVisionAndLanguage(config)
    renamed = rename(weights, sublayers, head)
    expected = {name: value.shape for name, value in model.state_dict().items() if not name.startswith("contrastive.")}
    check_weights(expected, {name: value.shape for name, value in renamed.items()}, weights_path)
    model.load_state_dict(renamed, strict=False)
    return model.eval()


def read_settings(path: Path) -> dict:
    """The VOLTA configuration at `path`, checked to be that of an xUNITER."""
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read as a VOLTA model configuration (JSON): {error}") from error
    for key, value in ARCHITECTURE.items():
        if settings.get(key) != value:
            raise UserError(f"{path} has {key} {settings.get(key)!r}; expected {value!r}, as in ctrl_xuniter_base.json")
    lacking = [key for key in (*SETTINGS, *SUBLAYERS) if key not in settings]
    if lacking:
        raise UserError(f"{path} lacks {', '.join(lacking)}; expected the keys of ctrl_xuniter_base.json")
    layers = range(2 * len(settings["tt_attn_sublayers"]))
    if not set(layers) == set(settings["tt_attn_sublayers"]) | set(settings["t_ff_sublayers"]) == set(
        settings["shared_sublayers"]
    ):
        raise UserError(f"{path} has sublayers that text and regions do not share; expected shared_sublayers to be all")
    return settings


def read_weights(path: Path) -> dict[str, Tensor]:
    """The weights in `path`, without the prefix that DataParallel gives."""
    try:
        weights = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, pickle.UnpicklingError) as error:
        raise UserError(f"{path} cannot be read as PyTorch weights: {str(error).splitlines()[0]}") from error
    return {name.removeprefix("module."): value for name, value in weights.items()}


def describe_head(weights: dict[str, Tensor], head: str, pooler_size: int, path: Path | str) -> tuple[str, int]:
    """The kind and the number of outputs of a head, from the shapes of its weights."""
    linear, first, last = (f"clfs_dict.{head}.{name}weight" for name in ("", "logit_fc.0.", "logit_fc.3."))
    if linear in weights:
        num_labels = len(weights[linear])
        return ("matching" if num_labels == 1 else "classifier"), num_labels
    if first in weights and last in weights:
        paired = weights[first].shape[1] == 2 * pooler_size
        return ("paired" if paired else "answers"), len(weights[last])
    heads = {name.split(".")[1] for name in weights if name.startswith("clfs_dict.")}
    raise UserError(f"{path} has no head {head!r}{nearest(head, heads)}")


def rename(weights: dict[str, Tensor], sublayers: list[tuple[int, int]], head: str | None) -> dict[str, Tensor]:
    """The weights under our names, with query, key and value of a layer in one; unknown ones keep their names."""
    modules = {f"bert.{theirs}": f"encoder.{ours}" for theirs, ours in EMBEDDINGS_AND_POOLERS.items()}
    for number, (attention, feed_forward) in enumerate(sublayers):
        for names, sublayer in ((ATTENTION, attention), (FEED_FORWARD, feed_forward)):
            for theirs, ours in names.items():
                modules[f"bert.encoder.layer.{sublayer}.{theirs}"] = f"encoder.layers.{number}.{ours}"
    if head is not None:
        modules[f"clfs_dict.{head}"] = "head"
        modules |= {f"clfs_dict.{head}.logit_fc.{number}": f"head.{number}" for number in (0, 2, 3)}
    remaining = {name: value for name, value in weights.items() if not is_left_out(name, head)}
    renamed = {}
    for number, (attention, _) in enumerate(sublayers):
        for kind in ("weight", "bias"):
            names = [f"bert.encoder.layer.{attention}.attention_self.{part}.{kind}" for part in QUERY_KEY_VALUE]
            if all(name in remaining for name in names):
                parts = [remaining.pop(name) for name in names]
                renamed[f"encoder.layers.{number}.query_key_value.{kind}"] = torch.cat(parts)
    for name, value in remaining.items():
        module, _, kind = name.rpartition(".")
        renamed[f"{modules[module]}.{kind}" if module in modules else name] = value
    return renamed


def is_left_out(name: str, head: str | None) -> bool:
    """Whether a weight is of a pre-training head, of another task's head, or a second name in a shared layer."""
    if name.startswith("clfs_dict."):
        return name.split(".")[1] != head
    second_name = name.startswith("bert.encoder.layer.") and name.split(".")[-2].startswith("v_")
    return name.startswith("cls.") or second_name


def check_weights(expected: dict[str, torch.Size], found: dict[str, torch.Size], path: Path | str) -> None:
    """Raise one UserError that lists the weights that are missing, unexpected and of another shape."""
    problems = [f"lacks {name}" for name in expected if name not in found]
    problems += [f"has {name}, which no part of the model takes" for name in found if name not in expected]
    problems += [
        f"has {name} of shape {tuple(found[name])} where {tuple(shape)} is expected"
        for name, shape in expected.items()
        if name in found and found[name] != shape
    ]
    if problems:
        raise UserError(f"{path} does not fit the configuration: it {'; '.join(problems)}")
