"""Names and settings of the models; the implementations are imported when they are needed."""

from __future__ import annotations

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
