"""The precision that training computes in."""

from __future__ import annotations

from iglue_plugins.trainers.settings.base import Precision


def resolved_precision(setting: Precision) -> Precision:
    """Return the precision that a setting means on this machine.

    PyTorch is imported only for "auto", which asks for the GPU.

    Args:
        setting: The setting `precision` of a trainer.

    Returns:
        "float32" or "bfloat16"; for "auto", "bfloat16" where there is a GPU that supports it.
    """
    if setting != "auto":
        return setting
    import torch

    return "bfloat16" if torch.cuda.is_available() and torch.cuda.is_bf16_supported() else "float32"
