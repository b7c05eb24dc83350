"""Tokenisers, from a folder or the hub, and whether they fit a model."""

from __future__ import annotations

from transformers import AutoTokenizer, PreTrainedTokenizerBase

from iglue_plugins.models.checkpoints import FOUND_DAMAGED, first_line
from iglue_plugins.models.configuration import UniterConfig
from iglue_plugins.utils.errors import UserError

TEXT_MODELS = {  # whose vocabulary, and text-only weights, a model builds on
    "xuniter": "FacebookAI/xlm-roberta-base",
    "uc2": "FacebookAI/xlm-roberta-base",
    "muniter": "google-bert/bert-base-multilingual-cased",
}


def load_tokenizer(source: str | None, revision: str | None = None, *, model_type: str) -> PreTrainedTokenizerBase:
    """The tokeniser in a local folder or under a hub id.

    Raises:
        UserError: there is none; the sentence says what to download.
    """
    text_model = TEXT_MODELS[model_type]
    download = f"hf download {text_model} config.json tokenizer.json tokenizer_config.json --local-dir FOLDER"
    if source is None:
        raise UserError(
            f"model.tokenizer: found nothing, expected a folder or hub id; {model_type} reads the vocabulary of "
            f"{text_model} (get it by: {download})"
        )
    try:
        return AutoTokenizer.from_pretrained(source, revision=revision, trust_remote_code=False)
    except FOUND_DAMAGED as error:
        raise UserError(
            f"model.tokenizer: no tokeniser can be loaded from {source!r}, expected a folder that holds "
            f"tokenizer.json, or a hub id ({first_line(error)}); {model_type} reads the vocabulary of {text_model} "
            f"(get it by: {download})"
        ) from error


def check_vocabulary(tokenizer: PreTrainedTokenizerBase, config: UniterConfig, source: str | None) -> None:
    """Raise UserError when the tokeniser numbers words otherwise than the model does."""
    for key, found in (("vocab_size", len(tokenizer)), ("pad_token_id", tokenizer.pad_token_id)):
        expected = getattr(config, key)
        if found != expected:
            raise UserError(f"model.tokenizer: found {key} {found} in {source!r}, expected the model's, {expected}")
