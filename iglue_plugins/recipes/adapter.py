"""The key `adapter` of a recipe's model: what is trained in the place of all weights."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from iglue_plugins.recipes.problems import Report, describe_value, validate


class AdapterSettings(BaseModel):
    """Low-rank matrices beside linear layers, which are trained while the model's other weights stay as they are.

    The key belongs to recipes, not to a model's own settings, so that it works with every model.

    Source: LoRA (Hu et al. 2022), as peft computes it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    type: Literal["lora"] = Field(description="The kind of adapter.")
    r: int = Field(8, ge=1, description="The rank of the matrices.")
    alpha: float = Field(
        8, gt=0, allow_inf_nan=False, description="Their product is multiplied by alpha / r, or alpha / sqrt(r)."
    )
    rslora: bool = Field(
        False, description="Whether the factor is alpha / sqrt(r) (rsLoRA, Kalajdzievski 2023) instead of alpha / r."
    )
    dropout: float = Field(0.0, ge=0, lt=1, description="Dropout of what the matrices read, while training.")
    target_modules: Literal["all-linear"] | Annotated[list[str], Field(min_length=1)] = Field(
        "all-linear",
        description="The linear layers that get matrices: all outside the heads, or those whose name is one of these "
        "or ends in one, such as query_key_value.",
    )
    modules_to_save: list[str] = Field(
        [],
        description="Modules that are trained as a whole and stored with the adapter, beside the heads; by their full "
        "names, such as encoder.region_embeddings.",
    )


def check_adapter(data: Any, report: Report) -> dict[str, Any] | None:
    """Check the adapter of a recipe's model.

    Args:
        data: The value of `model.adapter`.
        report: Is told of each problem.

    Returns:
        The adapter with all its settings; None if it has a problem.
    """
    path = ("model", "adapter")
    if not isinstance(data, dict):
        report(path, f"found {describe_value(data)}, expected a mapping such as {{type: lora, r: 8}}")
        return None
    adapter = validate(AdapterSettings, data, "an adapter", lambda key, text: report((*path, *key), text))
    return adapter.model_dump(mode="json") if adapter else None
