"""The metadata of a model card, as the hub reads it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from iglue_plugins.recipes.sections import scored_split
from iglue_plugins.runs.adapted_models import weight_sources
from iglue_plugins.runs.changed_settings import installed_plugin
from iglue_plugins.runs.sharing.card_scores import SplitScores
from iglue_plugins.runs.status import as_mapping
from iglue_plugins.runs.training_settings import BEFORE, training_settings
from iglue_plugins.tasks.config import HubCopyConfig
from iglue_plugins.tasks.spec import IGLUESpec
from iglue_plugins.utils.languages import language_tuple
from iglue_plugins.utils.model_sources import is_hub_uri, is_local_path, split_hub_uri

if TYPE_CHECKING:
    from huggingface_hub import EvalResult, ModelCardData

LIBRARY = "iglue_plugins"


def card_metadata(
    record: Mapping[str, Any], name: str, scores: Sequence[SplitScores], licence: str | None
) -> ModelCardData:
    """Make the metadata of a card.

    Args:
        record: The record of the run.
        name: The name of the model.
        scores: The scores of the run.
        licence: The licence of the weights, as the hub names licences; None where it is not known.

    Returns:
        What stands at the beginning of the card, in YAML.
    """
    from huggingface_hub import ModelCardData

    evaluated = [language for split in scores for language in split.scores]
    languages = dict.fromkeys([*language_tuple(record["source_language"]), *record["training_languages"], *evaluated])
    base = base_models(record)
    copy = hub_copy(record)
    has_adapter = bool(as_mapping(as_mapping(record.get("recipe")).get("model")).get("adapter"))
    more: dict[str, Any] = {"base_model_relation": "adapter" if has_adapter else "finetune"} if len(base) == 1 else {}
    return ModelCardData(
        language=list(languages),
        license=licence,
        library_name=LIBRARY,
        base_model=base[0] if len(base) == 1 else base or None,
        datasets=[copy.repository] if copy else None,
        metrics=list(dict.fromkeys(split.metric for split in scores)) or None,
        model_name=name,
        tags=["iglue", "cross-lingual", "vision-and-language", record["trainer"]],
        eval_results=[result for split in scores for result in _results(record, split, copy)] or None,
        **more,
    )


def base_models(record: Mapping[str, Any]) -> list[str]:
    """Find the models of a hub that the training of a run, or of the first stage before it, started from.

    Args:
        record: The record of the run.

    Returns:
        Hub ids; none where it started from a local folder, or from fresh weights.
    """
    start = as_mapping(record.get("recipe")).get("start_from")
    if isinstance(start, str) and is_hub_uri(start):
        return [split_hub_uri(start)[0]]
    settings, first = training_settings(record), ""
    while any(key.startswith(f"{first}{BEFORE}") for key in settings):
        first += BEFORE
    if first.removesuffix(".") in settings or (not first and record.get("start_from")):
        return []  # a checkpoint of which nothing else is known
    plugin = installed_plugin("model", settings.get(f"{first}model.name"))
    keys = weight_sources(getattr(plugin, "Settings", None))
    found = [value for key in keys if isinstance(value := settings.get(f"{first}model.{key}"), str)]
    return [value for value in found if value and not value.endswith(".bin") and not is_local_path(value)]


def task_facts(record: Mapping[str, Any]) -> Any:
    """Return the registered class of a run's task; None if it is not installed."""
    return installed_plugin("task", record["task"])


def hub_copy(record: Mapping[str, Any]) -> HubCopyConfig | None:
    """Return the copy of the task's test sets on the hub; None if there is none."""
    task = task_facts(record)
    return task.config.hub if isinstance(task, type) and issubclass(task, IGLUESpec) else None


def _results(record: Mapping[str, Any], split: SplitScores, copy: HubCopyConfig | None) -> list[EvalResult]:
    from huggingface_hub import EvalResult

    on_copy = copy if copy and split.split == scored_split("test") else None
    return [
        EvalResult(
            task_type=record["task"],
            dataset_type=on_copy.repository if on_copy else record["task"],
            dataset_name=f"{record['task']} ({language})",
            dataset_config=language,
            dataset_split=split.split,
            metric_type=split.metric,
            metric_value=round(score.mean, 2),
            metric_name=f"{split.metric} (%)",
            metric_args={"interval_95": [round(score.low, 2), round(score.high, 2)]},
        )
        for language, score in split.scores.items()
    ]
