"""The hash that identifies a run by what determines its trained weights."""

from __future__ import annotations

import hashlib
import json

from iglue_plugins.recipes.recipe import Recipe

WEIGHTS_FORMAT = "0.1"  # the version (major.minor) since which equal recipes train equal weights


def fingerprint(recipe: Recipe, previous_fingerprint: str | None, data_fingerprint: str) -> str:
    """Hash all that determines the trained weights of a run.

    A Settings class may name settings that do not change the weights (paths, logging) in its class attribute
    `fingerprint_exclude`.

    Args:
        recipe: The resolved recipe.
        previous_fingerprint: The fingerprint of the run that training starts from, or the content hash of the
            checkpoint; None for the model's own weights.
        data_fingerprint: The fingerprint of the task's data.

    Returns:
        12 hexadecimal digits.
    """
    content = {
        "format": WEIGHTS_FORMAT,
        "seed": recipe.seed,
        "source_language": recipe.source_language,
        "auxiliary_languages": recipe.auxiliary_languages if recipe.trains_on == "auxiliary" else None,
        "start_from": previous_fingerprint,
        "data": data_fingerprint,
    }
    for section in ("task", "model", "trainer"):
        choice = getattr(recipe, section)
        cls, _ = recipe.plugin(section)
        excluded = getattr(cls.Settings, "fingerprint_exclude", ())
        settings = {key: value for key, value in choice.settings.items() if key not in excluded}
        content[section] = {"name": choice.name, "settings": settings}
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:12]
