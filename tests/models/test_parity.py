"""Agreement with the reference implementation on a tiny xUNITER: weights, inputs, outputs and gradients of VOLTA."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional as F

from iglue_plugins.models.volta import from_volta
from iglue_plugins.models.xuniter import XUniterForVisionAndLanguage

PARITY = Path(__file__).parents[2].parent / "shared" / "parity" / "xuniter"
INPUTS = ("input_ids", "attention_mask", "region_features", "region_locations", "region_mask")
TOLERANCE = {"atol": 1e-5, "rtol": 1e-5}

pytestmark = pytest.mark.skipif(not PARITY.is_dir(), reason=f"no reference weights and outputs in {PARITY}")


@pytest.fixture(scope="module")
def expected() -> dict[str, Tensor]:
    return load_file(PARITY / "expected.safetensors")


def read(head: str | None) -> XUniterForVisionAndLanguage:
    return from_volta(PARITY / "config.json", PARITY / "pytorch_model.bin", head)


def test_encoder_outputs(expected: dict[str, Tensor]) -> None:
    output = read(None).encoder(**{name: expected[name] for name in INPUTS})
    for name in ("text_hidden", "region_hidden", "text_pooled", "region_pooled"):
        torch.testing.assert_close(output[name], expected[name], **TOLERANCE)


@pytest.mark.parametrize(
    ("task", "kind"), [("TASK19", "classifier"), ("TASK15", "answers"), ("TASK12", "paired"), ("TASK8", "matching")]
)
def test_logits(expected: dict[str, Tensor], task: str, kind: str) -> None:
    model = read(task)
    assert model.config.head == kind
    logits = model(**{name: expected[name] for name in INPUTS})
    torch.testing.assert_close(logits, expected[f"logits.{task}"], **TOLERANCE)


def test_loss_and_gradients(expected: dict[str, Tensor]) -> None:
    model = read("TASK19")
    targets = F.one_hot(expected["labels.TASK19"], 3).float()
    loss = F.binary_cross_entropy_with_logits(model(**{name: expected[name] for name in INPUTS}), targets)
    loss.backward()
    torch.testing.assert_close(loss.reshape(1), expected["loss.TASK19"], **TOLERANCE)
    words = model.encoder.text_embeddings.word_embeddings.weight.grad
    images = model.encoder.region_embeddings.image_embeddings.weight.grad
    torch.testing.assert_close(words, expected["grad.word_embeddings"], **TOLERANCE)
    torch.testing.assert_close(images, expected["grad.image_embeddings"], **TOLERANCE)
