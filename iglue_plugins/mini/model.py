"""The small models that ship with the mini benchmark: an xUNITER over regions, and a SigLIP over pixels."""

from __future__ import annotations

from iglue_plugins.mini import ASSETS
from iglue_plugins.mini.builtin import MiniSiglipSpec, MiniXUniterSpec
from iglue_plugins.models.dual_encoder.plugin import DualEncoderPlugin
from iglue_plugins.models.dual_encoder.settings import DualEncoderSettings
from iglue_plugins.models.plugin import XUniter
from iglue_plugins.models.settings import UniterSettings


class MiniXUniter(MiniXUniterSpec, XUniter):
    """A small xUNITER, pre-trained on captions of mini scenes in 15 languages by recipes/mini/pretrain.yaml.

    Args:
        settings: The model's settings in the recipe; the default checkpoint is the one that ships.
    """

    def __init__(self, settings: UniterSettings) -> None:
        super().__init__(
            settings if settings.checkpoint else settings.model_copy(update={"checkpoint": str(ASSETS / "xuniter")})
        )


class MiniSiglip(MiniSiglipSpec, DualEncoderPlugin):
    """A small SigLIP, pre-trained on captions of mini scenes in 15 languages by recipes/mini/pretrain_siglip.yaml.

    Args:
        settings: The model's settings in the recipe; the default checkpoint is the one that ships.
    """

    def __init__(self, settings: DualEncoderSettings) -> None:
        super().__init__(
            settings if settings.checkpoint else settings.model_copy(update={"checkpoint": str(ASSETS / "siglip")})
        )
