"""Weights that a recipe freezes: they are used, stored and loaded as ever, and no trainer changes them."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

from transformers import PreTrainedModel

from iglue_plugins.models.tied_weights import tied_names
from iglue_plugins.utils.errors import UserError


def freeze(model: PreTrainedModel, patterns: Sequence[str]) -> None:
    """Exclude weights of a model from training, in the inner loop as in the outer one.

    A task head that the model gets later is trained, unless its module is frozen when the model is loaded with it.

    Args:
        model: The model, which is changed in place.
        patterns: Names of modules or parameters, such as "encoder.layers.0"; * stands for any part. A weight that has
            several names is frozen where a pattern matches any of them.

    Raises:
        UserError: A pattern matches nothing.
    """
    names = {name: name for name, _ in model.named_parameters()} | tied_names(model)
    parameters = dict(model.named_parameters())
    for pattern in patterns:
        matched = [name for name in names if fnmatchcase(name, pattern) or fnmatchcase(name, f"{pattern}.*")]
        if not matched:
            raise UserError(
                f"model.freeze: '{pattern}' is no module or parameter of a {type(model).__name__}; give a name such as "
                f"'{next(iter(names)).rpartition('.')[0]}', in which * stands for any part"
            )
        for name in matched:
            if (first := names[name]) in parameters:  # others are buffers, which are not trained
                parameters[first].requires_grad_(False)
