"""Text-only weights for a model: any encoder of BERT's or RoBERTa's architecture, such as XLM-R, LaBSE or E5."""

from __future__ import annotations

import re
import warnings
from typing import Any, cast

from transformers import AutoConfig, AutoModel, PretrainedConfig, PreTrainedModel

from iglue_plugins.models.checkpoints import LOADING_ERRORS
from iglue_plugins.models.configuration import PositionIds, UniterConfig
from iglue_plugins.models.uniter import UniterForVisionAndLanguage
from iglue_plugins.models.volta.names import volta_names
from iglue_plugins.models.volta.weights import join_parts, unreadable_pickle_reason
from iglue_plugins.utils.errors import UserError, first_line

# How a type of model in transformers numbers its tokens. Its weights have the names of BERT's.
POSITION_IDS: dict[str, PositionIds] = {"bert": "bert", "roberta": "xlm-r", "xlm-roberta": "xlm-r"}
TEXT_PREFIXES = ("encoder.text_embeddings.", "encoder.layers.")
WORD_EMBEDDINGS = "encoder.text_embeddings.word_embeddings.weight"
TYPE_EMBEDDINGS = "encoder.text_embeddings.token_type_embeddings.weight"
SIZES = ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "max_position_embeddings")


def text_model_settings(source: str, revision: str | None, config_class: type[UniterConfig]) -> dict[str, Any]:
    """Read what a model's configuration takes over from a text model.

    Args:
        source: A local folder or hub id.
        revision: The hub revision.
        config_class: The class of the model's configuration.

    Returns:
        Sizes, the epsilon of layer normalizations, and how tokens are numbered, by their names in `UniterConfig`.
        BERT's `pad_token_id` is left out, since its positions do not depend on it, and configurations often have
        another one than the tokenizer.

    Raises:
        UserError: There is no text model, or it is none of BERT's or RoBERTa's architecture.
    """
    config = _load(AutoConfig, source, revision)
    _check_architecture(config, source)
    settings: dict[str, Any] = {name: getattr(config, name) for name in ("vocab_size", "layer_norm_eps", *SIZES)}
    settings["position_ids"] = POSITION_IDS[config.model_type]
    if settings["position_ids"] == "xlm-r":
        settings["pad_token_id"] = config.pad_token_id
    if config_class.shared_type_embeddings:  # row 1 is that of regions
        settings["type_vocab_size"] = max(config.type_vocab_size, 2)
    else:
        settings["type_vocab_size"] = config.type_vocab_size
    return settings


def load_text_weights(model: UniterForVisionAndLanguage, source: str, revision: str | None = None) -> None:
    """Copy the embeddings and layers of a text model into a model.

    The first rows of the word embeddings and the first layers are copied, as many as the model has of each. The type
    embeddings are copied too if both models have equally many (UC2 has more than XLM-R, as in VOLTA). The regions'
    embeddings, the poolers, the head and the contrastive projections are not changed.

    Args:
        model: The model, which is changed in place.
        source: A local folder or hub id.
        revision: The hub revision.

    Raises:
        UserError: There is no text model, it is of another architecture, lacks weights, its sizes are not the model's,
            or it has fewer layers.
    """
    text_model = _load(AutoModel, source, revision)
    _check_architecture(text_model.config, source)
    _check_sizes(model.config, text_model.config, source)
    source_weights = {_volta_name(name): value for name, value in text_model.state_dict().items()}
    weights = {name: value for name, value in model.state_dict().items() if name.startswith(TEXT_PREFIXES)}
    names = volta_names(weights, model.config, None)
    (type_names,) = names[TYPE_EMBEDDINGS]
    type_embeddings = source_weights.get(type_names[0])
    if type_embeddings is None or type_embeddings.shape != weights[TYPE_EMBEDDINGS].shape:
        del names[TYPE_EMBEDDINGS]
    for ours, parts in names.items():
        value = join_parts(source_weights, parts)
        weights[ours].copy_(value[: model.config.vocab_size] if ours == WORD_EMBEDDINGS else value)


def _check_architecture(config: PretrainedConfig, source: str) -> None:
    """Check that our layers compute what the text model does."""
    positions = getattr(config, "position_embedding_type", "absolute") or "absolute"
    activation = getattr(config, "hidden_act", None)
    is_decoder = bool(getattr(config, "is_decoder", False))
    if config.model_type not in POSITION_IDS:
        reason = f"is of the architecture {config.model_type!r}"
    elif positions != "absolute":
        reason = f"has positions of type {positions!r}, not 'absolute'"
    elif activation != "gelu":
        reason = f"has the activation {activation!r}, not 'gelu'"
    elif is_decoder:
        reason = "is a decoder (is_decoder), in which a token does not see those after it"
    else:
        return
    raise UserError(
        f"model.text_weights: the text model in {source!r} {reason}, which a UNITER's layers cannot compute; give an "
        f"encoder of the architecture {', '.join(POSITION_IDS)}, such as XLM-R, multilingual BERT, LaBSE or "
        "multilingual E5"
    )


def _check_sizes(config: UniterConfig, text_config: PretrainedConfig, source: str) -> None:
    found = {name: getattr(text_config, name) for name in SIZES}
    found["position_ids"] = POSITION_IDS[text_config.model_type]
    if found["position_ids"] == "xlm-r":
        found["pad_token_id"] = text_config.pad_token_id
    if config.vocab_size > text_config.vocab_size:
        found["vocab_size"] = text_config.vocab_size
    if config.num_hidden_layers < text_config.num_hidden_layers:
        del found["num_hidden_layers"]
    for name, value in found.items():
        if getattr(config, name) != value:
            raise UserError(
                f"model.text_weights: {name} is {value} in {source!r}, but {getattr(config, name)} in the model; leave "
                f"{name} out of model.config"
            )


def _load(auto: type[AutoConfig] | type[AutoModel], source: str, revision: str | None) -> Any:
    options: dict[str, Any] = {"output_loading_info": True} if auto is AutoModel else {}
    try:
        with warnings.catch_warnings(action="ignore"):  # PyTorch warns of a pickle protocol that it then refuses
            loaded = auto.from_pretrained(source, revision=revision, trust_remote_code=False, **options)
    except Exception as error:  # a damaged pickle raises whatever its bytes happen to mean
        reason = first_line(error) if isinstance(error, LOADING_ERRORS) else unreadable_pickle_reason(error)
        raise UserError(
            f"model.text_weights: no text model can be loaded from {source!r} ({reason}); give a folder or hub id in "
            "the format of transformers"
        ) from error
    if auto is AutoConfig:
        return loaded
    text_model, loading_info = cast("tuple[PreTrainedModel, dict[str, Any]]", loaded)
    # A checkpoint often has no pooler, which is not taken over.
    missing = sorted(name for name in loading_info["missing_keys"] if not name.startswith("pooler."))
    if missing:
        raise UserError(
            f"model.text_weights: the text model in {source!r} lacks {', '.join(missing[:3])}"
            f"{' and others' if len(missing) > 3 else ''}; give a folder or hub id with all of its weights"
        )
    return text_model


def _volta_name(name: str) -> str:
    """Return VOLTA's name of a text model's weight: layer n becomes the sublayers 2n (attention) and 2n + 1 (rest)."""
    match = re.fullmatch(r"encoder\.layer\.(\d+)\.(attention\.)?(.*)", name)
    if match is None:
        return f"bert.{name}"
    layer, attention, rest = match.groups()
    sublayer = 2 * int(layer) + (attention is None)
    return f"bert.encoder.layer.{sublayer}.{'attention_' if attention else ''}{rest}"
