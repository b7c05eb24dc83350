"""A dual encoder of transformers with a task head."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, PreTrainedModel
from transformers import initialization as init
from typing_extensions import override

from iglue_plugins.models.context import Context, ContextModel
from iglue_plugins.models.dual_encoder.configuration import DualEncoderConfig
from iglue_plugins.models.dual_encoder.heads import ConcatHead, CrossAttentionHead, EncodedSide, build_head
from iglue_plugins.models.dual_encoder.region_encoder import MODEL_TYPE
from iglue_plugins.models.heads import head_logits
from iglue_plugins.models.protocols import SimilarityScale
from iglue_plugins.models.replaceable_head import ReplaceableHeadModel

LEAST_NORM = 1e-12  # below which a vector is not stretched to norm 1

# Encoders in which token ids choose embeddings and do nothing else. CLIP and MetaCLIP 2 take the state at the id of the
# end of the text, and XLM-R, AltCLIP's text tower, counts positions by the id of the padding.
ID_FREE_ENCODERS = ("siglip", "siglip2", "chinese_clip")


class DualEncoder(ReplaceableHeadModel, ContextModel):
    """A dual encoder, such as SigLIP or CLIP, and the task head that the configuration names.

    Its inputs are those of a `PixelProcessor` or `RegionPairProcessor`: `input_ids` (D, T) and perhaps `attention_mask`
    (D, T) of D distinct texts and `text_rows` (N,), which of them each row has; the values of E distinct pictures, such
    as `pixel_values`, or the regions of E distinct images, and `image_rows` (N,). Without `text_rows` or `image_rows`
    each row has a text or picture of its own. Rows that share a text or picture share its dropout.

    Args:
        config: The model's configuration.
        encoder: The dual encoder; default: one with fresh weights.
    """

    config: DualEncoderConfig
    head: ConcatHead | CrossAttentionHead | None
    config_class = DualEncoderConfig
    base_model_prefix = "encoder"
    head_modules = (
        "head", "encoder.text_projection", "encoder.visual_projection", "encoder.logit_scale", "encoder.logit_bias",
    )  # fmt: skip
    main_input_name = "input_ids"
    input_modalities = ["image", "text"]
    is_dual_encoder = True
    supports_gradient_checkpointing = True
    _supports_sdpa = True
    _supports_flash_attn = True
    _supports_attention_backend = True

    def __init__(self, config: DualEncoderConfig, encoder: PreTrainedModel | None = None) -> None:
        super().__init__(config)
        self.encoder: Any = AutoModel.from_config(config.encoder) if encoder is None else encoder
        self.config.encoder_config = self.encoder.config  # one object, so that a change of one is one of the other
        self.head = self.build_head()
        self.context = self.build_context()
        self.post_init()

    @override
    def build_head(self) -> ConcatHead | CrossAttentionHead | None:
        return build_head(self.config)

    @override
    def place_context(self, context: Context | None) -> None:
        self.context = context

    @property
    def token_id_keys(self) -> tuple[str, ...]:
        """The keys of token ids that do nothing but choose embeddings; none where the encoder reads more from them."""
        encoder = self.config.encoder
        counts_places = encoder.model_type == MODEL_TYPE and encoder.text_config.model_type == "bert"
        return ("input_ids",) if counts_places or encoder.model_type in ID_FREE_ENCODERS else ()

    @override
    def get_input_embeddings(self) -> nn.Module:
        return self.encoder.text_model.get_input_embeddings()

    @override
    def set_input_embeddings(self, value: nn.Module) -> None:
        self.encoder.text_model.set_input_embeddings(value)

    @torch.no_grad()
    @override
    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if isinstance(module, CrossAttentionHead):
            init.normal_(module.query, std=self.config.initializer_range)
        if isinstance(module, Context):
            module.initialize(self.config.initializer_range)

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        text_rows: Tensor | None = None,
        image_rows: Tensor | None = None,
        **pictures: Tensor,
    ) -> Tensor:
        """Compute the logits of some rows.

        Args:
            input_ids: (D, T) int64 token ids.
            attention_mask: (D, T) int64; 1 = token, 0 = padding.
            text_rows: (N,) int64, the text of each row.
            image_rows: (N,) int64, the picture of each row.
            **pictures: What the image processor makes of the pictures.

        Returns:
            Logits, float32 also for a model in bfloat16: (N, num_labels) for the heads classifier and vqa,
            (N / 2, num_labels) for image_pair, (N, 1) for image_text_matching: the encoder's scale * cosine + bias.

        Raises:
            ValueError: The model has no head.
        """
        if self.config.head is None:
            raise ValueError("the model has no head; choose one by set_head(kind, num_labels)")
        text = self._encode_text(input_ids, attention_mask, text_rows)
        image = self._encode_images(pictures, image_rows)
        if self.head is None:
            scale, bias = self.similarity_scale()
            scores = (text.vectors * image.vectors).sum(-1, keepdim=True) * scale
            return scores if bias is None else scores + bias
        return head_logits(self.head.classifier, self.head.fuse(text, image))

    def embed_text(
        self, input_ids: Tensor, attention_mask: Tensor | None = None, text_rows: Tensor | None = None
    ) -> Tensor:
        """Embed texts in the encoder's common space.

        Args:
            input_ids: (D, T) int64 token ids.
            attention_mask: (D, T) int64; 1 = token, 0 = padding.
            text_rows: (N,) int64, the text of each row.

        Returns:
            (N, size) float, rows of L2 norm 1, float32 also for a model in bfloat16.
        """
        return self._encode_text(input_ids, attention_mask, text_rows).vectors

    def embed_image(self, *, images_per_text: int = 1, image_rows: Tensor | None = None, **pictures: Tensor) -> Tensor:
        """Embed images in the encoder's common space.

        Several images of one text get the mean of their unit vectors, normalized again.

        Args:
            images_per_text: How many neighboring rows belong to one text.
            image_rows: (N * images_per_text,) int64, the picture of each row.
            **pictures: What the image processor makes of the pictures.

        Returns:
            (N, size) float, rows of L2 norm 1, float32 also for a model in bfloat16.
        """
        vectors = self._encode_images(pictures, image_rows).vectors
        if images_per_text == 1:
            return vectors
        return unit_vectors(vectors.unflatten(0, (-1, images_per_text)).mean(1))

    def similarity_scale(self) -> SimilarityScale:
        """Return the encoder's scale, which is trained with it, and its bias where it has one, as SigLIP."""
        bias = getattr(self.encoder, "logit_bias", None)
        return SimilarityScale(self.encoder.logit_scale.exp().reshape(()), None if bias is None else bias.reshape(()))

    def _encode_text(self, input_ids: Tensor, attention_mask: Tensor | None, rows: Tensor | None) -> EncodedSide:
        inputs = {"input_ids": input_ids}
        if attention_mask is not None:
            inputs["attention_mask"] = attention_mask
        inputs, rows = _used(inputs, rows)
        with nullcontext() if self.context is None else self.context.added_to(self.get_input_embeddings()):
            output = self.encoder.get_text_features(**inputs)
        return _side(output, inputs.get("attention_mask"), rows)

    def _encode_images(self, pictures: dict[str, Tensor], rows: Tensor | None) -> EncodedSide:
        pictures, rows = _used(pictures, rows)
        mask = pictures.get("region_mask", pictures.get("pixel_attention_mask"))
        return _side(self.encoder.get_image_features(**pictures), mask, rows)


def _used(inputs: dict[str, Tensor], rows: Tensor | None) -> tuple[dict[str, Tensor], Tensor | None]:
    """Leave out the texts or pictures that no row has, as where a batch is split."""
    if rows is None:
        return inputs, None
    used, renumbered = rows.unique(return_inverse=True)
    if len(used) < len(next(iter(inputs.values()))):
        inputs = {key: value[used] for key, value in inputs.items()}
    return inputs, renumbered


def _side(output: Any, mask: Tensor | None, rows: Tensor | None) -> EncodedSide:
    vectors = unit_vectors(output.pooler_output)
    return EncodedSide(vectors if rows is None else vectors[rows], output.last_hidden_state, mask, rows)


def unit_vectors(vectors: Tensor) -> Tensor:
    """Normalize vectors, with derivatives of every order that are finite at 0 too.

    Args:
        vectors: (..., size) float.

    Returns:
        Vectors of L2 norm 1, or near 0 where their norm is below LEAST_NORM; float32, or float64 if they are.
    """
    vectors = vectors if vectors.dtype == torch.float64 else vectors.float()
    return vectors * vectors.square().sum(-1, keepdim=True).clamp(min=LEAST_NORM**2).rsqrt()


AutoConfig.register(DualEncoderConfig.model_type, DualEncoderConfig)
AutoModel.register(DualEncoderConfig, DualEncoder)
