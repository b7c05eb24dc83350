"""The precision of training."""

from __future__ import annotations

import torch


def resolved_precision(precision: str) -> str:
    """Return the precision that a setting means on this machine.

    Args:
        precision: "auto", "float32" or "bfloat16".

    Returns:
        "bfloat16" for "auto" on a GPU that supports it, "float32" for "auto" elsewhere, otherwise the setting itself.
    """
    if precision != "auto":
        return precision
    return "bfloat16" if torch.cuda.is_available() and torch.cuda.is_bf16_supported() else "float32"
