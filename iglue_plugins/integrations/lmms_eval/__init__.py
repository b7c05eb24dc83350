"""lmms-eval: the model that its command line evaluates, and the IGLUE tasks for any of its models (docs/lmms_eval.md).

The entry point for lmms-eval names `manifest`. Only `model` imports lmms-eval.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lmms_eval.models.registry_v2 import ModelManifest


def manifest() -> ModelManifest:
    """Describe the model `iglue` to lmms-eval's registry, which calls this function.

    Returns:
        The model's name and the path of its class.
    """
    from lmms_eval.models.registry_v2 import ModelManifest

    return ModelManifest(model_id="iglue", simple_class_path=f"{__name__}.model.IGLUE")
