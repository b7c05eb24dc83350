"""The hash that identifies a run by what determines its trained weights."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from iglue_plugins import registry
from iglue_plugins.models.volta.reading import checkpoint_hash
from iglue_plugins.recipes.recipe import Recipe, Section
from iglue_plugins.runs.plugins import make_task, make_trainer
from iglue_plugins.runs.source_code import plugin_code
from iglue_plugins.tasks.spec import ExampleSet
from iglue_plugins.trainers.base import LanguageAdapter
from iglue_plugins.trainers.precision import resolved_precision
from iglue_plugins.utils.version import package_version

MEANING = 2  # to be raised when equal recipes come to train other weights

SECTIONS: tuple[Section, ...] = ("task", "model", "trainer")


def fingerprint(recipe: Recipe, previous_fingerprint: str | None) -> str:
    """Hash all that determines the trained weights of a run, and nothing else.

    These are the settings of task, model and trainer, the precision that they come to on this machine, the seed, the
    examples that training reads, the weights that it starts from, the limit of a smoke test, and the code: this
    package's version, and the source of plugins from elsewhere. A run that adapts a model to each language reads
    examples for one language at a time; they count with the scores of that language.

    A Settings class may name settings that do not change the weights (paths, logging) in its class attribute
    `fingerprint_exclude`. One that is newer than its trainer and off by default has `exclude_if`, so that a resolved
    recipe has it only where it is on, and runs of before keep their fingerprints.

    Args:
        recipe: The resolved recipe.
        previous_fingerprint: The fingerprint of the run that training starts from, or the content hash of the
            checkpoint; None for the model's own weights.

    Returns:
        12 hexadecimal digits.

    Raises:
        UserError: A file of the task's data is damaged.
    """
    task, trainer = make_task(recipe), make_trainer(recipe)
    languages = tuple(recipe.auxiliary_languages)
    if isinstance(trainer, LanguageAdapter):
        read = trainer.reads(task, recipe.source_languages, tuple(recipe.evaluation.languages))
        data = {}
    else:
        read = trainer.reads(task, recipe.source_languages, languages)
        data = {str(examples): task.fingerprint(*examples) for examples in read}
    content = {
        "meaning": MEANING,
        "version": package_version(),
        "seed": recipe.seed,
        "source_language": recipe.source_language,
        "auxiliary_languages": languages if recipe.trains_on == "auxiliary" else None,
        "start_from": previous_fingerprint,
        "data": data,
        "task": _plugin(recipe, "task", _settings_in_examples(recipe, read)),
        "model": _plugin(recipe, "model", frozenset()),
        "trainer": _plugin(recipe, "trainer", frozenset()),
    }
    if recipe.limit is not None:
        content["limit"] = recipe.limit
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:12]


def outside_code(recipe: Recipe) -> dict[str, list[dict[str, str]]]:
    """Describe the code of the recipe's plugins that do not ship here.

    Args:
        recipe: The resolved recipe.

    Returns:
        What `plugin_code` says of each, by section of the recipe.
    """
    described = {section: plugin_code(_implementation(recipe, section)) for section in SECTIONS}
    return {section: code for section, code in described.items() if code}


def _implementation(recipe: Recipe, section: Section) -> type:
    found: registry.Registry = getattr(registry, f"{section}s")
    return found.load(getattr(recipe, section).name)


def _plugin(recipe: Recipe, section: Section, left_out: frozenset[str]) -> dict[str, Any]:
    choice, registered = getattr(recipe, section), recipe.plugin(section)[0]
    left_out |= frozenset(getattr(registered.Settings, "fingerprint_exclude", ()))
    settings = {key: value for key, value in choice.settings.items() if key not in left_out}
    if section == "model":
        settings = {key: _content(value) for key, value in settings.items()}
    if section == "trainer" and "precision" in settings:
        settings["precision"] = resolved_precision(settings["precision"])
    described = {"name": choice.name, "settings": settings, "code": plugin_code(_implementation(recipe, section))}
    if section == "model" and recipe.model.adapter:
        described["adapter"] = recipe.model.adapter.model_dump(mode="json")
    if section == "model" and recipe.model.freeze:
        described["freeze"] = sorted(recipe.model.freeze)
    return described


def _content(value: Any) -> Any:
    """Replace a path of the model's files by the hash of their content."""
    return checkpoint_hash(Path(value)) if isinstance(value, str) and value and Path(value).exists() else value


def _settings_in_examples(recipe: Recipe, read: list[ExampleSet]) -> frozenset[str]:
    """Return the task's settings that count by the examples that are read, if at all."""
    settings = recipe.plugin("task")[0].Settings
    of_splits: Mapping[str, frozenset[str]] = getattr(settings, "split_settings", {})
    splits = {examples.split for examples in read}
    of_examples: frozenset[str] = getattr(settings, "example_settings", frozenset())
    return of_examples.union(*(keys for split, keys in of_splits.items() if split not in splits))
