"""The model of a finished run, on its device and in its precision, and what it computes of examples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedModel

from iglue_plugins.data.batching import Batcher
from iglue_plugins.data.processors.base import Processor
from iglue_plugins.evaluation.inference import classify, match_all
from iglue_plugins.recipes.recipe import Recipe, load_recipe
from iglue_plugins.runs.folder import Run
from iglue_plugins.runs.plugins import load_model, why_without_model
from iglue_plugins.runs.sharing.shared_run import SharedRun
from iglue_plugins.utils import distributed
from iglue_plugins.utils.errors import UserError, first_line
from iglue_plugins.utils.threads import threads_for


def run_recipe(run: Run, overrides: Sequence[str] = ()) -> Recipe:
    """Load the recipe of a finished run, which needs nothing of the stages before it any more.

    Args:
        run: The run.
        overrides: Changes of the form `key.path=value`.

    Returns:
        The resolved recipe, without its `start_from`.

    Raises:
        UserError: The run has no recipe, or an override does not fit it.
    """
    if isinstance(run, SharedRun):
        return run.recipe(overrides)
    return load_recipe(run.recipe_path, ["start_from=model", *overrides])


def require_model(run: Run, remedy: str = "name a run of another trainer") -> Path:
    """Find the model of a finished run.

    Args:
        run: The run.
        remedy: What to do where there is none, for the error.

    Returns:
        The folder of the model.

    Raises:
        UserError: The run keeps no model.
    """
    if not run.model_dir.is_dir():
        raise UserError(f"{run.folder}: {why_without_model(run)}; {remedy}")
    return run.model_dir


@dataclass(frozen=True)
class TrainedModel:
    """A model that is not trained any more.

    Attributes:
        model: The model, on its device and in its precision.
        processor: The model's processor.
        batch_size: Examples in a batch; in retrieval, (text, image) pairs.
    """

    model: PreTrainedModel
    processor: Processor
    batch_size: int

    def logits(self, batcher: Batcher) -> Tensor:
        """Compute the logits of examples that are classified.

        Args:
            batcher: The examples.

        Returns:
            (examples, labels) float32, in the batcher's order.
        """
        with threads_for(self.model):
            return classify(self.model, batcher, self.batch_size)

    def match(self, batcher: Batcher, images: np.ndarray) -> np.ndarray:
        """Compute how well texts and images match; see `evaluation.inference.match_all`.

        Args:
            batcher: The texts.
            images: (images,) int64, positions of images.

        Returns:
            (texts, images) float32.
        """
        with threads_for(self.model):
            return match_all(self.model, batcher, images, self.batch_size)


def load_trained(
    run: Run, device: str | torch.device = "auto", overrides: Sequence[str] = ()
) -> tuple[Recipe, TrainedModel]:
    """Load the model of a finished run as its evaluation has it.

    Args:
        run: The run.
        device: The device of the model; 'auto' is a GPU if there is one.
        overrides: Changes of the run's recipe, of the form `key.path=value`.

    Returns:
        The run's recipe, and the model in the precision of its evaluation and with its batch size.

    Raises:
        UserError: The run keeps no model or a damaged one, has no recipe, or there is no such device.
    """
    folder = require_model(run)  # a run that keeps none has no recipe either
    recipe = run_recipe(run, overrides)
    model, processor = load_model(recipe, folder)
    precision = getattr(torch, recipe.evaluation.precision)
    return recipe, TrainedModel(move(model, device, precision), processor, recipe.evaluation.batch_size)


def move(model: PreTrainedModel, device: str | torch.device, dtype: torch.dtype | None = None) -> PreTrainedModel:
    """Move a model to a device.

    Args:
        model: The model.
        device: The device; 'auto' is a GPU if there is one.
        dtype: The type of its weights; None leaves them as they are.

    Returns:
        The model, which is changed in place.

    Raises:
        UserError: There is no such device.
    """
    try:
        # transformers' decorator of `to` loses its signature
        return model.to(distributed.device() if device == "auto" else device, dtype)  # type: ignore[arg-type]
    except (RuntimeError, AssertionError) as error:
        raise UserError(f"device: '{device}' is not available ({first_line(error)}); choose another device") from error
