"""The sections of a resolved recipe."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from iglue_plugins.recipes.adapter import AdapterSettings


class PluginChoice(BaseModel):
    """A task, model or trainer, with all of its settings.

    Attributes:
        name: The name in the registry.
        settings: The settings, as JSON values.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    settings: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """Return the section as a recipe file has it."""
        return {"name": self.name, **self.settings}


class ModelChoice(PluginChoice):
    """A model with all of its settings, and what of it is trained.

    Attributes:
        adapter: The settings of the adapter, which the model's plugin does not see; None trains all weights.
        freeze: The modules and parameters that are not trained, by their names or patterns of them.
    """

    adapter: AdapterSettings | None = None
    freeze: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the section as a recipe file has it; it has `adapter` and `freeze` only where they are given."""
        adapter = {"adapter": self.adapter.model_dump(mode="json")} if self.adapter else {}
        freeze = {"freeze": list(self.freeze)} if self.freeze else {}
        return {"name": self.name, **self.settings, **adapter, **freeze}


class Evaluation(BaseModel):
    """The settings of the evaluation after training."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    splits: list[str] = Field(["test"], min_length=1, description="The splits to evaluate.")
    languages: list[str] = Field(
        min_length=1, description="The languages to evaluate; default: all languages of the task."
    )
    batch_size: int = Field(256, ge=1, description="The number of rows in an evaluation batch.")
    precision: Literal["float32", "bfloat16"] = Field(
        "float32", description="The floating-point type of the model during evaluation."
    )
    workers: Annotated[int, Field(ge=0)] | Literal["auto"] = Field(
        "auto", description="The number of processes that make batches ahead; auto: none for regions, some for pixels."
    )
    compile: bool = Field(
        False, description="Whether to compile the model for evaluation: slower to start, then faster on a GPU."
    )

    def scored_split(self, split: str) -> str:
        """Return the name under which a run keeps the scores and predictions that these settings give.

        The size of a batch does not count, since it changes no more than the rounding of sums.

        Args:
            split: The split.

        Returns:
            The split itself in float32 and not compiled, otherwise the split with the settings, such as
            'test@bfloat16'.
        """
        return scored_split(split, self.precision, self.compile)


def scored_split(split: str, precision: str = "float32", compiled: bool = False) -> str:
    """Return the name under which a run keeps the scores on a split; see `Evaluation.scored_split`."""
    return "@".join([split, *[precision] * (precision != "float32"), *["compiled"] * compiled])
