"""A context of every dual encoder, which enters through the embeddings of its text tower."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path

import torch
from loaded_dual_encoders import Loaded, Tiny, load

from iglue_plugins.models.context import find_context
from iglue_plugins.models.dual_encoder.model import DualEncoder


@torch.no_grad()
def test_a_context_shifts_the_embedding_of_every_word(loaded: Loaded) -> None:
    model, inputs = loaded.model, loaded.inputs()
    model.set_head("classifier", 3)
    expected = model(**inputs)
    model.set_context(5)
    name, context = find_context(model)
    assert name == "context.values" and context.weight.std() > 0.01
    assert model(**inputs).equal(expected)
    context.values.fill_(20.0)
    shifted, copied, plain = model(**inputs), copy.deepcopy(model), copy.deepcopy(model)
    assert (shifted - expected).abs().max() > 1e-4
    plain.set_context(0)
    plain.get_input_embeddings().weight += (context.weight * context.values).sum(-1)
    torch.testing.assert_close(plain(**inputs), shifted, rtol=1e-4, atol=1e-5)
    context.values.zero_()
    assert copied(**inputs).equal(shifted) and model(**inputs).equal(expected)  # a copy has a context of its own


def test_a_saved_model_brings_its_context(make: Callable[[str], Tiny], tmp_path: Path) -> None:
    loaded = load(make("siglip").folder)
    loaded.model.set_head("classifier", 3)
    loaded.model.set_context(5)
    loaded.model.save_pretrained(tmp_path)
    loaded.processor.save_pretrained(tmp_path)
    again = load(tmp_path).model
    assert isinstance(again, DualEncoder) and again.context.weight.equal(loaded.model.context.weight)
    assert again.context.values.equal(torch.zeros(5))
    assert again(**loaded.inputs()).equal(loaded.model(**loaded.inputs()))
