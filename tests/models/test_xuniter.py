from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.func import functional_call
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import cross_entropy
from transformers import AutoConfig, AutoModel

from iglue_plugins.models import XUniterConfig, XUniterForVisionAndLanguage, XUniterModel


def test_initial_weights(sizes: dict[str, int | float]) -> None:
    torch.manual_seed(0)
    model = XUniterForVisionAndLanguage(XUniterConfig(head="answers", num_labels=5, **sizes, type_vocab_size=1))
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            assert not parameter.any(), name
        elif "norm" in name or name == "head.2.weight":
            assert torch.equal(parameter, torch.ones_like(parameter)), name
        else:
            assert 0.1 < parameter.std() < 0.3, name
    words = model.get_input_embeddings().weight
    assert not words[1].any() and words[0].any() and words[2].any()


@pytest.mark.parametrize("auto", [True, False])
def test_save_and_load(
    model: XUniterForVisionAndLanguage, batch: dict[str, Tensor], tmp_path: Path, auto: bool
) -> None:
    model.save_pretrained(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"config.json", "model.safetensors"}
    loaded = (AutoModel if auto else XUniterForVisionAndLanguage).from_pretrained(tmp_path)
    assert isinstance(loaded, XUniterForVisionAndLanguage)
    assert isinstance(AutoConfig.from_pretrained(tmp_path), XUniterConfig)
    assert (loaded.config.head, loaded.config.num_labels) == ("classifier", 3)
    torch.testing.assert_close(loaded(**batch), model(**batch), rtol=0, atol=0)


def test_encoder_loads_from_the_whole_model(model: XUniterForVisionAndLanguage, tmp_path: Path) -> None:
    model.save_pretrained(tmp_path)
    encoder = XUniterModel.from_pretrained(tmp_path)
    for name, value in model.encoder.state_dict().items():
        assert torch.equal(encoder.state_dict()[name], value), name


def test_each_weight_is_stored_once(model: XUniterForVisionAndLanguage, tmp_path: Path) -> None:
    model.save_pretrained(tmp_path)
    stored = load_file(tmp_path / "model.safetensors")
    assert set(stored) == {name for name, _ in model.named_parameters()}
    assert sum(value.numel() for value in stored.values()) == model.num_parameters()


def test_embeddings_have_norm_one(model: XUniterForVisionAndLanguage, batch: dict[str, Tensor]) -> None:
    for embeddings in (*model.embed_pairs(**batch), *model.embed_pairs(**batch, joint=True)):
        assert embeddings.shape == (6, 8)
        torch.testing.assert_close(embeddings.norm(dim=-1), torch.ones(6))


def test_functional_call_equals_the_module(model: XUniterForVisionAndLanguage, batch: dict[str, Tensor]) -> None:
    parameters = {name: value.detach().clone() for name, value in model.named_parameters()}
    expected = model(**batch)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    torch.testing.assert_close(functional_call(model, parameters, kwargs=batch), expected, rtol=0, atol=0)


def test_hessian_vector_product_equals_finite_differences(
    model: XUniterForVisionAndLanguage, batch: dict[str, Tensor]
) -> None:
    """In float64 under the math kernel, through the task loss and through the contrastive loss of separate passes."""
    model.double()
    batch = {name: value.double() if value.is_floating_point() else value for name, value in batch.items()}
    parameters = list(model.parameters())
    draw = torch.Generator().manual_seed(2)
    direction = [torch.randn(value.shape, dtype=value.dtype, generator=draw) for value in parameters]

    def gradient(create_graph: bool = False) -> tuple[Tensor, ...]:
        text, image = model.embed_pairs(**batch)
        loss = cross_entropy(model(**batch), batch["labels"]) + cross_entropy(text @ image.T / 0.1, torch.arange(6))
        return torch.autograd.grad(loss, parameters, create_graph=create_graph)

    def gradient_at(step: float) -> tuple[Tensor, ...]:
        with torch.no_grad():
            torch._foreach_add_(parameters, direction, alpha=step)
        result = gradient()
        with torch.no_grad():
            torch._foreach_add_(parameters, direction, alpha=-step)
        return result

    with sdpa_kernel(SDPBackend.MATH):
        product = torch.autograd.grad(gradient(create_graph=True), parameters, direction)
        step = 1e-6
        for exact, above, below in zip(product, gradient_at(step), gradient_at(-step), strict=True):
            torch.testing.assert_close(exact, (above - below) / (2 * step), rtol=1e-4, atol=1e-5)
    assert sum(value.abs().sum() for value in product) > 1


def test_gradient_checkpointing_changes_nothing(model: XUniterForVisionAndLanguage, batch: dict[str, Tensor]) -> None:
    model.train()
    parameters, calls = list(model.encoder.layers.parameters()), []
    model.encoder.layers[0].intermediate.register_forward_hook(lambda *_: calls.append(1))
    expected = torch.autograd.grad(cross_entropy(model(**batch), batch["labels"]), parameters)
    assert len(calls) == 1
    model.activation_checkpointing_enable()
    found = torch.autograd.grad(cross_entropy(model(**batch), batch["labels"]), parameters)
    torch.testing.assert_close(found, expected)
    assert len(calls) == 1 + 2  # once again in the backward pass


def test_dropout_acts_in_training_only(sizes: dict[str, int | float], batch: dict[str, Tensor]) -> None:
    settings = sizes | {"hidden_dropout_prob": 0.3, "attention_probs_dropout_prob": 0.3}
    model = XUniterForVisionAndLanguage(XUniterConfig(head="classifier", num_labels=3, **settings)).eval()
    torch.testing.assert_close(model(**batch), model(**batch), rtol=0, atol=0)
    model.train()
    assert (model(**batch) - model(**batch)).abs().max() > 1e-4
