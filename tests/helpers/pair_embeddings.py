"""Text and image embeddings of a UNITER's inputs."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from iglue_plugins.models.uniter import REGION_KEYS, UniterForVisionAndLanguage

TEXT_KEYS = ("input_ids", "attention_mask")


def embed_pairs(
    model: UniterForVisionAndLanguage, inputs: Mapping[str, Tensor], joint: bool = False
) -> tuple[Tensor, Tensor]:
    """Embed the texts and images of some rows, by a pass over each, or by one over both."""
    text, image = ({key: inputs[key] for key in keys} for keys in (TEXT_KEYS, REGION_KEYS))
    return model.embed_joint(text, image) if joint else (model.embed_text(**text), model.embed_image(**image))
