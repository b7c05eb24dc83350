"""Adapters: low-rank matrices beside a model's linear layers, by peft, which are trained while the rest is frozen.

The matrices are put into the model in place, so that it keeps its class and methods. Its heads are trained as a whole.

Source: LoRA (Hu et al. 2022); peft (Mangrulkar et al. 2022).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from iglue_plugins.models.tied_weights import tied_names
from iglue_plugins.recipes.adapter import AdapterSettings
from iglue_plugins.utils.errors import UserError, did_you_mean

ADAPTER = "default"  # peft's name of an adapter that has none
MATRICES = (f".lora_A.{ADAPTER}.", f".lora_B.{ADAPTER}.")
SHOWN = 8  # of the names of layers in an error


def is_adapted(module: nn.Module) -> bool:
    """Tell whether a module is a model with an adapter."""
    return "peft_config" in vars(module)


def is_of_adapter(name: str) -> bool:
    """Tell whether a parameter's name is that of a matrix of an adapter."""
    return any(part in name for part in MATRICES)


def frozen_names(module: nn.Module) -> set[str]:
    """Find the weights that adapters have frozen, which stay what the model was loaded with.

    Args:
        module: A model, or a module that holds one.

    Returns:
        The names of the parameters, with all names of tied ones; none for a model without an adapter, whatever of it is
        trained.
    """
    return {
        f"{prefix}.{name}" if prefix else name
        for prefix, part in module.named_modules()
        if is_adapted(part)
        for name, parameter in part.named_parameters(remove_duplicate=False)
        if not parameter.requires_grad
    }


def stored_weights(module: nn.Module) -> dict[str, Tensor]:
    """Return what a file of a module's weights holds: its state without what adapters have frozen.

    Args:
        module: The module.

    Returns:
        Contiguous tensors by name, tied weights under their first name only, none of which shares memory with another,
        as safetensors asks for.
    """
    left_out = tied_names(module).keys() | frozen_names(module)
    return {name: value.contiguous() for name, value in module.state_dict().items() if name not in left_out}


def head_parameters(model: PreTrainedModel) -> list[str]:
    """List the parameters of a model's heads.

    A model's class names its heads, modules or parameters, by the attribute `head_modules`; otherwise the heads are
    what is outside of the part that `base_model_prefix` names.

    Args:
        model: The model.

    Returns:
        The names; empty if the model tells by neither.
    """
    names = [name for name, _ in model.named_parameters()]
    heads: Sequence[str] | None = getattr(model, "head_modules", None)
    if heads is not None:
        return list(_below(names, heads))
    encoder = set(_below(names, [model.base_model_prefix]))
    return [name for name in names if name not in encoder] if encoder else []


def add_adapter(model: PreTrainedModel, settings: AdapterSettings) -> None:
    """Put low-rank matrices into a model, and freeze all other weights but those of the heads.

    The model computes what it did before, since one of two matrices begins as 0. A head that the model gets later is
    trained.

    Args:
        model: The model, which is changed in place. Its matrices are drawn by PyTorch's generator.
        settings: The settings of the adapter.

    Raises:
        UserError: The model does not tell its heads, or a setting names no layer or module of it.
    """
    from peft import LoraConfig, inject_adapter_in_model  # a second of imports that most runs do without

    names = [name for name, _ in model.named_parameters()]
    heads = head_parameters(model)
    if not heads and getattr(model, "head_modules", None) is None:
        raise UserError(
            f"model.adapter: a {type(model).__name__} does not tell which of its modules are heads, which are trained "
            "beside the adapter; set head_modules = ('head', ...) in its class"
        )
    for module in settings.modules_to_save:
        if not any(_below(names, [module])):
            modules = {parent for name in names for parent in _parents(name)}
            raise UserError(
                f"model.adapter.modules_to_save: a {type(model).__name__} has no module or parameter '{module}'"
                f"{_nearest(module, modules)}"
            )
    whole = {*heads, *_below(names, settings.modules_to_save)}
    trained = {name for name, parameter in model.named_parameters() if name in whole and parameter.requires_grad}
    config = LoraConfig(
        r=settings.r,
        lora_alpha=settings.alpha,  # type: ignore[arg-type]  # peft computes with any number
        use_rslora=settings.rslora,
        lora_dropout=settings.dropout,
        target_modules=_targets(model, settings.target_modules, whole),
    )
    inject_adapter_in_model(config, model, ADAPTER)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name in trained or is_of_adapter(name))
    model.train(model.training)  # new modules are in training mode


def weights_hash(model: PreTrainedModel) -> str:
    """Hash the weights that a model's adapter has frozen.

    Args:
        model: A model with an adapter.

    Returns:
        SHA-256 as 64 hexadecimal digits, of names, types, shapes and values.
    """
    digest, state = hashlib.sha256(), model.state_dict()
    for name in sorted(frozen_names(model)):
        value = state[name].detach().contiguous().cpu()
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        digest.update(value.flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _targets(model: PreTrainedModel, chosen: str | list[str], whole: set[str]) -> list[str]:
    """Find the layers that get matrices: linear ones whose weights are neither in `whole` nor tied.

    Subclasses of nn.Linear are left out, such as that of nn.MultiheadAttention, whose weights are used without a call.
    """
    tied = tied_names(model)
    left_out = {*whole, *tied, *tied.values()}
    layers = [
        name for name, module in model.named_modules() if type(module) is nn.Linear and f"{name}.weight" not in left_out
    ]
    if chosen == "all-linear":
        if not layers:
            raise UserError(f"model.adapter: a {type(model).__name__} has no linear layer outside its heads")
        return layers
    for target in chosen:
        if not any(_matches(name, target) for name in layers):
            kinds = dict.fromkeys(_kind(name) for name in layers)
            raise UserError(
                f"model.adapter.target_modules: no linear layer of the {type(model).__name__} outside its heads is "
                f"named '{target}' or ends in '.{target}'; name some of {', '.join(list(kinds)[:SHOWN])}"
                f"{', ...' if len(kinds) > SHOWN else ''}, or set it to all-linear"
            )
    return [name for name in layers if any(_matches(name, target) for target in chosen)]


def _matches(name: str, target: str) -> bool:
    return name == target or name.endswith(f".{target}")


def _kind(name: str) -> str:
    """Return the end of a layer's name that its counterparts in other blocks have too: what follows the last number."""
    parts = name.split(".")
    numbers = [place for place, part in enumerate(parts[:-1]) if part.isdigit()]
    return ".".join(parts[numbers[-1] + 1 :]) if numbers else name


def _below(names: Iterable[str], modules: Sequence[str]) -> Iterator[str]:
    """Yield the parameters that have one of the names, or belong to a module of one of the names."""
    yield from (name for name in names if any(name == module or name.startswith(f"{module}.") for module in modules))


def _parents(name: str) -> list[str]:
    """List the modules that a parameter is in, outermost first."""
    parts = name.split(".")
    return [".".join(parts[:count]) for count in range(1, len(parts))]


def _nearest(module: str, modules: Iterable[str]) -> str:
    """Suggest a module, but list none if none is close, since a model has hundreds."""
    hint = did_you_mean(module, modules)
    return hint if hint.startswith("; did you mean") else "; give the full name of a module"
