"""The precision that training computes in."""

from __future__ import annotations

from iglue_plugins.trainers.settings.base import Precision
from iglue_plugins.utils.bfloat16 import multiplies_bfloat16


def resolved_precision(setting: Precision) -> Precision:
    """Return the precision that a setting means on this machine.

    PyTorch is imported only for "auto", which asks for the device.

    Args:
        setting: The setting `precision` of a trainer.

    Returns:
        "float32" or "bfloat16"; for "auto", "bfloat16" where the GPU, or without one the processor, multiplies it
        itself.
    """
    if setting != "auto":
        return setting
    import torch

    return "bfloat16" if multiplies_bfloat16("cuda" if torch.cuda.is_available() else "cpu") else "float32"
