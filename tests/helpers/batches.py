"""What the tests read of batches for the package's own models, whose token ids are `input_ids`."""

from __future__ import annotations

from iglue_plugins.data.batching import Batch


def token_ids(*batches: Batch) -> set[int]:
    """Return the ids of all tokens in the texts and captions of some batches, padding included."""
    texts = [side for batch in batches for side in (batch.text, batch.caption) if side is not None]
    return {token for side in texts for token in side["input_ids"].flatten().tolist()}
