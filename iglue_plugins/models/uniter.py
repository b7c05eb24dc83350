"""A UNITER with a task head and contrastive projections: xUNITER, UC2 and mUNITER."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from torch import Tensor, nn
from transformers import AutoConfig, AutoModel
from typing_extensions import override

from iglue_plugins.data.inputs import Inputs
from iglue_plugins.models.configuration import (
    MUniterConfig,
    UC2Config,
    UniterConfig,
    XUniterConfig,
)
from iglue_plugins.models.context import Context, ContextModel
from iglue_plugins.models.contrastive import ContrastiveProjections
from iglue_plugins.models.encoder import UniterEncoder, UniterPreTrainedModel
from iglue_plugins.models.heads import build_head, head_logits
from iglue_plugins.models.replaceable_head import ReplaceableHeadModel

REGION_KEYS = ("region_features", "region_locations", "region_mask")


def join_images(regions: Sequence[Tensor], images: int) -> list[Tensor]:
    """Join the regions of neighboring images into one sequence.

    Args:
        regions: Tensors (N * images, R, ...).
        images: The number of images of a sequence.

    Returns:
        Tensors (N, images * R, ...).
    """
    return [part.reshape(-1, images * part.shape[1], *part.shape[2:]) for part in regions]


class UniterForVisionAndLanguage(UniterPreTrainedModel, ReplaceableHeadModel, ContextModel):
    """The encoder, the head that the configuration names, and the contrastive projections.

    Its inputs are tensors over N (text, image) rows: input_ids (N, T), attention_mask (N, T), region_features
    (N, R, D), region_locations (N, R, 5 or 7), region_mask (N, R).

    Args:
        config: The model's configuration.
    """

    head_modules: ClassVar[tuple[str, ...]] = ("head", "contrastive")

    def __init__(self, config: UniterConfig) -> None:
        super().__init__(config)
        self.encoder = UniterEncoder(config)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)
        self.head = self.build_head()
        self.contrastive = ContrastiveProjections(config)
        self.post_init()

    @override
    def build_head(self) -> nn.Module | None:
        return build_head(self.config)

    @override
    def place_context(self, context: Context | None) -> None:
        self.encoder.text_embeddings.context = context

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        region_features: Tensor | None = None,
        region_locations: Tensor | None = None,
        region_mask: Tensor | None = None,
        text_embedded: Tensor | None = None,
        regions_embedded: Tensor | None = None,
    ) -> Tensor:
        """Compute the logits of some rows.

        The inputs come from the data, or from `precompute_embeddings`, which replaces ids or features by embeddings.

        Args:
            input_ids: (N, T) int64 token ids.
            attention_mask: (N, T) int64; 1 = token, 0 = padding.
            region_features: (N, R, D) float.
            region_locations: (N, R, 5 or 7) float, shares of the image.
            region_mask: (N, R) int64; 1 = region, 0 = padding.
            text_embedded: (N, T, H) float, in the place of `input_ids`.
            regions_embedded: (N, R, H) float, in the place of `region_features` and `region_locations`.

        Returns:
            Logits, float32 also for a model in bfloat16: (N, num_labels) for the heads classifier and vqa,
            (N / 2, num_labels) for image_pair, (N, 1) for image_text_matching.

        Raises:
            ValueError: The model has no head.
            UserError: The inputs do not fit the model (`UniterEncoder.forward`).
        """
        if self.head is None:
            raise ValueError("the model has no head; choose one by set_head(kind, num_labels)")
        inputs = (input_ids, attention_mask, region_features, region_locations, region_mask)
        embedded = {"text_embedded": text_embedded, "regions_embedded": regions_embedded}
        if self.config.fusion == "text":
            fused = self.encoder(*inputs, last_layer="text", **embedded).text_pooled
        else:
            encoded = self.encoder(*inputs, last_layer="pooled", **embedded)
            fused = encoded.text_pooled * encoded.region_pooled
        return head_logits(self.head, self.dropout(fused))

    def precompute_embeddings(self, inputs: Inputs) -> Inputs:
        """Embed texts, images or both once, for forward passes that pair each of them with many others.

        Args:
            inputs: Texts (input_ids, attention_mask), regions (region_features, region_locations, region_mask) or both.

        Returns:
            Inputs with text_embedded (N, T, H) in the place of the ids, and regions_embedded (N, R, H) in the place of
            the features and locations. The masks are unchanged.
        """
        if "input_ids" in inputs:
            embedded = self.encoder.text_embeddings(inputs["input_ids"], inputs["attention_mask"])
            inputs = inputs.replace(("input_ids",), {"text_embedded": embedded})
        if "region_features" in inputs:
            embedded = self.encoder.embed_regions(inputs["region_features"], inputs["region_locations"])
            inputs = inputs.replace(("region_features", "region_locations"), {"regions_embedded": embedded})
        return inputs

    def embed_text(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Embed texts in the space of the contrastive loss, by a text-only pass.

        Args:
            input_ids: (N, T) int64 token ids.
            attention_mask: (N, T) int64; 1 = token, 0 = padding.

        Returns:
            (N, contrastive_size) float, rows of L2 norm 1.
        """
        return self.contrastive.embed_text(self.encoder(input_ids, attention_mask, last_layer="pooled").text_pooled)

    def embed_image(
        self,
        region_features: Tensor,
        region_locations: Tensor,
        region_mask: Tensor,
        images_per_text: int = 1,
    ) -> Tensor:
        """Embed images in the space of the contrastive loss, by an image-only pass.

        Args:
            region_features: (N * images_per_text, R, D) float.
            region_locations: (N * images_per_text, R, 5 or 7) float, shares of the image.
            region_mask: (N * images_per_text, R) int64; 1 = region, 0 = padding.
            images_per_text: How many neighboring images are read as one sequence of regions.

        Returns:
            (N, contrastive_size) float, rows of L2 norm 1.
        """
        regions = join_images((region_features, region_locations, region_mask), images_per_text)
        return self.contrastive.embed_image(self.encoder(None, None, *regions, last_layer="pooled").region_pooled)

    def embed_joint(
        self, text: Mapping[str, Tensor], image: Mapping[str, Tensor], images_per_text: int = 1
    ) -> tuple[Tensor, Tensor]:
        """Embed texts and images in the space of the contrastive loss, from one pass over [text; regions].

        In it a text sees its image through attention and an image its text.

        Args:
            text: input_ids and attention_mask of N texts.
            image: region_features, region_locations and region_mask of N * images_per_text images.
            images_per_text: How many neighboring images are read as one sequence of regions.

        Returns:
            Text and image embeddings, each (N, contrastive_size) float with rows of L2 norm 1.
        """
        regions = join_images([image[key] for key in REGION_KEYS], images_per_text)
        encoded = self.encoder(text["input_ids"], text["attention_mask"], *regions, last_layer="pooled")
        return self.contrastive.embed_text(encoded.text_pooled), self.contrastive.embed_image(encoded.region_pooled)


class XUniterForVisionAndLanguage(UniterForVisionAndLanguage):
    """xUNITER with a task head and contrastive projections."""

    config_class = XUniterConfig


class UC2ForVisionAndLanguage(UniterForVisionAndLanguage):
    """UC2 with a task head and contrastive projections."""

    config_class = UC2Config


class MUniterForVisionAndLanguage(UniterForVisionAndLanguage):
    """mUNITER with a task head and contrastive projections."""

    config_class = MUniterConfig


MODELS: dict[str, type[UniterForVisionAndLanguage]] = {
    cls.config_class.model_type: cls
    for cls in (XUniterForVisionAndLanguage, UC2ForVisionAndLanguage, MUniterForVisionAndLanguage)
}
for model_type, cls in MODELS.items():
    AutoConfig.register(model_type, cls.config_class)
    AutoModel.register(cls.config_class, cls)
