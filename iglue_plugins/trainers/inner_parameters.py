"""What the inner loop adapts: some of a model's parameters, or its context."""

from __future__ import annotations

from fnmatch import filter as matching
from typing import cast

from transformers import PreTrainedModel

from iglue_plugins.models.adapters import head_parameters
from iglue_plugins.models.context import find_context
from iglue_plugins.models.protocols import TakesContext
from iglue_plugins.models.tied_weights import tied_names
from iglue_plugins.trainers.settings.xvl_maml import AdaptChoice
from iglue_plugins.utils.errors import UserError


def adapted_parameters(model: PreTrainedModel, choice: AdaptChoice) -> list[str]:
    """Choose the parameters that the inner loop adapts, where they are trained at all.

    Args:
        model: The model.
        choice: "all", "encoder", "heads", or patterns of names, in which * stands for any part; a tied weight adapts
            where a pattern matches any of its names.

    Returns:
        The names of the model's parameters, as `named_parameters` has them, without those that are frozen.

    Raises:
        UserError: The choice names no parameter.
    """
    frozen = {name for name, value in model.named_parameters(remove_duplicate=False) if not value.requires_grad}
    names = [name for name, _ in model.named_parameters() if name not in frozen]
    if choice == "all":
        return names
    if isinstance(choice, str):
        heads = set(head_parameters(model))
        chosen = [name for name in names if (name in heads) == (choice == "heads")]
        if not heads or not chosen:
            raise UserError(
                f"trainer.adapt '{choice}': the parameter names of a {type(model).__name__} do not tell encoder and "
                "heads apart (head_modules or base_model_prefix); use 'all' or name patterns"
            )
        return chosen
    tied = {name: first for name, first in tied_names(model).items() if name not in frozen}
    for pattern in choice:
        if not matching([*names, *tied], pattern):
            raise UserError(
                f"trainer.adapt: '{pattern}' matches no parameter of the model that is trained; use a pattern of names "
                f"such as '{names[0]}', in which * stands for any part"
            )
    matched = {tied.get(name, name) for pattern in choice for name in matching([*names, *tied], pattern)}
    return [name for name in names if name in matched]


def give_context(model: PreTrainedModel, size: int) -> None:
    """Give a model the context that the inner loop adapts, unless it has it already.

    Args:
        model: The model, which is changed in place.
        size: The number of context parameters.

    Raises:
        UserError: The model takes no context, or has one of another size that is frozen, as in the base of an adapter.
    """
    if not hasattr(model, "set_context"):
        raise _without_context(model, size)
    found = find_context(model)
    if found is not None and not found[1].weight.requires_grad and (known := found[1].values.numel()) != size:
        raise UserError(
            f"trainer.context_size is {size}, but the model has a frozen context of {known}; set it to {known}"
        )
    cast("TakesContext", model).set_context(size)


def context_name(model: PreTrainedModel, size: int) -> str:
    """Name the context that the inner loop adapts.

    Args:
        model: The model.
        size: The number of context parameters that it should have.

    Returns:
        The name among the model's buffers.

    Raises:
        UserError: The model has no context.
    """
    found = find_context(model)
    if found is None:
        raise _without_context(model, size)
    return found[0]


def _without_context(model: PreTrainedModel, size: int) -> UserError:
    return UserError(
        f"trainer.context_size is {size}, but a {type(model).__name__} takes no context; set it to 0, or add "
        "set_context(size) to the class, which xUNITER, UC2, mUNITER and dual encoders have"
    )
