"""The specifications of tasks on a user's own data, whose facts are read from the data that the settings name."""

from __future__ import annotations

from typing import Any, ClassVar

from typing_extensions import override

from iglue_plugins.registry import tasks
from iglue_plugins.tasks.custom.files import CustomData, read_data
from iglue_plugins.tasks.custom.kinds import IMAGE_PAIR, NLI, RETRIEVAL, VQA, Kind
from iglue_plugins.tasks.custom.settings import CustomRetrievalSettings, CustomSettings
from iglue_plugins.tasks.settings import TaskSettings
from iglue_plugins.tasks.spec import TaskSpec


def spec_facts(data: CustomData) -> dict[str, Any]:
    """Return what a recipe needs to know of data, as attributes of `TaskSpec`.

    Args:
        data: The data.

    Returns:
        Values by the name of the attribute.
    """
    facts = data.facts
    return {
        "languages": data.languages,
        "source_language": facts.source_language,
        "default_auxiliary_languages": facts.auxiliary_languages,
        "splits": ("train", "dev", "few_shot", "auxiliary", "test", *facts.splits.others),
        "trainer_defaults": facts.trainer_defaults,
    }


class CustomSpec(TaskSpec):
    """The facts about a task on a user's own data, which are not known before its settings are.

    Attributes:
        kind: The kind of task.
    """

    kind: ClassVar[Kind]
    Settings = CustomSettings

    @classmethod
    @override
    def for_settings(cls, settings: TaskSettings) -> type[CustomSpec]:
        assert isinstance(settings, CustomSettings)  # Settings of every subclass is one
        return type(cls.__name__, (cls,), spec_facts(read_data(settings.data, cls.kind, f"task {cls.name}")))


@tasks.register("custom/nli")
class CustomNLISpec(CustomSpec):
    """Does the image of your example entail, contradict or leave open what its text says?"""

    name = "custom/nli"
    kind = NLI
    implementation = "iglue_plugins.tasks.custom.tasks:CustomNLI"


@tasks.register("custom/vqa")
class CustomVQASpec(CustomSpec):
    """What is the answer to the question about the image of your example?"""

    name = "custom/vqa"
    kind = VQA
    implementation = "iglue_plugins.tasks.custom.tasks:CustomVQA"


@tasks.register("custom/image_pair")
class CustomImagePairSpec(CustomSpec):
    """Is the statement true of the two images of your example?"""

    name = "custom/image_pair"
    kind = IMAGE_PAIR
    implementation = "iglue_plugins.tasks.custom.tasks:CustomImagePair"


@tasks.register("custom/retrieval")
class CustomRetrievalSpec(CustomSpec):
    """Which of your images does a caption describe, and which caption describes an image?"""

    name = "custom/retrieval"
    kind = RETRIEVAL
    Settings = CustomRetrievalSettings
    implementation = "iglue_plugins.tasks.custom.tasks:CustomRetrieval"
