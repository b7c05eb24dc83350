"""The small xUNITER that ships with the mini benchmark."""

from __future__ import annotations

from iglue_plugins.mini import ASSETS
from iglue_plugins.mini.builtin import MiniXUniterSpec
from iglue_plugins.models.plugin import XUniter
from iglue_plugins.models.settings import UniterSettings


class MiniXUniter(MiniXUniterSpec, XUniter):
    """Pre-trained on captions of mini scenes in 15 languages by recipes/mini/pretrain.yaml."""

    def __init__(self, settings: UniterSettings) -> None:
        super().__init__(
            settings if settings.checkpoint else settings.model_copy(update={"checkpoint": str(ASSETS / "xuniter")})
        )
