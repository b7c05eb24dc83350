"""What a model sees of an image; this module imports neither PyTorch nor transformers."""

from __future__ import annotations

from typing import Literal

ImageKind = Literal["regions", "pixels"]  # the features of an image's regions, or its pixels
