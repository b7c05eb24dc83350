"""What users choose of a meta-step, by name; imports no PyTorch."""

from __future__ import annotations

from typing import Literal

Algorithm = Literal["maml", "fomaml", "reptile", "imaml"]
InnerStorage = Literal["graphs", "parameters", "start"]

# The algorithms that use a setting; a setting that is not here is used by all.
USED_BY: dict[str, tuple[Algorithm, ...]] = {
    "second_order_after": ("maml",),
    "multi_step": ("maml", "fomaml"),
    "learned_rates": ("maml", "fomaml"),
    "context_size": ("maml", "fomaml"),
    "proximal": ("imaml",),
    "cg_iterations": ("imaml",),
    "cg_tolerance": ("imaml",),
}
