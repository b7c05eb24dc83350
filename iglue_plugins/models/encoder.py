"""The single-stream encoder over [text; regions] of xUNITER, UC2 and mUNITER.

Source: VOLTA in its IGLUE version (github.com/e-bug/iglue, volta/volta/encoders.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import PreTrainedModel
from transformers.utils.generic import ModelOutput
from typing_extensions import override

from iglue_plugins.models.configuration import UniterConfig
from iglue_plugins.models.context import Context
from iglue_plugins.models.embeddings import RegionEmbeddings, TextEmbeddings
from iglue_plugins.models.layers import TransformerLayer, enabled_backends, run_layer

MASKED_SCORE = -10000.0  # the value of VOLTA: its share of a softmax is 0, and float16 can hold it
LastLayer = Literal["all", "pooled", "text"]


@dataclass
class EncoderOutput(ModelOutput):
    """The encoder's output. A part that was not asked for, or whose input was left out, is None.

    Attributes:
        text_hidden: (N, T, H), the text's hidden states of the last layer.
        region_hidden: (N, R, H), the regions' hidden states of the last layer.
        text_pooled: (N, pooler_size), not negative, from the first token.
        region_pooled: (N, region_pooled_size), not negative, from the first region; with fusion 'text', the mean of the
            regions' hidden states.
    """

    text_hidden: Tensor | None = None
    region_hidden: Tensor | None = None
    text_pooled: Tensor | None = None
    region_pooled: Tensor | None = None


class UniterPreTrainedModel(PreTrainedModel):
    """Base of the models: fresh weights are drawn as in BERT.

    Weights are normal(0, initializer_range), biases 0, layer normalizations 1, and the padding's embedding 0.
    """

    config: UniterConfig
    config_class: type[UniterConfig] = UniterConfig
    base_model_prefix = "encoder"
    # Masks and positions come from the attention mask, so that EmbeddingSubset may replace the token ids.
    token_id_keys = ("input_ids",)
    supports_gradient_checkpointing = True
    _no_split_modules = ["TransformerLayer"]

    @torch.no_grad()
    @override
    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if isinstance(module, Context):
            module.initialize(self.config.initializer_range)


class UniterEncoder(UniterPreTrainedModel):
    """One transformer that reads a text, an image's regions, or both.

    With gradient checkpointing (`activation_checkpointing_enable`) each layer is recomputed in the backward pass.

    Args:
        config: The model's configuration.
    """

    def __init__(self, config: UniterConfig) -> None:
        super().__init__(config)
        self.gradient_checkpointing = False
        self.text_embeddings = TextEmbeddings(config)
        self.region_embeddings = RegionEmbeddings(config)
        self.layers = nn.ModuleList(TransformerLayer(config) for _ in range(config.num_hidden_layers))
        self.text_pooler = nn.Linear(config.hidden_size, config.pooler_size)
        if config.fusion == "mul":
            self.region_pooler = nn.Linear(config.hidden_size, config.pooler_size)
        self.post_init()

    def get_input_embeddings(self) -> nn.Embedding:
        """Return the word embeddings."""
        return self.text_embeddings.word_embeddings

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        region_features: Tensor | None = None,
        region_locations: Tensor | None = None,
        region_mask: Tensor | None = None,
        last_layer: LastLayer = "all",
        text_embedded: Tensor | None = None,
        regions_embedded: Tensor | None = None,
    ) -> EncoderOutput:
        """Encode [text; regions], or one of the two if the inputs of the other are left out.

        Args:
            input_ids: (N, T) int64 token ids.
            attention_mask: (N, T) int64; 1 = token; default: ids other than padding.
            region_features: (N, R, D) float.
            region_locations: (N, R, 5 or 7) float, shares of the image.
            region_mask: (N, R) int64; 1 = region; default: all 1.
            last_layer: What to compute of the last layer. 'all': everything. 'pooled': only what the pooled vectors
                need, and no hidden states are returned. 'text': only what `text_pooled` needs.
            text_embedded: (N, T, H) float, in the place of `input_ids`; `attention_mask` goes with it.
            regions_embedded: (N, R, H) float, in the place of `region_features` and `region_locations`; `region_mask`
                goes with it.

        Returns:
            The hidden states and pooled vectors that `last_layer` asks for.

        Raises:
            ValueError: Neither a text nor regions are given, or features come without locations.
            UserError: Texts are too long, or regions have another width than the model's.
        """
        if input_ids is not None:
            if attention_mask is None:
                attention_mask = input_ids.ne(self.config.pad_token_id).long()
            text_embedded = self.text_embeddings(input_ids, attention_mask)
        if region_features is not None:
            if region_locations is None:
                raise ValueError("region_locations is None; expected one location for each row of region_features")
            if region_mask is None:
                region_mask = torch.ones_like(region_features[..., 0], dtype=torch.long)
            regions_embedded = self.embed_regions(region_features, region_locations)
        text_length = 0 if text_embedded is None else text_embedded.shape[1]
        rows = self._rows(last_layer, text_length, regions_embedded is not None)
        embedded, mask = concatenate((text_embedded, attention_mask), (regions_embedded, region_mask))
        hidden = self.encode(embedded, mask, rows)
        text, regions = hidden.tensor_split([text_length if rows is None else min(text_length, 1)], 1)
        has_regions = regions_embedded is not None and last_layer != "text"
        return EncoderOutput(
            text_hidden=text if text_length and last_layer == "all" else None,
            region_hidden=regions if has_regions and last_layer == "all" else None,
            text_pooled=F.relu(self.text_pooler(text[:, 0])) if text_length else None,
            region_pooled=self._pool_regions(regions, region_mask) if has_regions and region_mask is not None else None,
        )

    def embed_regions(self, region_features: Tensor, region_locations: Tensor) -> Tensor:
        """Embed regions as the layers read them.

        Args:
            region_features: (N, R, D) float.
            region_locations: (N, R, 5 or 7) float, shares of the image.

        Returns:
            Embeddings (N, R, H).

        Raises:
            UserError: Features or locations have another width than the model's.
        """
        return self.region_embeddings(region_features, region_locations, self._region_type())

    def encode(self, hidden: Tensor, mask: Tensor, rows: slice | None = None) -> Tensor:
        """Run the layers on a sequence of embeddings.

        Args:
            hidden: (N, L, H) float embeddings.
            mask: (N, L) int64; 1 = token or region, 0 = padding.
            rows: The places of the sequence at which the last layer is computed; None: all of them.

        Returns:
            The last layer's hidden states, (N, L, H) or (N, places, H).
        """
        additive = torch.zeros(mask.shape, device=mask.device, dtype=attention_dtype(hidden))
        additive = additive.masked_fill_(mask == 0, MASKED_SCORE)[:, None, None]
        for layer in self.layers[:-1]:
            hidden = self._run(layer, hidden, additive)
        return self._run(self.layers[-1], hidden, additive, rows)

    def _run(self, layer: nn.Module, *inputs: Tensor | slice | None) -> Tensor:
        if not (self.gradient_checkpointing and self.training):
            return layer(*inputs)
        # A meta-step sets parameters and attention kernels during its forward pass only. The backward pass needs the
        # same ones to recompute the layer, so they are passed on.
        parameters, backends = dict(layer.named_parameters()), enabled_backends()
        return self._gradient_checkpointing_func(run_layer, layer, parameters, backends, inputs)

    def _rows(self, last_layer: LastLayer, text_length: int, has_regions: bool) -> slice | None:
        """Return the places of the sequence at which the last layer is computed; None: all of them."""
        if last_layer == "all" or (last_layer == "pooled" and has_regions and self.config.fusion == "text"):
            return None
        if last_layer == "text" or not has_regions:
            return slice(0, 1)
        return slice(0, text_length + 1, text_length or 1)  # the first token and the first region

    def _region_type(self) -> Tensor:
        if self.config.shared_type_embeddings:
            return self.text_embeddings.token_type_embeddings.weight[1]
        return self.region_embeddings.region_type_embeddings.weight[0]

    def _pool_regions(self, regions: Tensor, mask: Tensor) -> Tensor:
        if self.config.fusion == "mul":
            return F.relu(self.region_pooler(regions[:, 0]))
        weights = mask.to(regions.dtype).unsqueeze(-1)
        return (regions * weights).sum(1) / weights.sum(1).clamp(min=1)


def concatenate(*parts: tuple[Tensor | None, Tensor | None]) -> tuple[Tensor, Tensor]:
    """Concatenate the embedded text and regions, as far as they are given.

    Args:
        *parts: Embeddings (N, L, H) with their mask (N, L), or None for a part that is left out.

    Returns:
        Embeddings and mask of the whole sequence.

    Raises:
        ValueError: All parts are left out, or one comes without its mask.
    """
    embedded: list[Tensor] = []
    masks: list[Tensor] = []
    for part, mask in parts:
        if part is not None:
            if mask is None:
                raise ValueError("embedded texts or regions come without their mask; expected both")
            embedded.append(part)
            masks.append(mask)
    if not embedded:
        raise ValueError("input_ids and region_features are both None; expected at least one of them")
    return torch.cat(embedded, 1), torch.cat(masks, 1)


def attention_dtype(hidden: Tensor) -> torch.dtype:
    """Return the dtype of queries, keys and mask: that of autocast if it is on, or else of the hidden states.

    Args:
        hidden: Hidden states, of any shape.

    Returns:
        The dtype.
    """
    device = hidden.device.type
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else hidden.dtype
