"""Adapters of dual encoders: every matrix has an effect, and files bring the very same model back."""

from __future__ import annotations

from pathlib import Path

import torch
from loaded_dual_encoders import Loaded, Tiny, load

from iglue_plugins.models.adapter_files import Base, Head, Origin, load_adapter, read_origin, save_adapter, set_origin
from iglue_plugins.models.adapters import add_adapter, is_of_adapter
from iglue_plugins.recipes.adapter import AdapterSettings

SETTINGS = AdapterSettings(type="lora", r=2)


def test_every_matrix_and_head_is_reached(loaded: Loaded) -> None:
    """Text and image vectors, logits and the scale together reach each matrix, so that none stands beside a layer whose
    weights are used without a call."""
    model, inputs = loaded.model, loaded.inputs()
    model.set_head("classifier", 3)
    expected = model(**inputs)
    add_adapter(model, SETTINGS)
    torch.testing.assert_close(model(**inputs), expected, rtol=1e-5, atol=1e-6)
    with torch.no_grad():
        for name, value in model.named_parameters():
            if is_of_adapter(name):
                value.normal_(std=0.3)
    (model(**inputs).square().sum() + model.similarity_scale().scale).backward()
    trained = {name: value for name, value in model.named_parameters() if value.requires_grad}
    unreached = {name for name, value in trained.items() if value.grad is None or not value.grad.any()}
    assert unreached <= {"encoder.logit_bias"}
    assert "encoder.logit_scale" in trained and sum(map(is_of_adapter, trained)) >= 16
    assert all(value.grad is None for name, value in model.named_parameters() if name not in trained)


def test_files(encoder: Tiny, loaded: Loaded, tmp_path: Path) -> None:
    model, inputs = loaded.model, loaded.inputs()
    model.set_head("classifier", 3)
    add_adapter(model, SETTINGS)
    with torch.no_grad():
        for value in model.parameters():
            if value.requires_grad:
                value.normal_(std=0.3)
    set_origin(model, Origin(SETTINGS, Base({"checkpoint": str(encoder.folder)}, 0, {"files": "1"})))
    save_adapter(model, tmp_path, Head("classifier", 3))
    again = load(encoder.folder).model
    load_adapter(again, tmp_path, read_origin(tmp_path))
    assert torch.equal(again(**inputs), model(**inputs))
    assert torch.equal(again.similarity_scale().scale, model.similarity_scale().scale)
