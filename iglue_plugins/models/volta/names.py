"""VOLTA's names of our weights.

Source: VOLTA in its IGLUE version (github.com/e-bug/iglue, volta/volta/encoders.py and embeddings.py).
"""

from __future__ import annotations

from collections.abc import Iterable

from iglue_plugins.models.configuration import UniterConfig

Names = tuple[str, ...]  # VOLTA's names of one weight; one that two modules share is stored under each of its names

EMBEDDINGS_AND_POOLERS = {
    "text_embeddings.word_embeddings": "embeddings.word_embeddings",
    "text_embeddings.position_embeddings": "embeddings.position_embeddings",
    "text_embeddings.norm": "embeddings.LayerNorm",
    "region_embeddings.image_embeddings": "embeddings.image_embeddings",
    "region_embeddings.image_norm": "embeddings.image_layer_norm",
    "region_embeddings.location_embeddings": "embeddings.image_location_embeddings",
    "region_embeddings.location_norm": "embeddings.image_location_layer_norm",
    "region_embeddings.norm": "embeddings.v_LayerNorm",
    "text_pooler": "t_pooler.dense",
    "region_pooler": "v_pooler.dense",
}
TEXT_TYPES, REGION_TYPES = "embeddings.token_type_embeddings", "embeddings.image_token_type_embeddings"
UC2_TYPES = "embeddings.new_token_type_embeddings"
SUBLAYERS = {  # VOLTA's sublayer of a layer (0 or 1), its module in that sublayer, and the parts of that module
    "query_key_value": (0, "attention_self", ("query", "key", "value")),
    "attention_output": (0, "attention_output", ("dense",)),
    "attention_norm": (0, "attention_output", ("LayerNorm",)),
    "intermediate": (1, "intermediate", ("dense",)),
    "output": (1, "output", ("dense",)),
    "output_norm": (1, "output", ("LayerNorm",)),
}
HEAD_PREFIX = "clfs_dict."
PRETRAINING_PREFIX = "cls."


def volta_names(weights: Iterable[str], config: UniterConfig, task: str | None) -> dict[str, list[Names]]:
    """Find VOLTA's names of weights.

    Args:
        weights: Names in a UniterForVisionAndLanguage, without those of the contrastive projections.
        config: The model's configuration.
        task: VOLTA's name of the head's task, such as TASK19; None if there is no head.

    Returns:
        For each weight the weights of VOLTA that are concatenated in it, in order: query, key and value, or a single
        one.
    """
    modules = _encoder_modules(config) | _head_modules(config, task)
    names_by_weight: dict[str, list[Names]] = {}
    for weight in weights:
        module, _, kind = weight.rpartition(".")
        names_by_weight[weight] = [tuple(f"{name}.{kind}" for name in names) for names in modules[module]]
    return names_by_weight


def _encoder_modules(config: UniterConfig) -> dict[str, list[Names]]:
    modules: dict[str, list[Names]] = {ours: [(theirs,)] for ours, theirs in EMBEDDINGS_AND_POOLERS.items()}
    if config.shared_type_embeddings:
        text_types = UC2_TYPES if config.position_ids == "xlm-r" else TEXT_TYPES
        modules["text_embeddings.token_type_embeddings"] = [(text_types, REGION_TYPES)]
    else:
        modules["text_embeddings.token_type_embeddings"] = [(TEXT_TYPES,)]
        modules["region_embeddings.region_type_embeddings"] = [(REGION_TYPES,)]
    for layer in range(config.num_hidden_layers):
        for ours, (sublayer, module, parts) in SUBLAYERS.items():
            prefix = f"encoder.layer.{2 * layer + sublayer}.{module}"
            modules[f"layers.{layer}.{ours}"] = [(f"{prefix}.{part}", f"{prefix}.v_{part}") for part in parts]
    return {
        f"encoder.{ours}": [tuple(f"bert.{name}" for name in names) for names in parts]
        for ours, parts in modules.items()
    }


def _head_modules(config: UniterConfig, task: str | None) -> dict[str, list[Names]]:
    head = HEAD_PREFIX + (task or "")
    if config.head in ("classifier", "image_text_matching"):
        return {"head": [(head,)]}
    return {f"head.{number}": [(f"{head}.logit_fc.{number}",)] for number in (0, 2, 3)}
