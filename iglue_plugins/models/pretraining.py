"""The masked-word loss of a UNITER."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from iglue_plugins.data.inputs import Inputs
from iglue_plugins.models.heads import MaskedWordHead
from iglue_plugins.models.uniter import UniterForVisionAndLanguage


def masked_word_loss(
    model: UniterForVisionAndLanguage,
    head: MaskedWordHead,
    inputs: Inputs,
    *,
    masked_share: float,
    mask_token: int,
    special_tokens: Tensor,
) -> Tensor:
    """Compute how well masked words are predicted from the rest of the text and the image.

    Args:
        model: The model.
        head: The head that scores words.
        inputs: input_ids, attention_mask and regions of N rows.
        masked_share: The share of tokens that are masked.
        mask_token: The id of the mask token.
        special_tokens: int64 (tokens,), the ids of tokens that are never masked.

    Returns:
        A scalar, the mean cross-entropy over masked tokens; 0 where none is masked.

    Source: BERT (Devlin et al. 2019); UNITER (Chen et al. 2020).
    """
    ids = inputs["input_ids"]
    drawn = torch.rand(ids.shape, device=ids.device) < masked_share
    masked = drawn & ~torch.isin(ids, special_tokens)
    encoded = model.encoder(**{**inputs, "input_ids": ids.masked_fill(masked, mask_token)})
    logits = head(encoded.text_hidden[masked], model.get_input_embeddings().weight)
    return functional.cross_entropy(logits, ids[masked]) if masked.any() else logits.sum()
