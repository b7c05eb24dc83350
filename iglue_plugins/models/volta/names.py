"""What VOLTA calls our weights (volta/encoders.py, volta/embeddings.py)."""

from __future__ import annotations

from collections.abc import Iterable

from iglue_plugins.models.configuration import UniterConfig

Names = tuple[str, ...]  # of one weight: VOLTA stores a weight that two modules share under each of its names

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
SUBLAYERS = {  # which of a layer's two sublayers, its module there, and that module's parts
    "query_key_value": (0, "attention_self", ("query", "key", "value")),
    "attention_output": (0, "attention_output", ("dense",)),
    "attention_norm": (0, "attention_output", ("LayerNorm",)),
    "intermediate": (1, "intermediate", ("dense",)),
    "output": (1, "output", ("dense",)),
    "output_norm": (1, "output", ("LayerNorm",)),
}
HEADS = "clfs_dict."
PRETRAINING_HEADS = "cls."


def volta_names(weights: Iterable[str], config: UniterConfig, task: str | None) -> dict[str, list[Names]]:
    """For each of our weights, the ones of VOLTA's that follow each other in it: query, key and value, else just one.

    weights: names in a UniterForVisionAndLanguage, the contrastive projections left out. task: of the head (TASK19).
    """
    modules = _encoder_modules(config) | _head_modules(config, task)
    found = {}
    for weight in weights:
        module, _, kind = weight.rpartition(".")
        found[weight] = [tuple(f"{name}.{kind}" for name in names) for names in modules[module]]
    return found


def _encoder_modules(config: UniterConfig) -> dict[str, list[Names]]:
    modules = {ours: [(theirs,)] for ours, theirs in EMBEDDINGS_AND_POOLERS.items()}
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
    head = HEADS + (task or "")
    if config.head in ("classifier", "image_text_matching"):
        return {"head": [(head,)]}
    return {f"head.{number}": [(f"{head}.logit_fc.{number}",)] for number in (0, 2, 3)}
