from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from pair_embeddings import TEXT_KEYS, embed_pairs
from safetensors.torch import load_file
from torch import Tensor
from torch.func import functional_call
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import cross_entropy
from transformers import AutoConfig, AutoModel

from iglue_plugins.meta.gradients import Parameters
from iglue_plugins.meta.inner_loop import InnerLoop
from iglue_plugins.models.configuration import FORMER_HEADS
from iglue_plugins.models.uniter import (
    MODELS,
    REGION_KEYS,
    UniterForVisionAndLanguage,
    XUniterForVisionAndLanguage,
    join_images,
)

MakeModel = Callable[..., UniterForVisionAndLanguage]
MakeBatch = Callable[[UniterForVisionAndLanguage], dict[str, Tensor]]


@pytest.mark.parametrize("kind", MODELS)
def test_initial_weights(kind: str, sizes: dict[str, int | float]) -> None:
    torch.manual_seed(0)
    cls = MODELS[kind]
    model = cls(cls.config_class(head="vqa", num_labels=5, **sizes))
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            assert not parameter.any(), name
        elif "norm" in name or name == "head.2.weight":
            assert torch.equal(parameter, torch.ones_like(parameter)), name
        else:
            assert 0.1 < parameter.std() < 0.3, name
    words = model.get_input_embeddings().weight
    assert [bool(row.any()) for row in words[:3]] == [number != model.config.pad_token_id for number in range(3)]


@pytest.mark.parametrize("auto", [True, False])
def test_save_and_load(member: UniterForVisionAndLanguage, make_batch: MakeBatch, tmp_path: Path, auto: bool) -> None:
    batch = make_batch(member)
    member.save_pretrained(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"config.json", "model.safetensors"}
    loaded = (AutoModel if auto else type(member)).from_pretrained(tmp_path)
    assert type(loaded) is type(member)
    assert type(AutoConfig.from_pretrained(tmp_path)) is type(member.config)
    assert (loaded.config.head, loaded.config.num_labels) == ("classifier", 3)
    torch.testing.assert_close(loaded(**batch), member(**batch), rtol=0, atol=0)


def test_a_checkpoint_may_lack_keys_that_its_model_type_implies(
    model: UniterForVisionAndLanguage, batch: dict[str, Tensor], tmp_path: Path
) -> None:
    """Checkpoints that were saved before the family had other members lack these keys."""
    model.save_pretrained(tmp_path)
    config = model.config.to_dict()
    for name in ("position_ids", "shared_type_embeddings", "global_region", "fusion"):
        del config[name]
    config = AutoConfig.for_model(**config)
    loaded = XUniterForVisionAndLanguage.from_pretrained(tmp_path, config=config)
    torch.testing.assert_close(loaded(**batch), model(**batch), rtol=0, atol=0)


@pytest.mark.parametrize(("former", "num_labels"), [("answers", 5), ("paired", 2), ("matching", 1)])
def test_a_checkpoint_of_an_earlier_version_predicts_the_same(
    make_model: MakeModel, make_batch: MakeBatch, tmp_path: Path, former: str, num_labels: int
) -> None:
    """Earlier versions had other names for three heads; config.json is edited to hold them."""
    model = make_model(head=FORMER_HEADS[former], num_labels=num_labels)
    model.save_pretrained(tmp_path)
    stored = json.loads((tmp_path / "config.json").read_text())
    assert stored["head"] == FORMER_HEADS[former]
    (tmp_path / "config.json").write_text(json.dumps(stored | {"head": former}))
    loaded = XUniterForVisionAndLanguage.from_pretrained(tmp_path)
    assert loaded.config.head == FORMER_HEADS[former]
    batch = make_batch(model)
    torch.testing.assert_close(loaded(**batch), model(**batch), rtol=0, atol=0)
    head = loaded.head
    loaded.set_head(FORMER_HEADS[former], num_labels)
    assert loaded.head is head, "a task with such a head keeps the loaded one"


def test_each_weight_is_stored_once(member: UniterForVisionAndLanguage, tmp_path: Path) -> None:
    member.save_pretrained(tmp_path)
    stored = load_file(tmp_path / "model.safetensors")
    assert set(stored) == {name for name, _ in member.named_parameters()}
    assert sum(value.numel() for value in stored.values()) == member.num_parameters()


def test_embeddings_have_norm_one(member: UniterForVisionAndLanguage, make_batch: MakeBatch) -> None:
    batch = make_batch(member)
    for embeddings in (*embed_pairs(member, batch), *embed_pairs(member, batch, joint=True)):
        assert embeddings.shape == (6, 8)
        torch.testing.assert_close(embeddings.norm(dim=-1), torch.ones(6))


def test_neighboring_images_are_read_as_one_sequence_of_regions(
    member: UniterForVisionAndLanguage, make_batch: MakeBatch
) -> None:
    """Three texts with two images each; padding in the middle of the joined sequence stays masked."""
    batch = make_batch(member)
    text, image = {key: batch[key][:3] for key in TEXT_KEYS}, {key: batch[key] for key in REGION_KEYS}
    joined = {key: torch.stack([torch.cat([*value[i : i + 2]]) for i in (0, 2, 4)]) for key, value in image.items()}
    for key, value in zip(REGION_KEYS, join_images([*image.values()], 2), strict=True):
        assert torch.equal(value, joined[key]), key
    assert joined["region_mask"].tolist()[0] == [1, 1, 1, 1, 1, 1, 1, 0, 0, 0]
    pairs = member.embed_image(**image, images_per_text=2)
    assert torch.equal(pairs, member.embed_image(**joined))
    for i in range(3):
        real = {key: value[i : i + 1, joined["region_mask"][i] == 1] for key, value in joined.items()}
        torch.testing.assert_close(member.embed_image(**real), pairs[i : i + 1], atol=1e-5, rtol=1e-5)
    both = member.embed_joint(text, image, images_per_text=2)
    for found, expected in zip(both, member.embed_joint(text, joined), strict=True):
        assert torch.equal(found, expected)
    assert (both[1] - pairs).abs().max() > 1e-4, "in a joint pass an image sees its text"


def test_functional_call_equals_the_module(member: UniterForVisionAndLanguage, make_batch: MakeBatch) -> None:
    batch = make_batch(member)
    parameters = {name: value.detach().clone() for name, value in member.named_parameters()}
    expected = member(**batch)
    with torch.no_grad():
        for parameter in member.parameters():
            parameter.zero_()
    torch.testing.assert_close(functional_call(member, parameters, kwargs=batch), expected, rtol=0, atol=0)


def test_hessian_vector_product_equals_finite_differences(
    member: UniterForVisionAndLanguage, make_batch: MakeBatch, labels: Tensor
) -> None:
    """Compare in float64 under the math kernel, for the task loss plus the contrastive loss of separate passes."""
    member.double()
    batch = {name: value.double() if value.is_floating_point() else value for name, value in make_batch(member).items()}
    parameters = list(member.parameters())
    draw = torch.Generator().manual_seed(2)
    direction = [torch.randn(value.shape, dtype=value.dtype, generator=draw) for value in parameters]

    def gradient(create_graph: bool = False) -> tuple[Tensor, ...]:
        text, image = embed_pairs(member, batch)
        loss = cross_entropy(member(**batch), labels) + cross_entropy(text @ image.T / 0.1, torch.arange(6))
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


def test_gradient_checkpointing_changes_nothing(
    model: UniterForVisionAndLanguage, batch: dict[str, Tensor], labels: Tensor
) -> None:
    model.train()
    parameters, calls = list(model.encoder.layers.parameters()), []
    model.encoder.layers[0].intermediate.register_forward_hook(lambda *_: calls.append(1))
    expected = torch.autograd.grad(cross_entropy(model(**batch), labels), parameters)
    assert len(calls) == 1
    model.activation_checkpointing_enable()
    found = torch.autograd.grad(cross_entropy(model(**batch), labels), parameters)
    torch.testing.assert_close(found, expected)
    assert len(calls) == 1 + 2  # once again in the backward pass
    model.eval()(**batch)
    assert len(calls) == 1 + 2 + 1


def meta_gradient(
    model: UniterForVisionAndLanguage, batch: dict[str, Tensor], labels: Tensor, second_order: bool
) -> dict[str, Tensor | None]:
    """Compute the meta-gradient of the task loss after two contrastive inner steps."""
    parameters = {name: value.detach() for name, value in model.named_parameters()}

    def embed(model: UniterForVisionAndLanguage) -> Tensor:
        text, image = embed_pairs(model, batch)
        return cross_entropy(text @ image.T / 0.1, torch.arange(6))

    def inner_loss(at: Parameters) -> Tensor:
        return functional_call(Loss(model, embed), {f"model.{name}": value for name, value in at.items()}, ())

    torch.manual_seed(0)
    loop = InnerLoop(inner_loss, [dict.fromkeys(parameters, 0.1)] * 2, second_order=second_order)
    adapted = {name: value.detach().requires_grad_() for name, value in loop.adapt(parameters).items()}
    loss = cross_entropy(functional_call(model, adapted, kwargs=batch), labels)
    gradients = torch.autograd.grad(loss, list(adapted.values()), allow_unused=True)
    return loop.backpropagate(dict(zip(adapted, gradients, strict=True)))[0]


class Loss(torch.nn.Module):
    """A loss of a model as a module, for functional_call."""

    def __init__(self, model: UniterForVisionAndLanguage, loss: Callable[[UniterForVisionAndLanguage], Tensor]) -> None:
        super().__init__()
        self.model, self.loss = model, loss

    def forward(self) -> Tensor:
        return self.loss(self.model)


@pytest.mark.parametrize("second_order", [False, True])
@pytest.mark.parametrize(("kind", "dropout"), [("xuniter", 0.2), ("xuniter", 0.0), ("uc2", 0.2)])
def test_gradient_checkpointing_changes_no_meta_gradient(
    make_model: MakeModel, make_batch: MakeBatch, labels: Tensor, kind: str, dropout: float, second_order: bool
) -> None:
    """A layer is recomputed with the adapted parameters, dropout and attention kernel of its forward pass."""
    model = make_model(kind, hidden_dropout_prob=dropout, attention_probs_dropout_prob=dropout).train()
    batch, calls = make_batch(model), []
    model.encoder.layers[0].intermediate.register_forward_hook(lambda *_: calls.append(1))
    expected = meta_gradient(model, batch, labels, second_order)
    without = len(calls)
    model.activation_checkpointing_enable()
    found = meta_gradient(model, batch, labels, second_order)
    assert len(calls) - without > without, "layers are recomputed"
    assert {name for name, value in found.items() if value is not None} == {
        name for name, value in expected.items() if value is not None
    }
    for name, value in expected.items():
        if value is not None:
            torch.testing.assert_close(found[name], value, rtol=1e-5, atol=1e-6, msg=name)
    assert expected["encoder.layers.0.query_key_value.weight"].abs().max() > 1e-3


def test_first_and_second_order_differ(make_model: MakeModel, make_batch: MakeBatch, labels: Tensor) -> None:
    model = make_model().train()
    first, second = (meta_gradient(model, make_batch(model), labels, order) for order in (False, True))
    name = "encoder.layers.0.query_key_value.weight"
    assert (first[name] - second[name]).abs().max() > 1e-3


def test_dropout_acts_in_training_only(make_model: MakeModel, make_batch: MakeBatch) -> None:
    model = make_model(hidden_dropout_prob=0.3, attention_probs_dropout_prob=0.3)
    batch = make_batch(model)
    torch.testing.assert_close(model(**batch), model(**batch), rtol=0, atol=0)
    model.train()
    assert (model(**batch) - model(**batch)).abs().max() > 1e-4
