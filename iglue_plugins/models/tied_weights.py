"""Weights that a model has under several names, and whether such a model can be saved and loaded."""

from __future__ import annotations

from collections import defaultdict

from torch import Tensor, nn
from transformers import PreTrainedModel

from iglue_plugins.utils.errors import UserError


def tied_names(module: nn.Module) -> dict[str, str]:
    """Find the further names of parameters and buffers that a module has under several.

    Args:
        module: The module.

    Returns:
        For each name after the first the first one, under which `named_parameters` and `named_buffers` list the tensor.
    """
    first: dict[int, str] = {}
    tied: dict[str, str] = {}
    for tensors in (module.named_parameters(remove_duplicate=False), module.named_buffers(remove_duplicate=False)):
        for name, tensor in tensors:
            if (known := first.setdefault(id(tensor), name)) != name:
                tied[name] = known
    return tied


def check_tied_weights(model: PreTrainedModel) -> None:
    """Check that transformers saves a model's tied weights, and ties them again when it loads the model.

    Args:
        model: The model, with the head that is trained.

    Raises:
        UserError: A weight has several names that `_tied_weights_keys` does not tell or the configuration does not tie,
            or two parameters share memory without being the same parameter.
    """
    declared = model.get_expanded_tied_weights_keys(all_submodels=True)
    groups: dict[str, list[str]] = {}
    for name, first in tied_names(model).items():
        groups.setdefault(first, [first]).append(name)
    for names in groups.values():
        undeclared = [name for name in names if name not in declared]
        if len(undeclared) > 1:  # one of them is what the others are tied to
            source, name = undeclared[:2]
            raise UserError(
                f"a {type(model).__name__} has one weight under the names {source} and {name}, which transformers "
                f"would not tie when it loads the model; set _tied_weights_keys = {{'{name}': '{source}'}} in its "
                "class, and tie_word_embeddings to true in its configuration"
            )
    for first, name in _overlapping(dict(model.named_parameters())):
        raise UserError(
            f"a {type(model).__name__} has the parameters {first} and {name} in the same memory, where the optimizer "
            f"would update each of them; make them one parameter ({name} = {first}), not two with the same data"
        )


def _overlapping(parameters: dict[str, Tensor]) -> list[tuple[str, str]]:
    """Find pairs of parameters that begin at the same place in memory."""
    places: dict[tuple[object, int], list[str]] = defaultdict(list)
    for name, parameter in parameters.items():
        if parameter.numel():
            places[parameter.device, parameter.data_ptr()].append(name)
    return [(names[0], name) for names in places.values() for name in names[1:]]
