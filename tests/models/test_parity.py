"""Agreement with the reference implementation on tiny models: weights, inputs, outputs and gradients of VOLTA.

The models beside this file (parity/README.md) are always there; larger ones in a shared folder are read where it is.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional as F

from iglue_plugins.models.uniter import UniterForVisionAndLanguage
from iglue_plugins.models.volta.heads import NO_HEAD
from iglue_plugins.models.volta.reading import from_volta

SHIPPED = Path(__file__).parent / "parity"
SHARED = Path(__file__).parents[2].parent / "shared" / "parity"
MODELS = ("xuniter", "uc2", "muniter")
HEADS = {"TASK19": "classifier", "TASK15": "vqa", "TASK12": "image_pair", "TASK8": "image_text_matching"}
INPUTS = ("input_ids", "attention_mask", "region_features", "region_locations", "region_mask")
TOLERANCE = {"atol": 1e-5, "rtol": 1e-5}

needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason=f"no reference weights and outputs in {SHARED}")
REFERENCES = [
    *(pytest.param(SHIPPED / model, id=f"shipped-{model}") for model in MODELS),
    *(pytest.param(SHARED / model, id=f"shared-{model}", marks=needs_shared) for model in MODELS),
]


@pytest.fixture(scope="module", params=REFERENCES)
def reference(request: pytest.FixtureRequest) -> Path:
    return request.param


@pytest.fixture(scope="module")
def expected(reference: Path) -> dict[str, Tensor]:
    return load_file(reference / "expected.safetensors")


def read(reference: Path, task: str) -> UniterForVisionAndLanguage:
    return from_volta(reference / "config.json", reference / "pytorch_model.bin", task)


def test_encoder_outputs(reference: Path, expected: dict[str, Tensor]) -> None:
    model = read(reference, NO_HEAD)
    assert model.config.model_type == reference.name and model.head is None
    inputs = {name: expected[name] for name in INPUTS}
    full, pooled = model.encoder(**inputs), model.encoder(**inputs, last_layer="pooled")
    for name in ("text_hidden", "region_hidden", "text_pooled", "region_pooled"):
        if name in expected:
            torch.testing.assert_close(full[name], expected[name], **TOLERANCE)
            if name.endswith("pooled"):
                torch.testing.assert_close(pooled[name], expected[name], **TOLERANCE)
    assert ("region_pooled" in expected) == (model.config.fusion == "mul")


@pytest.mark.parametrize("task", HEADS)
def test_logits(reference: Path, expected: dict[str, Tensor], task: str) -> None:
    model = read(reference, task)
    assert model.config.head == HEADS[task]
    logits = model(**{name: expected[name] for name in INPUTS})
    torch.testing.assert_close(logits, expected[f"logits.{task}"], **TOLERANCE)


def test_loss_and_gradients(reference: Path, expected: dict[str, Tensor]) -> None:
    model = read(reference, "TASK19")
    targets = F.one_hot(expected["labels.TASK19"], 3).float()
    loss = F.binary_cross_entropy_with_logits(model(**{name: expected[name] for name in INPUTS}), targets)
    loss.backward()
    torch.testing.assert_close(loss.reshape(1), expected["loss.TASK19"], **TOLERANCE)
    words = model.encoder.text_embeddings.word_embeddings.weight.grad
    images = model.encoder.region_embeddings.image_embeddings.weight.grad
    torch.testing.assert_close(words, expected["grad.word_embeddings"], **TOLERANCE)
    torch.testing.assert_close(images, expected["grad.image_embeddings"], **TOLERANCE)
