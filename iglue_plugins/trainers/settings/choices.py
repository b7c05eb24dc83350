"""The optimizers, learning rate schedules and experiment trackers of transformers that training can use, by name.

A test compares the names with transformers' own, which these modules do not import.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal, get_args

from pydantic import BeforeValidator

from iglue_plugins.utils.errors import did_you_mean

OptimizerName = Literal[
    "adamw_torch",
    "adamw_torch_fused",
    "adamw_torch_xla",
    "adamw_torch_npu_fused",
    "adafactor",
    "adamw_anyprecision",
    "adamw_torch_4bit",
    "adamw_torch_8bit",
    "ademamix",
    "sgd",
    "adagrad",
    "adamw_bnb_8bit",
    "adamw_8bit",
    "ademamix_8bit",
    "lion_8bit",
    "lion_32bit",
    "paged_adamw_32bit",
    "paged_adamw_8bit",
    "paged_ademamix_32bit",
    "paged_ademamix_8bit",
    "paged_lion_32bit",
    "paged_lion_8bit",
    "rmsprop",
    "rmsprop_bnb",
    "rmsprop_bnb_8bit",
    "rmsprop_bnb_32bit",
    "grokadamw",
    "stable_adamw",
]
ScheduleName = Literal[
    "linear",
    "cosine",
    "cosine_with_restarts",
    "polynomial",
    "constant",
    "constant_with_warmup",
    "inverse_sqrt",
    "cosine_with_min_lr",
    "cosine_warmup_with_min_lr",
    "warmup_stable_decay",
]
TrackerName = Literal[
    "azure_ml",
    "clearml",
    "codecarbon",
    "comet_ml",
    "dagshub",
    "dvclive",
    "kubeflow",
    "mlflow",
    "neptune",
    "swanlab",
    "tensorboard",
    "trackio",
    "wandb",
]
# What transformers has beside these, and why training cannot use it.
UNSUITABLE = {
    **dict.fromkeys(
        ("schedule_free_adamw", "schedule_free_radam", "schedule_free_sgd"),
        "it evaluates other weights than those that it trains",
    ),
    **dict.fromkeys(("lomo", "adalomo"), "it updates weights inside the backward pass"),
    **dict.fromkeys(
        (
            "apollo_adamw",
            "apollo_adamw_layerwise",
            "galore_adafactor",
            "galore_adafactor_layerwise",
            "galore_adamw",
            "galore_adamw_8bit",
            "galore_adamw_8bit_layerwise",
            "galore_adamw_layerwise",
        ),
        "it asks for a choice of modules",
    ),
    **dict.fromkeys(("reduce_lr_on_plateau", "greedy"), "it follows the scores of transformers' own evaluation"),
    "flyte": "it reports through a workflow of Flyte's",
}


def _check_name(kind: str, names: tuple[str, ...]) -> Callable[[Any], Any]:
    """Make a validator that suggests a name where one is misspelt, or says why it cannot be used."""

    def check(name: Any) -> Any:
        if not isinstance(name, str) or name in names:
            return name
        if name in UNSUITABLE:
            raise ValueError(f"this {kind} of transformers cannot be used here, because {UNSUITABLE[name]}")
        raise ValueError(f"transformers has no such {kind}{did_you_mean(name, names)}")

    return check


Optimizer = Annotated[OptimizerName, BeforeValidator(_check_name("optimizer", get_args(OptimizerName)))]
Schedule = Annotated[ScheduleName, BeforeValidator(_check_name("schedule", get_args(ScheduleName)))]
Tracker = Annotated[TrackerName, BeforeValidator(_check_name("tracker", get_args(TrackerName)))]
