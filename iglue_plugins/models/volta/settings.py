"""VOLTA's model configuration (volta/config.py: BertConfig) to ours and back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from iglue_plugins.models.configuration import MUniterConfig, UC2Config, UniterConfig, XUniterConfig
from iglue_plugins.utils.errors import UserError, did_you_mean

FAMILY: dict[tuple[str, str], type[UniterConfig]] = {  # by image_embeddings and model
    ("uniter", "roberta"): XUniterConfig,
    ("uc2", "roberta"): UC2Config,
    ("uniter", "bert"): MUniterConfig,
}
SAME = {  # VOLTA's key: ours
    "vocab_size": "vocab_size",
    "hidden_size": "hidden_size",
    "num_attention_heads": "num_attention_heads",
    "intermediate_size": "intermediate_size",
    "max_position_embeddings": "max_position_embeddings",
    "type_vocab_size": "type_vocab_size",
    "pad_token_id": "pad_token_id",
    "layer_norm_eps": "layer_norm_eps",
    "hidden_dropout_prob": "hidden_dropout_prob",
    "attention_probs_dropout_prob": "attention_probs_dropout_prob",
    "initializer_range": "initializer_range",
    "v_feature_size": "region_feature_size",
    "num_locs": "region_location_size",
    "fusion_method": "fusion",
    "pooler_size": "pooler_size",
    "clf_hidden_size": "classifier_hidden_size",
}
DEFAULTS: dict[str, Any] = {  # VOLTA's own, for keys that a file may leave out
    "hidden_size": 768, "num_attention_heads": 12, "intermediate_size": 3072, "max_position_embeddings": 512,
    "type_vocab_size": 2, "pad_token_id": 0, "layer_norm_eps": 1e-12, "hidden_dropout_prob": 0.1,
    "attention_probs_dropout_prob": 0.1, "initializer_range": 0.02, "v_feature_size": 2048, "num_locs": 5,
    "fusion_method": "mul", "pooler_size": 768, "clf_hidden_size": 1536, "image_embeddings": "vilbert",
    "model": "bert", "add_global_imgfeat": None, "hidden_act": "gelu", "fusion_act": "relu", "v_hidden_size": 768,
    "v_num_attention_heads": 12, "v_intermediate_size": 3072, "v_pooler_size": 1024, "fixed_layers": [],
    "fixed_embs": None,
}  # fmt: skip
ATTENTION_SUBLAYERS = ("tt_attn_sublayers", "tv_attn_sublayers", "vt_attn_sublayers", "vv_attn_sublayers")
FEED_FORWARD_SUBLAYERS = ("t_ff_sublayers", "v_ff_sublayers")
SUBLAYER_SIZES = tuple(
    f"sublayer2{prefix}{size}"
    for prefix in ("", "v_")
    for size in ("attn_hidden_size", "num_attention_heads", "intermediate_size")
)
OF_NO_EFFECT = {  # on what a model computes: they steer VOLTA's pre-training, or say again what the sublayers say
    "bert_layer2attn_sublayer", "bert_layer2ff_sublayer", "bert_model", "do_lower_case", "image_head_ln", "itm_dim",
    "max_boxes", "objective", "qa_num_answers", "qa_task_weight", "single_ln_sublayers",
    "v_attention_probs_dropout_prob", "v_coordinate_embeddings_dim", "v_hidden_act", "v_hidden_dropout_prob",
    "v_initializer_range", "visual_target_weights", "visualization",
}  # fmt: skip
KNOWN = (
    SAME.keys() | DEFAULTS.keys() | OF_NO_EFFECT
    | {*ATTENTION_SUBLAYERS, *FEED_FORWARD_SUBLAYERS, *SUBLAYER_SIZES, "shared_sublayers"}
)  # fmt: skip


def read_config(path: Path) -> UniterConfig:
    """The configuration in a JSON file of VOLTA's; keys that it leaves out have VOLTA's defaults.

    Raises:
        UserError: a file that is no VOLTA configuration, or one of a model that this encoder is not; names the key.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read ({error}), expected a VOLTA model configuration (JSON)") from error
    if not isinstance(found, dict) or "vocab_size" not in found:
        raise UserError(f"{path}: found no vocab_size, expected a VOLTA model configuration such as uc2_base.json")
    settings = DEFAULTS | found
    family = _check_architecture(settings, path)
    for key in found:
        if key not in KNOWN:
            raise UserError(
                f"{path}: found the key {key!r}, which VOLTA's UNITERs do not have{did_you_mean(key, KNOWN)}"
            )
    try:
        config = family(
            num_hidden_layers=_check_sublayers(settings, path),
            global_region=settings["add_global_imgfeat"] == "first",
            **{ours: settings[theirs] for theirs, ours in SAME.items()},
        )
    except ValueError as error:
        raise UserError(f"{path}: {error}") from error
    _check_region_sizes(settings, path)
    return config


def _check_architecture(settings: dict[str, Any], path: Path) -> type[UniterConfig]:
    """What the settings must be for our encoder to compute what VOLTA's does."""
    embeddings, model = settings["image_embeddings"], settings["model"]
    _expect("image_embeddings", embeddings, sorted({embeddings for embeddings, _ in FAMILY}), path)
    _expect("model", model, sorted(model for kind, model in FAMILY if kind == embeddings), path)
    alternatives = {
        "fusion_method": ["mul", "text"], "num_locs": [5, 7], "add_global_imgfeat": ["first", None],
        "hidden_act": ["gelu"], "fusion_act": ["relu"], "fixed_layers": [[]], "fixed_embs": [None],
    }  # fmt: skip
    for key, choices in alternatives.items():
        _expect(key, settings[key], choices, path)
    return FAMILY[embeddings, model]


def _check_region_sizes(settings: dict[str, Any], path: Path) -> None:
    """The layers are the text's and the regions' both."""
    for key in ("hidden_size", "num_attention_heads", "intermediate_size"):
        _expect(f"v_{key}", settings[f"v_{key}"], [settings[key]], path)
    if settings["fusion_method"] == "mul":
        _expect("v_pooler_size", settings["v_pooler_size"], [settings["pooler_size"]], path)


def _check_sublayers(settings: dict[str, Any], path: Path) -> int:
    """The number of layers, each an attention and a feed-forward sublayer that text and regions share."""
    first = settings.get("tt_attn_sublayers")
    if not isinstance(first, list) or not first:
        raise UserError(
            f"{path}: found tt_attn_sublayers {first!r}, expected a list such as [0, 2, 4], a number for each layer"
        )
    count = len(first)
    for key, sublayers in _sublayers(count).items():
        found = settings.get(key)
        if not isinstance(found, list) or sorted(found, key=str) != sorted(sublayers, key=str):
            raise UserError(
                f"{path}: found {key} {settings.get(key)}, expected {sublayers}: attention and feed-forward by turns, "
                "over text and regions in all"
            )
    for key in SUBLAYER_SIZES:
        _expect(key, settings.get(key) or {}, [{}], path)
    return count


def _sublayers(count: int) -> dict[str, list[int]]:
    attention, feed_forward = list(range(0, 2 * count, 2)), list(range(1, 2 * count, 2))
    return (
        dict.fromkeys(ATTENTION_SUBLAYERS, attention)
        | dict.fromkeys(FEED_FORWARD_SUBLAYERS, feed_forward)
        | {"shared_sublayers": list(range(2 * count))}
    )


def _expect(key: str, found: object, choices: list[Any], path: Path) -> None:
    if found not in choices:
        expected = " or ".join(map(repr, choices))
        raise UserError(f"{path}: found {key} {found!r}, expected {expected}")


def to_settings(config: UniterConfig) -> dict[str, Any]:
    """The configuration as VOLTA writes it.

    Raises:
        UserError: VOLTA has no model with these positions and type embeddings.
    """
    positions, shared = config.position_ids, config.shared_type_embeddings
    makeups = {(family.position_ids, family.shared_type_embeddings): names for names, family in FAMILY.items()}
    if (positions, shared) not in makeups:
        raise UserError(f"VOLTA has no model with position_ids {positions!r} and shared_type_embeddings {shared}")
    embeddings, model = makeups[positions, shared]
    count = config.num_hidden_layers
    sublayers = _sublayers(count)
    return {
        **{theirs: getattr(config, ours) for theirs, ours in SAME.items()},
        "hidden_act": "gelu",
        "image_embeddings": embeddings,
        "model": model,
        "add_global_imgfeat": "first" if config.global_region else None,
        "v_hidden_size": config.hidden_size,
        "v_num_attention_heads": config.num_attention_heads,
        "v_intermediate_size": config.intermediate_size,
        "v_pooler_size": config.pooler_size,
        "v_hidden_act": "gelu",
        "v_hidden_dropout_prob": config.hidden_dropout_prob,
        "v_attention_probs_dropout_prob": config.attention_probs_dropout_prob,
        "v_initializer_range": config.initializer_range,
        "visual_target_weights": {"0": 1.0},
        **sublayers,
        "single_ln_sublayers": sublayers["shared_sublayers"],
        **{key: {} for key in SUBLAYER_SIZES},
        "bert_layer2attn_sublayer": {str(layer): 2 * layer for layer in range(count)},
        "bert_layer2ff_sublayer": {str(layer): 2 * layer + 1 for layer in range(count)},
    }
