"""The small xUNITER that ships with the mini benchmark."""

from __future__ import annotations

from iglue_plugins.mini import ASSETS
from iglue_plugins.mini.builtin import MiniXUniterSpec
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
