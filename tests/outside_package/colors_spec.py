"""What a recipe has to know of the task `colors`; it imports no PyTorch."""

from iglue_plugins.tasks.settings import TaskSettings
from iglue_plugins.tasks.spec import TaskSpec


class ColorsSettings(TaskSettings):
    examples: int = 24


class ColorsSpec(TaskSpec):
    name = "colors"
    languages = ("en", "fr", "tr")
    default_auxiliary_languages = ("fr",)
    splits = ("train", "dev", "test", "auxiliary")
    Settings = ColorsSettings
    implementation = "colors:Colors"
