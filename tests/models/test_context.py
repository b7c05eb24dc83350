"""A context of every UNITER: what it computes, learns and leaves alone, and in files."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from iglue_plugins.models.context import Context, find_context
from iglue_plugins.models.plugin import XUniter
from iglue_plugins.models.settings import UniterSettings
from iglue_plugins.models.uniter import MODELS, UniterForVisionAndLanguage
from iglue_plugins.utils.errors import UserError

MakeModel = Callable[..., UniterForVisionAndLanguage]
Member = UniterForVisionAndLanguage
VALUES, WEIGHT = "encoder.text_embeddings.context.values", "encoder.text_embeddings.context.weight"


def context_of(model: Member) -> Context:
    found = find_context(model)
    assert found is not None
    return found[1]


def text_of(batch: dict[str, Tensor]) -> dict[str, Tensor]:
    return {key: batch[key] for key in ("input_ids", "attention_mask")}


@torch.no_grad()
def test_a_context_at_zero_changes_no_bit(member: Member, make_batch: Callable) -> None:
    batch = make_batch(member)
    logits, text = member(**batch), member.embed_text(**text_of(batch))
    member.set_context(5)
    assert member(**batch).equal(logits) and member.embed_text(**text_of(batch)).equal(text)
    assert not context_of(member).values.any() and context_of(member).weight.std() > 0.1


@torch.no_grad()
def test_a_context_shifts_the_embedding_of_every_word(member: Member, make_batch: Callable) -> None:
    batch, plain = make_batch(member), copy.deepcopy(member)
    member.set_context(5)
    context = context_of(member)
    context.values.normal_()
    plain.encoder.text_embeddings.word_embeddings.weight += context.weight @ context.values
    assert (member(**batch) - logits_without_context(member, batch)).abs().max() > 1e-3
    torch.testing.assert_close(member(**batch), plain(**batch))
    torch.testing.assert_close(member.embed_text(**text_of(batch)), plain.embed_text(**text_of(batch)))
    regions = {key: value for key, value in batch.items() if key.startswith("region")}
    assert member.embed_image(**regions).equal(plain.embed_image(**regions))


def logits_without_context(member: Member, batch: dict[str, Tensor]) -> Tensor:
    without = copy.deepcopy(member)
    without.set_context(0)
    assert find_context(without) is None and without.config.context_size == 0
    return without(**batch)


def test_the_matrix_has_gradients_only_where_the_context_has(model: Member, batch: dict[str, Tensor]) -> None:
    """Otherwise weight decay would change it in trainings that have no use for it."""
    model.set_context(5)
    context = context_of(model)
    context.values.fill_(0.3)
    model(**batch).sum().backward()
    assert context.weight.grad is None and model.encoder.text_embeddings.norm.weight.grad is not None
    context.values.requires_grad_()
    model(**batch).sum().backward()
    assert context.weight.grad.any() and context.values.grad.any()


def test_a_new_context_follows_the_model_and_one_that_fits_stays(model: Member) -> None:
    model.double().train()
    torch.manual_seed(4)
    model.set_context(5)
    context = context_of(model)
    assert context.weight.shape == (16, 5) and context.weight.dtype == torch.float64 and context.training
    assert [name for name, _ in model.named_buffers() if name.endswith("values")] == [VALUES]
    model.set_context(5)
    assert context_of(model) is context
    model.set_context(6)
    assert context_of(model).values.shape == (6,) and model.config.context_size == 6


@pytest.mark.parametrize("kind", MODELS)
def test_a_saved_model_brings_its_context(
    kind: str, make_model: MakeModel, make_batch: Callable, tmp_path: Path
) -> None:
    model = make_model(kind)
    without = tmp_path / "without"
    model.save_pretrained(without)
    model.set_context(5)
    context_of(model).values.normal_()  # not stored: a context starts at zero
    model.save_pretrained(tmp_path / "model")
    loaded = type(model).from_pretrained(tmp_path / "model")
    assert context_of(loaded).weight.equal(context_of(model).weight)
    assert context_of(loaded).values.equal(torch.zeros(5))
    batch = make_batch(model)
    assert loaded.eval()(**batch).equal(type(model).from_pretrained(without).eval()(**batch))


def test_a_context_is_no_key_of_a_recipes_configuration(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="model.config: unknown key 'context_size'"):
        XUniter(UniterSettings(config={"context_size": 3}, tokenizer=str(tmp_path))).load()


@pytest.mark.parametrize("size", [-1, 1.5, True, "8"])
def test_a_damaged_size_is_refused(make_model: MakeModel, size: object) -> None:
    with pytest.raises(ValueError, match="context_size is .*; expected a whole number of at least 0"):
        make_model(context_size=size)


def test_a_fresh_model_draws_its_context_by_the_seed(make_model: MakeModel) -> None:
    weights = [make_model(context_size=4).get_parameter(WEIGHT) for _ in range(2)]
    assert weights[0].equal(weights[1]) and 0.1 < weights[0].std() < 0.3  # initializer_range is 0.2
