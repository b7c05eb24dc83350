"""The settings of a run's recipe that differ from the defaults."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel

from iglue_plugins.recipes.sections import Evaluation
from iglue_plugins.runs.status import as_mapping
from iglue_plugins.runs.training_settings import REGISTRIES
from iglue_plugins.utils.errors import UserError

UNKNOWN = object()  # the default of a setting that no plugin here has
OF_THE_RUN = {"name", "runs", "start_from_settings"}  # keys of a recipe that say nothing of what is computed


def changed_settings(record: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Find the settings of a run's recipe that differ from the defaults.

    Args:
        record: The record of the run.

    Returns:
        Key path, such as `trainer.learning_rate`, to the value and the default.
    """
    found = {}
    for key, value, default in _with_defaults(as_mapping(record.get("recipe"))):
        if default is UNKNOWN or value != default:
            found[key] = value, None if default is UNKNOWN else default
    return found


def _with_defaults(recipe: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    """Yield the keys of a recipe with their values and defaults."""
    task, model, trainer = (_named_plugin(section, recipe) for section in ("task", "model", "trainer"))
    of_task = getattr(task, "trainer_defaults", {}).get(as_mapping(recipe.get("trainer")).get("name"), {})
    defaults = {
        "seed": 0,
        "start_from": getattr(trainer, "starts_from", UNKNOWN),
        "source_language": getattr(task, "source_language", UNKNOWN),
        "auxiliary_languages": list(getattr(task, "default_auxiliary_languages", ())),
        "evaluation": _field_defaults(Evaluation) | {"languages": list(getattr(task, "languages", ()))},
        "task": _field_defaults(task.Settings) if task else None,
        "model": _field_defaults(model.Settings) if model else None,
        "trainer": _field_defaults(trainer.Settings) | of_task if trainer else None,
    }
    for key, value in recipe.items():
        default = defaults.get(key)
        if isinstance(value, dict) and (default is None or isinstance(default, dict)):
            for setting, chosen in value.items():
                if setting != "name":
                    yield f"{key}.{setting}", chosen, UNKNOWN if default is None else default.get(setting)
        elif key not in OF_THE_RUN:
            yield key, value, default


def installed_plugin(section: str, name: Any) -> Any:
    """Return the registered class of a name in a record.

    Args:
        section: "task", "model" or "trainer".
        name: The name, which somebody may have edited.

    Returns:
        A class with `Settings` and the facts of its kind; None if it is not installed.
    """
    try:
        return REGISTRIES[section].get(name) if isinstance(name, str) else None
    except UserError:
        return None


def _named_plugin(section: str, recipe: Mapping[str, Any]) -> Any:
    return installed_plugin(section, as_mapping(recipe.get(section)).get("name"))


def _field_defaults(settings: type[BaseModel]) -> dict[str, Any]:
    """Return the defaults of settings as a recipe has them, former names included; those without one are None."""
    fields = settings.model_fields
    known = {name: field for name, field in fields.items() if not field.is_required()}
    made = settings.model_construct(
        **{name: field.get_default(call_default_factory=True) for name, field in known.items()}
    )
    dumped = made.model_dump(mode="json", by_alias=True, include=set(known), warnings=False)
    former = {name: field.default for name, field in known.items() if field.exclude}
    return dict.fromkeys(fields) | former | dumped
