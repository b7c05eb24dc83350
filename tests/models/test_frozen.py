"""Weights that a recipe freezes."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from iglue_plugins.models.frozen import freeze
from iglue_plugins.models.uniter import UniterForVisionAndLanguage
from iglue_plugins.utils.errors import UserError


@pytest.mark.parametrize(
    ("pattern", "frozen"),
    [
        ("encoder.text_embeddings", "encoder.text_embeddings."),
        ("encoder.text_embeddings.word_embeddings.weight", "encoder.text_embeddings.word_embeddings.weight"),
        ("encoder.layers.[0-1]", ("encoder.layers.0.", "encoder.layers.1.")),
        ("encoder.layers.*.bias", None),
    ],
)
def test_modules_parameters_and_patterns(
    model: UniterForVisionAndLanguage, pattern: str, frozen: str | tuple[str, ...] | None
) -> None:
    freeze(model, [pattern])
    found = {name for name, parameter in model.named_parameters() if not parameter.requires_grad}
    expected = {
        name
        for name, _ in model.named_parameters()
        if (name.startswith(frozen) if frozen else name.startswith("encoder.layers.") and name.endswith("bias"))
    }
    assert found == expected and found


def test_a_layer_is_not_taken_for_one_whose_number_begins_alike(make_model: Callable) -> None:
    model = make_model(num_hidden_layers=11)
    freeze(model, ["encoder.layers.1"])
    assert model.encoder.layers[10].output.weight.requires_grad
    assert not model.encoder.layers[1].output.weight.requires_grad


def test_a_name_that_is_not_there(model: UniterForVisionAndLanguage) -> None:
    with pytest.raises(UserError, match=r"model.freeze: 'encoder.layer.0' is no module or parameter of a XUniter"):
        freeze(model, ["encoder.layer.0"])
