"""Models: xUNITER, UC2 and mUNITER from one encoder, their heads and contrastive projections."""

from iglue_plugins.models.configuration import MUniterConfig, UC2Config, UniterConfig, XUniterConfig
from iglue_plugins.models.encoder import EncoderOutput, UniterEncoder
from iglue_plugins.models.heads import MaskedWordHead
from iglue_plugins.models.plugin import UC2, MUniter, XUniter
from iglue_plugins.models.uniter import (
    MUniterForVisionAndLanguage,
    UC2ForVisionAndLanguage,
    UniterForVisionAndLanguage,
    XUniterForVisionAndLanguage,
)

__all__ = [
    "EncoderOutput",
    "MUniter",
    "MUniterConfig",
    "MUniterForVisionAndLanguage",
    "MaskedWordHead",
    "UC2",
    "UC2Config",
    "UC2ForVisionAndLanguage",
    "UniterConfig",
    "UniterEncoder",
    "UniterForVisionAndLanguage",
    "XUniter",
    "XUniterConfig",
    "XUniterForVisionAndLanguage",
]
