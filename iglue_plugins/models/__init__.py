"""Models: the xUNITER encoder, its heads and its contrastive projections."""

from iglue_plugins.models.configuration import XUniterConfig
from iglue_plugins.models.encoder import EncoderOutput, XUniterModel
from iglue_plugins.models.heads import MaskedWordHead
from iglue_plugins.models.plugin import XUniter
from iglue_plugins.models.xuniter import XUniterForVisionAndLanguage

__all__ = ["EncoderOutput", "MaskedWordHead", "XUniter", "XUniterConfig", "XUniterForVisionAndLanguage", "XUniterModel"]
