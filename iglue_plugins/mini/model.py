"""The small xUNITER that ships with the mini benchmark."""

from __future__ import annotations

from iglue_plugins.mini import ASSETS
from iglue_plugins.models.plugin import XUniter
from iglue_plugins.registry import models


@models.register("mini/xuniter")
class MiniXUniter(XUniter):
    """Pre-trained on captions of mini scenes in 15 languages by recipes/mini/pretrain.yaml."""

    def __init__(self, settings: XUniter.Settings) -> None:
        super().__init__(settings if settings.checkpoint else settings.model_copy(
            update={"checkpoint": str(ASSETS / "xuniter")}))
