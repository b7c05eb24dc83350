"""Names and settings of the mini benchmark's tasks and model; implementations are imported when they are needed."""

from __future__ import annotations

from iglue_plugins.mini.settings import MiniRetrievalSettings, MiniSettings
from iglue_plugins.models.builtin import DualEncoderSpec
from iglue_plugins.models.settings import UniterSpec
from iglue_plugins.registry import models, tasks
from iglue_plugins.tasks.config import with_task_config
from iglue_plugins.tasks.spec import TaskSpec


@models.register("mini/xuniter")
class MiniXUniterSpec(UniterSpec):
    """A small xUNITER, pre-trained on captions of mini scenes in 15 languages."""

    implementation = "iglue_plugins.mini.model:MiniXUniter"


@models.register("mini/siglip")
class MiniSiglipSpec(DualEncoderSpec):
    """A small SigLIP that reads pixels, pre-trained on captions of mini scenes in 15 languages."""

    implementation = "iglue_plugins.mini.model:MiniSiglip"


@tasks.register("mini/xvnli")
@with_task_config("mini/xvnli")
class MiniXVNLISpec(TaskSpec):
    """Is all, a part or nothing of what the text names in the scene?"""

    Settings = MiniSettings
    implementation = "iglue_plugins.mini.tasks:MiniXVNLI"


@tasks.register("mini/xgqa")
@with_task_config("mini/xgqa")
class MiniXGQASpec(TaskSpec):
    """Which thing is in the scene, or is it there?"""

    Settings = MiniSettings
    implementation = "iglue_plugins.mini.tasks:MiniXGQA"


@tasks.register("mini/marvl")
@with_task_config("mini/marvl")
class MiniMaRVLSpec(TaskSpec):
    """Do both scenes show all that the text names?"""

    Settings = MiniSettings
    implementation = "iglue_plugins.mini.tasks:MiniMaRVL"


@tasks.register("mini/xflickrco")
@with_task_config("mini/xflickrco")
class MiniXFlickrCOSpec(TaskSpec):
    """Which scene does the caption describe, and which caption describes the scene?"""

    Settings = MiniRetrievalSettings
    implementation = "iglue_plugins.mini.tasks:MiniXFlickrCO"


@tasks.register("mini/captions")
@with_task_config("mini/captions")
class MiniCaptionsSpec(TaskSpec):
    """Captioned scenes, for pre-training only."""

    Settings = MiniRetrievalSettings
    implementation = "iglue_plugins.mini.tasks:MiniCaptions"
