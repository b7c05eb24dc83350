"""Text-only weights for a model: XLM-R for xUNITER and UC2, multilingual BERT for mUNITER."""

from __future__ import annotations

import re
import warnings

from transformers import AutoConfig, AutoModel, PretrainedConfig, PreTrainedModel

from iglue_plugins.models.checkpoints import LOADING_ERRORS, first_line
from iglue_plugins.models.uniter import UniterForVisionAndLanguage
from iglue_plugins.models.volta.names import volta_names
from iglue_plugins.models.volta.weights import join_parts, unreadable_pickle_reason
from iglue_plugins.utils.errors import UserError

TEXT_TYPES = {"xlm-r": ("xlm-roberta", "roberta"), "bert": ("bert",)}  # model_type in transformers, by position_ids
TEXT_PREFIXES = ("encoder.text_embeddings.", "encoder.layers.")
TYPE_EMBEDDINGS = "encoder.text_embeddings.token_type_embeddings.weight"
SIZES = (
    "vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size",
    "max_position_embeddings", "pad_token_id",
)  # fmt: skip


def text_model_sizes(source: str, revision: str | None = None) -> dict[str, int]:
    """Read the sizes of a text model.

    Args:
        source: A local folder or hub id.
        revision: The hub revision.

    Returns:
        The sizes by their names in `UniterConfig`.

    Raises:
        UserError: There is no text model.
    """
    config = _load(AutoConfig, source, revision)
    return {name: getattr(config, name) for name in SIZES if hasattr(config, name)}


def load_text_weights(model: UniterForVisionAndLanguage, source: str, revision: str | None = None) -> None:
    """Copy the embeddings and layers of a text model into a model.

    The type embeddings are copied too if both models have equally many (UC2 has more, as in VOLTA). The regions'
    embeddings, the poolers, the head and the contrastive projections are not changed.

    Args:
        model: The model, which is changed in place.
        source: A local folder or hub id.
        revision: The hub revision.

    Raises:
        UserError: There is no text model, it is of another type, or its sizes are not the model's.
    """
    config = model.config
    text_model = _load(AutoModel, source, revision)
    types = TEXT_TYPES[config.position_ids]
    if text_model.config.model_type not in types:
        raise UserError(
            f"model.text_weights: {source!r} holds a {text_model.config.model_type!r}, but {config.model_type} builds "
            f"on {types[0]!r}"
        )
    for name in SIZES:
        size, expected = getattr(text_model.config, name), getattr(config, name)
        if size != expected:
            raise UserError(
                f"model.text_weights: {name} is {size} in {source!r}, but {expected} in the model; leave {name} out of "
                "model.config"
            )
    source_weights = {_volta_name(name): value for name, value in text_model.state_dict().items()}
    weights = {name: value for name, value in model.state_dict().items() if name.startswith(TEXT_PREFIXES)}
    names = volta_names(weights, config, None)
    (type_names,) = names[TYPE_EMBEDDINGS]
    type_embeddings = source_weights.get(type_names[0])
    if type_embeddings is None or type_embeddings.shape != weights[TYPE_EMBEDDINGS].shape:
        del names[TYPE_EMBEDDINGS]
    for ours, parts in names.items():
        weights[ours].copy_(join_parts(source_weights, parts))


def _load(
    auto: type[AutoConfig] | type[AutoModel], source: str, revision: str | None
) -> PretrainedConfig | PreTrainedModel:
    try:
        with warnings.catch_warnings(action="ignore"):  # PyTorch warns of a pickle protocol that it then refuses
            return auto.from_pretrained(source, revision=revision, trust_remote_code=False)
    except Exception as error:  # a damaged pickle raises whatever its bytes happen to mean
        reason = first_line(error) if isinstance(error, LOADING_ERRORS) else unreadable_pickle_reason(error)
        raise UserError(
            f"model.text_weights: no text model can be loaded from {source!r} ({reason}); give a folder or hub id in "
            "the format of transformers"
        ) from error


def _volta_name(name: str) -> str:
    """Return VOLTA's name of a text model's weight: layer n becomes the sublayers 2n (attention) and 2n + 1 (rest)."""
    match = re.fullmatch(r"encoder\.layer\.(\d+)\.(attention\.)?(.*)", name)
    if match is None:
        return f"bert.{name}"
    layer, attention, rest = match.groups()
    sublayer = 2 * int(layer) + (attention is None)
    return f"bert.encoder.layer.{sublayer}.{'attention_' if attention else ''}{rest}"
