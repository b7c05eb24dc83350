"""What libraries raise for checkpoints that are missing or damaged."""

from __future__ import annotations

from safetensors import SafetensorError

# transformers and tokenizers raise these for files that are missing or hold something else than they should.
LOADING_ERRORS = (OSError, ValueError, TypeError, KeyError, AttributeError, RuntimeError, SafetensorError)


def first_line(error: Exception) -> str:
    """Return the first line of an error's message."""
    return str(error).strip().partition("\n")[0]
