"""NN-Rank: the languages of the texts that a model embeds nearest to those of a target language."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from iglue_plugins.runs.trained_model import TrainedModel
from iglue_plugins.utils.errors import UserError
from iglue_plugins.utils.threads import threads_for

NEIGHBORS = 5  # as in the paper's code
TEXTS = 100  # of each language; the paper has good rankings from 25

Floats = NDArray[np.float64]


def embed_texts(trained: TrainedModel, texts: Sequence[str], max_length: int) -> NDArray[np.float32]:
    """Embed texts by a model's text side alone.

    Args:
        trained: The model.
        texts: The texts, of which the first `TEXTS` are embedded.
        max_length: Tokens at which a text is cut.

    Returns:
        (texts, size) float32, rows of L2 norm 1.

    Raises:
        UserError: The model has no `embed_text`.
    """
    model, processor = trained.model, trained.processor
    if not hasattr(model, "embed_text"):
        raise UserError(
            f"--model: a {type(model).__name__} has no embed_text, by which texts are compared; name a run of another "
            "model, or leave --model out"
        )
    with threads_for(model), torch.inference_mode():
        prepared = processor.prepare_texts(texts[:TEXTS], max_length)
        blocks = np.array_split(np.arange(len(prepared.lengths)), -(-len(prepared.lengths) // trained.batch_size))
        batches = (prepared.inputs(block).to(model.device) for block in blocks)
        vectors = [model.eval().embed_text(**batch).float().cpu() for batch in batches]
    return torch.cat(vectors).numpy()


def neighbor_shares(target: NDArray[np.float32], pool: Mapping[str, NDArray[np.float32]]) -> dict[str, float]:
    """Compute how many of the nearest texts of a target language's texts are in each other language.

    The paper takes a vector of each token from a layer in the middle of the encoder; this takes one of each text, since
    that is what any model of this package gives.

    Args:
        target: (texts, size) the vectors of the target language's texts.
        pool: (texts, size) the vectors of each auxiliary language's texts, as many for each.

    Returns:
        The share of the `NEIGHBORS` nearest texts by inner product, over all texts of the target; shares add up to 1.

    Source:
        NN-Rank (Ebrahimi et al. 2025, Model-based ranking of source languages for zero-shot cross-lingual transfer,
        EMNLP).
    """
    count = min(map(len, pool.values()))  # so that no language is near because it has more texts
    vectors = np.concatenate([rows[:count] for rows in pool.values()])
    nearest = np.argsort(-(target @ vectors.T), axis=1, kind="stable")[:, :NEIGHBORS] // count
    shares = np.bincount(nearest.ravel(), minlength=len(pool)) / nearest.size
    return dict(zip(pool, shares.tolist(), strict=True))
