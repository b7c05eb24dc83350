"""The keys of a recipe's model that are no settings of its own: what of it is trained."""

from __future__ import annotations

from typing import Any

from iglue_plugins.recipes.adapter import check_adapter
from iglue_plugins.recipes.problems import Report, describe_value

MODEL_KEYS = ("adapter", "freeze")


def check_model_keys(given: dict[str, Any], report: Report) -> dict[str, Any]:
    """Check the keys that every model has beside its settings.

    Args:
        given: Those of `MODEL_KEYS` that a recipe gives.
        report: Is told of each problem.

    Returns:
        The keys that are given and not null, with all their settings.
    """
    adapter, freeze = (given.get(key) for key in MODEL_KEYS)
    found: dict[str, Any] = {}
    if adapter is not None:
        found["adapter"] = check_adapter(adapter, report)
    if freeze is not None:
        if not isinstance(freeze, list) or not all(isinstance(name, str) and name for name in freeze):
            report(
                ("model", "freeze"),
                f"found {describe_value(freeze)}, expected a list of modules or parameters such as "
                "[encoder.text_embeddings, encoder.layers.0]",
            )
            freeze = []
        elif adapter is not None and freeze:
            report(
                ("model", "freeze"),
                "an adapter freezes all weights but its own and the heads; leave out one of the two",
            )
        found["freeze"] = freeze
    return found
