"""Tokenizers, from a folder or the hub, and whether they fit a model."""

from __future__ import annotations

from transformers import AutoTokenizer, PreTrainedTokenizerBase

from iglue_plugins.models.checkpoints import LOADING_ERRORS
from iglue_plugins.models.configuration import UniterConfig
from iglue_plugins.utils.errors import UserError, first_line

TEXT_MODELS = {  # the text-only model whose vocabulary each type of model uses
    "xuniter": "FacebookAI/xlm-roberta-base",
    "uc2": "FacebookAI/xlm-roberta-base",
    "muniter": "google-bert/bert-base-multilingual-cased",
}


def load_tokenizer(
    source: str | None, revision: str | None = None, *, model_type: str | None
) -> PreTrainedTokenizerBase:
    """Load a tokenizer.

    Args:
        source: A local folder or hub id.
        revision: The hub revision.
        model_type: The type of model that needs the tokenizer, for the error; None for a model on text weights, which
            needs theirs.

    Returns:
        The tokenizer.

    Raises:
        UserError: `source` is None or holds no tokenizer. The error says what to download.
    """
    if model_type is None:
        remedy = "a model on text_weights reads their vocabulary"
    else:
        text_model = TEXT_MODELS[model_type]
        remedy = (
            f"{model_type} reads the vocabulary of {text_model} (get it by: hf download {text_model} config.json "
            "tokenizer.json tokenizer_config.json --local-dir FOLDER)"
        )
    if source is None:
        raise UserError(f"model.tokenizer: is not set; give a folder or hub id; {remedy}")
    try:
        return AutoTokenizer.from_pretrained(source, revision=revision, trust_remote_code=False)
    except LOADING_ERRORS as error:
        raise UserError(
            f"model.tokenizer: no tokenizer can be loaded from {source!r} ({first_line(error)}); give a folder that "
            f"holds tokenizer.json, or a hub id; {remedy}"
        ) from error


def check_vocabulary(tokenizer: PreTrainedTokenizerBase, config: UniterConfig, source: str | None) -> None:
    """Check that a tokenizer has as many ids as the model and the same padding.

    Args:
        tokenizer: The tokenizer.
        config: The model's configuration.
        source: Where the tokenizer comes from, for the error.

    Raises:
        UserError: They differ.
    """
    for key, value in (("vocab_size", len(tokenizer)), ("pad_token_id", tokenizer.pad_token_id)):
        expected = getattr(config, key)
        if value != expected:
            raise UserError(
                f"model.tokenizer: {key} is {value} in {source!r}, but {expected} in the model; use the tokenizer that "
                "the model was trained with"
            )
