"""What libraries raise for checkpoints that are missing or damaged."""

from __future__ import annotations

from safetensors import SafetensorError

# What transformers and tokenizers raise of files that are not there, or hold something else than they should.
FOUND_DAMAGED = (OSError, ValueError, TypeError, KeyError, AttributeError, RuntimeError, SafetensorError)


def first_line(error: Exception) -> str:
    """What an error of a library says first."""
    return str(error).strip().partition("\n")[0]
