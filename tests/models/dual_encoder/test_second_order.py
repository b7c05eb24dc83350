"""Gradients of gradients of all architectures, as second-order MAML takes them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from loaded_dual_encoders import Loaded, Tiny, load
from torch import Tensor
from torch.func import functional_call

from iglue_plugins.meta.double_backward import attention_for

STEP = 1e-3


def losses(loaded: Loaded) -> Callable[[dict[str, Tensor]], Tensor]:
    """A loss of logits and of embeddings together, as a function of the parameters."""
    inputs = loaded.inputs().map(lambda value: value.double() if value.is_floating_point() else value)
    text = {key: inputs[key] for key in ("input_ids", "attention_mask", "text_rows") if key in inputs}
    image = {key: inputs[key] for key in inputs if key not in text}

    class Both(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = loaded.model.double()

        def forward(self) -> Tensor:
            model = self.model
            logits = model(**inputs)
            embedded_text, embedded_image = model.embed_text(**text), model.embed_image(**image, images_per_text=1)
            scale = model.similarity_scale().scale
            contrast = (embedded_text @ embedded_image.T * scale).logsumexp(-1).mean()
            return torch.nn.functional.cross_entropy(logits, torch.tensor([0, 1, 2, 0])) + contrast

    module = Both()
    return lambda parameters: functional_call(module, {f"model.{name}": value for name, value in parameters.items()})


def gradient(loss: Callable, parameters: dict[str, Tensor], create_graph: bool = False) -> dict[str, Tensor]:
    with attention_for(second_order=True):
        found = torch.autograd.grad(
            loss(parameters), list(parameters.values()), create_graph=create_graph, materialize_grads=True
        )
    return dict(zip(parameters, found, strict=True))


def hessian_product(loss: Callable, parameters: dict[str, Tensor], direction: dict[str, Tensor]) -> dict[str, Tensor]:
    found = gradient(loss, parameters, create_graph=True)
    product = sum((found[name] * direction[name]).sum() for name in found)
    taken = torch.autograd.grad(product, list(parameters.values()), materialize_grads=True)
    return dict(zip(parameters, taken, strict=True))


@pytest.mark.parametrize("fusion", ["concat", "cross_attention"])
def test_gradients_of_gradients_are_right(encoder: Tiny, fusion: str) -> None:
    loaded = load(encoder.folder, fusion=fusion)
    loaded.model.set_head("classifier", 3)
    loss = losses(loaded)
    start = {name: value.detach().requires_grad_() for name, value in loaded.model.named_parameters()}
    # transformers resizes the positions of NaFlex patches in float32, whose rounding finite differences would magnify.
    rounded = {name for name in start if encoder.name == "siglip2" and "vision_model.embeddings.position" in name}
    direction = {name: torch.randn_like(value) * (name not in rounded) for name, value in start.items()}
    norm = sum(value.square().sum() for value in direction.values()).sqrt()
    direction = {name: value / norm for name, value in direction.items()}
    product = hessian_product(loss, start, direction)
    size = max(value.abs().max().item() for value in product.values())
    gradients = {
        step: gradient(
            loss, {name: (value + step * direction[name]).detach().requires_grad_() for name, value in start.items()}
        )
        for step in (-2 * STEP, -STEP, STEP, 2 * STEP)
    }
    for name in start.keys() - rounded:
        far, near = (gradients[k * STEP][name] - gradients[-k * STEP][name] for k in (2, 1))
        expected = (8 * near - far) / (12 * STEP)  # its error shrinks with STEP to the fourth
        torch.testing.assert_close(
            product[name], expected, rtol=1e-8, atol=1e-8 * size, msg=lambda text, name=name: f"{name}: {text}"
        )


def test_eager_attention_gives_the_same(encoder: Tiny) -> None:
    products = []
    for attention in ("sdpa", "eager"):
        torch.manual_seed(0)
        loaded = load(encoder.folder)
        loaded.model.set_head("classifier", 3)
        loaded.model.set_attn_implementation(attention)
        start = {name: value.detach().double().requires_grad_() for name, value in loaded.model.named_parameters()}
        direction = {name: torch.ones_like(value) for name, value in start.items()}
        products.append(hessian_product(losses(loaded), start, direction))
    # The eager attention of transformers takes its softmax in float32.
    for name, product in products[0].items():
        torch.testing.assert_close(
            product, products[1][name], rtol=1e-5, atol=1e-5, msg=lambda text, name=name: f"{name}: {text}"
        )
