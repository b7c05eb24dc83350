"""Task heads over the two sides of a dual encoder."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from iglue_plugins.models.dual_encoder.configuration import DualEncoderConfig
from iglue_plugins.models.heads import TwoLayerHead

HEAD_WIDTH = 64  # of an attention head, as in the towers


class EncodedSide(NamedTuple):
    """What a tower makes of the texts or of the images of a batch.

    Attributes:
        vectors: (N, size) float, rows of L2 norm 1.
        hidden: (D, T, width) float, the last hidden states of the tokens or patches of D distinct texts or images.
        mask: (D, T); 1 = token or patch, 0 = padding; None: there is no padding.
        rows: (N,) int64, the text or image of each row; None: that of the same place.
    """

    vectors: Tensor
    hidden: Tensor
    mask: Tensor | None = None
    rows: Tensor | None = None

    def expand(self, values: Tensor) -> Tensor:
        """Repeat values (D, ...) of distinct texts or images for the rows that have them: (N, ...)."""
        return values if self.rows is None else values[self.rows]


class ConcatHead(nn.Module):
    """Reads the vectors of a text and its images, with the product and the difference of each two of them.

    For a text t and an image v it reads [t; v; t * v; |t - v|]; for a text and two images (`image_pair`) all three
    vectors, the three products and the three differences. Vectors are unit vectors times the root of their size, so
    that their numbers have mean square 1, and the mean of a product's numbers is the cosine.

    Args:
        config: The model's configuration.

    Source: Conneau et al. 2017 (InferSent), for premise and hypothesis.
    """

    def __init__(self, config: DualEncoderConfig) -> None:
        super().__init__()
        vectors = 3 if config.head == "image_pair" else 2
        self.images = vectors - 1
        self.dropout = nn.Dropout(config.dropout)
        self.classifier = TwoLayerHead((vectors + 2 * math.comb(vectors, 2)) * config.embedding_size, config)

    def fuse(self, text: EncodedSide, image: EncodedSide) -> Tensor:
        """Join the two sides.

        Args:
            text: The texts of N rows.
            image: The images of the same rows; the rows of an example with two images are neighbors.

        Returns:
            (N / images of an example, width) float.
        """
        size = text.vectors.shape[1]
        images = image.vectors.unflatten(0, (-1, self.images)).unbind(1)
        return self.dropout(interactions([text.vectors[:: self.images], *images], math.sqrt(size)))


def interactions(vectors: Sequence[Tensor], scale: float = 1.0) -> Tensor:
    """Concatenate vectors with the products and the absolute differences of each two of them.

    Args:
        vectors: n vectors for each of N rows, (N, size) float each.
        scale: What they are multiplied by first.

    Returns:
        (N, (n + 2 * (n choose 2)) * size) float.
    """
    vectors = [vector * scale for vector in vectors]
    pairs = list(combinations(vectors, 2))
    return torch.cat([*vectors, *(a * b for a, b in pairs), *((a - b).abs() for a, b in pairs)], -1)


class CrossAttentionHead(nn.Module):
    """Reads a learned query's state after layers in which it and the text's tokens attend to the image's patches.

    Both towers' last hidden states are projected to the width of the embeddings. A layer is self-attention over [query;
    tokens], attention to the patches, and a feed-forward block, each with the normalization before it. The patches of
    two images (`image_pair`) form one sequence, with an embedding that tells the first image from the second.

    Args:
        config: The model's configuration.

    Source: Li et al. 2021 (ALBEF), its multimodal encoder and its pair of images for NLVR2.
    """

    def __init__(self, config: DualEncoderConfig) -> None:
        super().__init__()
        size, eps = config.embedding_size, config.layer_norm_eps
        self.images = 2 if config.head == "image_pair" else 1
        self.query = nn.Parameter(torch.zeros(1, 1, size))
        self.text = nn.Linear(config.text_width, size)
        self.text_norm = nn.LayerNorm(size, eps)
        self.image = nn.Linear(config.image_width, size)
        self.image_norm = nn.LayerNorm(size, eps)
        if self.images > 1:
            self.image_place = nn.Embedding(self.images, size)
        layer = nn.TransformerDecoderLayer(
            size, attention_heads(size), 4 * size, config.dropout, "gelu", eps, batch_first=True, norm_first=True
        )
        self.layers = nn.TransformerDecoder(layer, config.fusion_layers, nn.LayerNorm(size, eps))
        self.dropout = nn.Dropout(config.dropout)
        self.classifier = TwoLayerHead(size, config)

    def fuse(self, text: EncodedSide, image: EncodedSide) -> Tensor:
        """Join the two sides; see `ConcatHead.fuse`."""
        tokens = text.expand(self.text_norm(self.text(text.hidden)))[:: self.images]
        patches = image.expand(self.image(image.hidden)).unflatten(0, (-1, self.images))
        if self.images > 1:
            patches = patches + self.image_place.weight[:, None]
        patches = self.image_norm(patches).flatten(1, 2)
        token_padding = patch_padding = None
        if text.mask is not None:
            token_padding = F.pad(text.expand(text.mask == 0)[:: self.images], (1, 0))
        if image.mask is not None:
            patch_padding = image.expand(image.mask == 0).unflatten(0, (-1, self.images)).flatten(1, 2)
        fused = self.layers(
            torch.cat([self.query.expand(len(tokens), -1, -1), tokens], 1),
            patches,
            tgt_key_padding_mask=token_padding,
            memory_key_padding_mask=patch_padding,
        )
        return self.dropout(fused[:, 0])


def attention_heads(size: int) -> int:
    """Return the number of attention heads of a width: near one for 64, and a divisor of the width."""
    return next(heads for heads in range(max(1, size // HEAD_WIDTH), 0, -1) if size % heads == 0)


def build_head(config: DualEncoderConfig) -> ConcatHead | CrossAttentionHead | None:
    """Build the head that the configuration names, with PyTorch's default weights.

    Args:
        config: The model's configuration.

    Returns:
        A head whose `fuse` makes a vector of each example and whose `classifier` makes logits of it. None without a
        head, and for `image_text_matching`, whose score is the encoder's own similarity.
    """
    if config.head is None or config.head == "image_text_matching":
        return None
    return ConcatHead(config) if config.fusion == "concat" else CrossAttentionHead(config)
