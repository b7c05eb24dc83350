"""Names and settings of the models; the implementations are imported when they are needed."""

from __future__ import annotations

from typing import ClassVar

from iglue_plugins.data.image_kind import ImageKind
from iglue_plugins.models.dual_encoder.region_settings import RegionDualEncoderSettings
from iglue_plugins.models.dual_encoder.settings import DualEncoderSettings
from iglue_plugins.models.settings import UniterSpec
from iglue_plugins.registry import models


@models.register("xuniter")
class XUniterSpec(UniterSpec):
    """UNITER on XLM-R (Bugliarello et al. 2022)."""

    implementation = "iglue_plugins.models.plugin:XUniter"


@models.register("uc2")
class UC2Spec(UniterSpec):
    """UNITER on XLM-R, pre-trained with machine-translated captions (Zhou et al. 2021)."""

    implementation = "iglue_plugins.models.plugin:UC2"


@models.register("muniter")
class MUniterSpec(UniterSpec):
    """UNITER on multilingual BERT (Liu et al. 2021)."""

    implementation = "iglue_plugins.models.plugin:MUniter"


@models.register("dual_encoder")
class DualEncoderSpec:
    """Dual encoders from pixels: SigLIP (Zhai et al. 2023), CLIP (Radford et al. 2021) and their relatives.

    Attributes:
        Settings: The model's settings in a recipe.
        reads: What the model sees of an image.
        implementation: Where the model's plugin is, as "module:Class".
    """

    Settings: ClassVar[type[DualEncoderSettings]] = DualEncoderSettings
    reads: ClassVar[ImageKind] = "pixels"
    implementation: ClassVar[str] = "iglue_plugins.models.dual_encoder.plugin:DualEncoderPlugin"


@models.register("region_dual_encoder")
class RegionDualEncoderSpec:
    """A dual encoder of a multilingual text encoder and a small tower over region features.

    Attributes:
        Settings: The model's settings in a recipe.
        reads: What the model sees of an image.
        implementation: Where the model's plugin is, as "module:Class".
    """

    Settings: ClassVar[type[RegionDualEncoderSettings]] = RegionDualEncoderSettings
    reads: ClassVar[ImageKind] = "regions"
    implementation: ClassVar[str] = "iglue_plugins.models.dual_encoder.region_plugin:RegionDualEncoderPlugin"
