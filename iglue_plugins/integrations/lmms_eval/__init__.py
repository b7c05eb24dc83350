"""lmms-eval: its command line evaluates our checkpoints, and its own models answer the IGLUE tasks (docs/lmms_eval.md).

`manifest` is what its entry point names. Only `model` imports lmms-eval.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lmms_eval.models.registry_v2 import ModelManifest


def manifest() -> ModelManifest:
    """The model `iglue`, for lmms-eval's registry, which calls this."""
    from lmms_eval.models.registry_v2 import ModelManifest

    return ModelManifest(model_id="iglue", simple_class_path=f"{__name__}.model.IGLUE")
