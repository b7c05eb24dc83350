"""Vision models of transformers as makers of feature maps."""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoModel, PreTrainedModel

from iglue_plugins.models.extraction.sources import check_complete, load_weights
from iglue_plugins.utils.errors import UserError, first_line

TOWERS = ("vision_model", "vision_tower")  # where a model of pictures and texts has its vision model
UNUSED_WEIGHTS = {"pooler", "head", "mask_token"}  # parts of vision models that the last hidden states do not depend on
MAX_SPECIAL_TOKENS = 2  # beside registers: a class token, and DeiT's distillation token
MAX_MERGES = 4  # how often a hierarchical model, such as Swin, halves its grid of patches


class VisionTower(nn.Module):
    """Turns pixel values into a map of features: the last hidden states of a vision model.

    A transformer's tokens are put back on their grid, without those that stand for no place (class token, registers).
    The map of a convolutional model is taken as it is.

    Args:
        model: A vision model, or a model of pictures and texts that has one.
        source: Where it comes from, for errors.

    Raises:
        UserError: The model has no vision model.
    """

    def __init__(self, model: PreTrainedModel, source: str) -> None:
        super().__init__()
        self.prefix = next((name for name in TOWERS if isinstance(getattr(model, name, None), nn.Module)), "")
        self.model = getattr(model, self.prefix) if self.prefix else model
        self.source = source
        self.config: Any = getattr(self.model, "config", None) or model.config.vision_config
        self._parameters_of_forward = inspect.signature(self.model.forward).parameters
        if "pixel_values" not in self._parameters_of_forward:
            raise UserError(
                f"--model: {source!r} holds a {type(model).__name__}, which reads no pictures; name a vision model "
                "(ViT, DINOv2, ConvNeXT, ...) or a model of pictures and texts (CLIP, SigLIP)"
            )

    def forward(self, pixels: Tensor) -> tuple[Tensor, tuple[float, float]]:
        """Compute the map of features.

        Args:
            pixels: (N, 3, height, width).

        Returns:
            The map, (N, D, rows, columns), and the shares of the height and of the width that it covers: pixels at the
            end that fill no patch are not seen.

        Raises:
            UserError: The model's output is no map, nor tokens on the grid of its patches.
        """
        options = {}
        size = tuple(pixels.shape[-2:])
        if "interpolate_pos_encoding" in self._parameters_of_forward and size != self._trained_size():
            options["interpolate_pos_encoding"] = True
        try:
            hidden = getattr(self.model(pixel_values=pixels, **options), "last_hidden_state", None)
        except (ValueError, TypeError) as error:
            raise UserError(
                f"--model: {self.source!r} cannot read pixel values of {size[1]} x {size[0]} as its image processor "
                f"makes them ({first_line(error)}); choose another model"
            ) from error
        if not isinstance(hidden, Tensor) or hidden.dim() not in (3, 4):
            raise UserError(f"--model: {self.source!r} makes no map of a picture; choose another vision model")
        return (hidden, (1.0, 1.0)) if hidden.dim() == 4 else self._tokens_to_map(hidden, size)

    def _trained_size(self) -> tuple[int, ...]:
        size = getattr(self.config, "image_size", ())
        return (size, size) if isinstance(size, int) else tuple(size)

    def _tokens_to_map(self, tokens: Tensor, size: tuple[int, ...]) -> tuple[Tensor, tuple[float, float]]:
        """Put tokens, (N, T, D), on their grid; see `forward`."""
        patch = getattr(self.config, "patch_size", None)
        if patch is not None:
            down, across = (patch, patch) if isinstance(patch, int) else patch
            most = MAX_SPECIAL_TOKENS + getattr(self.config, "num_register_tokens", 0)
            for merges in range(MAX_MERGES + 1):
                rows, columns = size[0] // (down << merges), size[1] // (across << merges)
                special = tokens.shape[1] - rows * columns
                if 0 < rows * columns and 0 <= special <= (0 if merges else most):
                    grid = tokens[:, special:].unflatten(1, (rows, columns))
                    covered = (rows * (down << merges) / size[0], columns * (across << merges) / size[1])
                    return grid.permute(0, 3, 1, 2), covered
        raise UserError(
            f"--model: {self.source!r} makes {tokens.shape[1]} tokens of {size[1]} x {size[0]} pixels, which lie on no "
            f"grid of its patches (patch_size {patch}); choose another vision model"
        )


def load_tower(source: str, revision: str | None, dtype: torch.dtype) -> VisionTower:
    """Load a vision model for its features; no code of the checkpoint is run.

    Args:
        source: A local folder or hub id.
        revision: The hub revision.
        dtype: The type of the weights.

    Returns:
        The tower, in evaluation mode.

    Raises:
        UserError: There is no such model, it lacks weights of its vision model, or has none.
    """
    model, missing = load_weights(AutoModel, source, revision, dtype, "--model")
    tower = VisionTower(model, source)
    needed = [name for name in missing if name.startswith(tower.prefix) and not UNUSED_WEIGHTS & set(name.split("."))]
    check_complete(source, needed, "vision model", "--model")
    return tower.eval()
