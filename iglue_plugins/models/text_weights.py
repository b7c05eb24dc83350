"""The text side of a model from a text-only one: XLM-R for xUNITER and UC2, multilingual BERT for mUNITER."""

from __future__ import annotations

import re

from transformers import AutoConfig, AutoModel, PretrainedConfig, PreTrainedModel

from iglue_plugins.models.checkpoints import LOADING_ERRORS, first_line
from iglue_plugins.models.uniter import UniterForVisionAndLanguage
from iglue_plugins.models.volta.names import volta_names
from iglue_plugins.models.volta.reading import joined
from iglue_plugins.utils.errors import UserError

TEXT_TYPES = {"xlm-r": ("xlm-roberta", "roberta"), "bert": ("bert",)}  # model_type in transformers, by position_ids
TEXT_SIDE = ("encoder.text_embeddings.", "encoder.layers.")
TYPE_EMBEDDINGS = "encoder.text_embeddings.token_type_embeddings.weight"
SIZES = (
    "vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size",
    "max_position_embeddings", "pad_token_id",
)  # fmt: skip


def text_sizes(source: str, revision: str | None = None) -> dict[str, int]:
    """The sizes of the text model in a folder or under a hub id, by our names.

    Raises:
        UserError: there is none.
    """
    config = _load(AutoConfig, source, revision)
    return {name: getattr(config, name) for name in SIZES if hasattr(config, name)}


def load_text_weights(model: UniterForVisionAndLanguage, source: str, revision: str | None = None) -> None:
    """Give the model the embeddings and layers of the text model in a folder or under a hub id.

    The type embeddings are taken too where the models agree on them (not by UC2, as in VOLTA). The regions' embeddings,
    the poolers, the head and the contrastive projections stay as they are.

    Raises:
        UserError: there is no text model, it is of another kind, or its sizes are not the model's.
    """
    config = model.config
    text_model = _load(AutoModel, source, revision)
    kinds = TEXT_TYPES[config.position_ids]
    if text_model.config.model_type not in kinds:
        raise UserError(
            f"model.text_weights: found a {text_model.config.model_type!r} in {source!r}, expected "
            f"{kinds[0]!r}, which {config.model_type} builds on"
        )
    for name in SIZES:
        found, expected = getattr(text_model.config, name), getattr(config, name)
        if found != expected:
            raise UserError(f"model.text_weights: found {name} {found} in {source!r}, expected the model's, {expected}")
    found = {_volta_name(name): value for name, value in text_model.state_dict().items()}
    own = {name: value for name, value in model.state_dict().items() if name.startswith(TEXT_SIDE)}
    names = volta_names(own, config, None)
    (types,) = names[TYPE_EMBEDDINGS]
    if types[0] not in found or found[types[0]].shape != own[TYPE_EMBEDDINGS].shape:
        del names[TYPE_EMBEDDINGS]
    for ours, parts in names.items():
        own[ours].copy_(joined(found, parts))


def _load(
    auto: type[AutoConfig] | type[AutoModel], source: str, revision: str | None
) -> PretrainedConfig | PreTrainedModel:
    try:
        return auto.from_pretrained(source, revision=revision, trust_remote_code=False)
    except LOADING_ERRORS as error:
        raise UserError(
            f"model.text_weights: no text model can be loaded from {source!r}, expected a folder or hub id "
            f"in the format of transformers ({first_line(error)})"
        ) from error


def _volta_name(name: str) -> str:
    """As VOLTA renames them: layer n of the text model has its attention in sublayer 2n, the rest in 2n + 1."""
    match = re.fullmatch(r"encoder\.layer\.(\d+)\.(attention\.)?(.*)", name)
    if match is None:
        return f"bert.{name}"
    layer, attention, rest = match.groups()
    sublayer = 2 * int(layer) + (attention is None)
    return f"bert.encoder.layer.{sublayer}.{'attention_' if attention else ''}{rest}"
