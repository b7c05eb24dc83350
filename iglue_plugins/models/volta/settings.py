"""Conversion of VOLTA's model configuration to ours and back.

Source: VOLTA in its IGLUE version (github.com/e-bug/iglue, volta/volta/config.py: BertConfig).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from iglue_plugins.models.configuration import MUniterConfig, UC2Config, UniterConfig, XUniterConfig
from iglue_plugins.utils.errors import UserError, did_you_mean
from iglue_plugins.utils.strict_json import parse_json

CONFIG_CLASSES: dict[tuple[str, str], type[UniterConfig]] = {  # by VOLTA's image_embeddings and model
    ("uniter", "roberta"): XUniterConfig,
    ("uc2", "roberta"): UC2Config,
    ("uniter", "bert"): MUniterConfig,
}
RENAMED_KEYS = {  # VOLTA's key: ours
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
DEFAULTS: dict[str, Any] = {  # VOLTA's defaults, for keys that a file may leave out
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
IGNORED_KEYS = {  # they concern VOLTA's pre-training, or repeat what the sublayers say
    "bert_layer2attn_sublayer", "bert_layer2ff_sublayer", "bert_model", "do_lower_case", "image_head_ln", "itm_dim",
    "max_boxes", "objective", "qa_num_answers", "qa_task_weight", "single_ln_sublayers",
    "v_attention_probs_dropout_prob", "v_coordinate_embeddings_dim", "v_hidden_act", "v_hidden_dropout_prob",
    "v_initializer_range", "visual_target_weights", "visualization",
}  # fmt: skip
KNOWN_KEYS = (
    RENAMED_KEYS.keys() | DEFAULTS.keys() | IGNORED_KEYS
    | {*ATTENTION_SUBLAYERS, *FEED_FORWARD_SUBLAYERS, *SUBLAYER_SIZES, "shared_sublayers"}
)  # fmt: skip


def read_config(path: Path) -> UniterConfig:
    """Read a configuration of VOLTA.

    Args:
        path: A JSON file. Keys that it leaves out have VOLTA's defaults.

    Returns:
        The configuration of the model.

    Raises:
        UserError: The file is not a configuration of VOLTA, or it describes a model that this package's encoder cannot
            compute. The error names the key.
    """
    try:
        stored = parse_json(path.read_bytes())
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read ({error}); give a VOLTA model configuration (JSON)") from error
    if not isinstance(stored, dict) or "vocab_size" not in stored:
        raise UserError(f"{path}: has no vocab_size; give a VOLTA model configuration such as uc2_base.json")
    settings = DEFAULTS | stored
    config_class = _check_architecture(settings, path)
    for key in stored:
        if key not in KNOWN_KEYS:
            raise UserError(f"{path}: VOLTA's UNITERs have no key {key!r}{did_you_mean(key, KNOWN_KEYS)}")
    try:
        config = config_class(
            num_hidden_layers=_check_sublayers(settings, path),
            global_region=settings["add_global_imgfeat"] == "first",
            **{ours: settings[theirs] for theirs, ours in RENAMED_KEYS.items()},
        )
    except ValueError as error:
        raise UserError(f"{path}: {error}") from error
    _check_region_sizes(settings, path)
    return config


def _check_architecture(settings: dict[str, Any], path: Path) -> type[UniterConfig]:
    """Check that our encoder computes what VOLTA's model does, and return the class of its configuration."""
    embeddings, model = settings["image_embeddings"], settings["model"]
    _expect("image_embeddings", embeddings, sorted({name for name, _ in CONFIG_CLASSES}), path)
    _expect("model", model, sorted(name for kind, name in CONFIG_CLASSES if kind == embeddings), path)
    choices_by_key: dict[str, list[Any]] = {
        "fusion_method": ["mul", "text"], "num_locs": [5, 7], "add_global_imgfeat": ["first", None],
        "hidden_act": ["gelu"], "fusion_act": ["relu"], "fixed_layers": [[]], "fixed_embs": [None],
    }  # fmt: skip
    for key, choices in choices_by_key.items():
        _expect(key, settings[key], choices, path)
    return CONFIG_CLASSES[embeddings, model]


def _check_region_sizes(settings: dict[str, Any], path: Path) -> None:
    """Check that the regions' layers and pooler have the sizes of the text's, with which they share weights."""
    for key in ("hidden_size", "num_attention_heads", "intermediate_size"):
        _expect(f"v_{key}", settings[f"v_{key}"], [settings[key]], path)
    if settings["fusion_method"] == "mul":
        _expect("v_pooler_size", settings["v_pooler_size"], [settings["pooler_size"]], path)


def _check_sublayers(settings: dict[str, Any], path: Path) -> int:
    """Count the layers, each of which must be an attention and a feed-forward sublayer shared by text and regions."""
    first = settings.get("tt_attn_sublayers")
    if not isinstance(first, list) or not first:
        raise UserError(
            f"{path}: tt_attn_sublayers is {first!r}; expected a list with a number for each layer, such as [0, 2, 4]"
        )
    count = len(first)
    for key, sublayers in _sublayers(count).items():
        value = settings.get(key)
        if not isinstance(value, list) or sorted(value, key=str) != sorted(sublayers, key=str):
            raise UserError(
                f"{path}: {key} is {value}; expected {sublayers}, since attention and feed-forward sublayers must "
                "alternate and be shared by text and regions"
            )
    for key in SUBLAYER_SIZES:
        _expect(key, settings.get(key) or {}, [{}], path)
    return count


def _sublayers(count: int) -> dict[str, list[int]]:
    """Return VOLTA's numbers of the sublayers of `count` layers, by key."""
    attention, feed_forward = list(range(0, 2 * count, 2)), list(range(1, 2 * count, 2))
    return (
        dict.fromkeys(ATTENTION_SUBLAYERS, attention)
        | dict.fromkeys(FEED_FORWARD_SUBLAYERS, feed_forward)
        | {"shared_sublayers": list(range(2 * count))}
    )


def _expect(key: str, value: object, choices: list[Any], path: Path) -> None:
    if value not in choices:
        raise UserError(f"{path}: {key} is {value!r}; expected {' or '.join(map(repr, choices))}")


def volta_settings(config: UniterConfig) -> dict[str, Any]:
    """Convert a configuration to VOLTA's.

    Args:
        config: The model's configuration.

    Returns:
        The content of VOLTA's JSON file.

    Raises:
        UserError: VOLTA has no model with these positions and type embeddings.
    """
    positions, shared = config.position_ids, config.shared_type_embeddings
    names_by_design = {
        (config_class.position_ids, config_class.shared_type_embeddings): names
        for names, config_class in CONFIG_CLASSES.items()
    }
    if (positions, shared) not in names_by_design:
        raise UserError(
            f"position_ids {positions!r} and shared_type_embeddings {shared}: VOLTA has no model with both, so this "
            "one cannot be exported"
        )
    embeddings, model = names_by_design[positions, shared]
    count = config.num_hidden_layers
    sublayers = _sublayers(count)
    return {
        **{theirs: getattr(config, ours) for theirs, ours in RENAMED_KEYS.items()},
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
