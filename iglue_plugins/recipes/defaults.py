"""What a recipe has where it says nothing: the defaults of its task and its trainer."""

from __future__ import annotations

from typing import Any

from iglue_plugins.recipes.plugins import RegisteredTask, RegisteredTrainer


def with_defaults(
    data: dict[str, Any], task: RegisteredTask | None, trainer: RegisteredTrainer | None
) -> dict[str, Any]:
    """Fill in the defaults of the task and the trainer for keys that are missing or null.

    Args:
        data: The merged recipe, whose values need not be of the right type.
        task: The recipe's task; None if that has a problem.
        trainer: The recipe's trainer; None if that has a problem.

    Returns:
        The recipe with all keys that have such a default.
    """
    evaluation = data.get("evaluation") or {}
    if isinstance(evaluation, dict) and evaluation.get("languages") is None:
        evaluation = evaluation | {"languages": list(task.languages) if task else [""]}
    given = data.get("source_language") or (task.source_language if task else "")
    sources = given if isinstance(given, list) else [given]
    usual = task.default_auxiliary_languages if task else ()
    defaults = {
        "start_from": trainer.starts_from if trainer else "model",
        "source_language": given,
        "auxiliary_languages": [language for language in usual if language not in sources],
    }
    missing = {key: value for key, value in defaults.items() if data.get(key) is None}
    return data | missing | {"evaluation": evaluation}
