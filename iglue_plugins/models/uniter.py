"""A UNITER with a task head and contrastive projections: xUNITER, UC2 and mUNITER."""

from __future__ import annotations

from torch import Tensor, nn
from transformers import AutoConfig, AutoModel

from iglue_plugins.models.configuration import (
    MUniterConfig,
    UC2Config,
    UniterConfig,
    XUniterConfig,
    check_head,
)
from iglue_plugins.models.contrastive import ContrastiveProjections
from iglue_plugins.models.encoder import UniterEncoder, UniterPreTrainedModel
from iglue_plugins.models.heads import build_head, head_logits


class UniterForVisionAndLanguage(UniterPreTrainedModel):
    """The encoder, the head that the configuration names, and the contrastive projections.

    A batch is a dict of tensors over N (text, image) rows: input_ids (N, T), attention_mask (N, T), region_features
    (N, R, D), region_locations (N, R, 5 or 7), region_mask (N, R). Other keys, such as labels, are ignored.

    Args:
        config: The model's configuration.
    """

    def __init__(self, config: UniterConfig) -> None:
        super().__init__(config)
        self.encoder = UniterEncoder(config)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)
        self.head = build_head(config)
        self.contrastive = ContrastiveProjections(config)
        self.post_init()

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        region_features: Tensor | None = None,
        region_locations: Tensor | None = None,
        region_mask: Tensor | None = None,
        text_embedded: Tensor | None = None,
        regions_embedded: Tensor | None = None,
        **ignored: object,
    ) -> Tensor:
        """Compute the logits of a batch.

        The batch comes from the data, or from `precompute_embeddings`, which replaces ids or features by embeddings.

        Args:
            input_ids: (N, T) int64 token ids.
            attention_mask: (N, T) int64; 1 = token, 0 = padding.
            region_features: (N, R, D) float.
            region_locations: (N, R, 5 or 7) float, shares of the image.
            region_mask: (N, R) int64; 1 = region, 0 = padding.
            text_embedded: (N, T, H) float, in the place of `input_ids`.
            regions_embedded: (N, R, H) float, in the place of `region_features` and `region_locations`.
            **ignored: Other keys of the batch, such as labels.

        Returns:
            Logits, float32 also for a model in bfloat16: (N, num_labels) for the heads classifier and vqa,
            (N / 2, num_labels) for image_pair, (N, 1) for image_text_matching.

        Raises:
            ValueError: The model has no head.
            UserError: The batch does not fit the model (`UniterEncoder.forward`).
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

    def precompute_embeddings(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Embed texts, images or both once, for forward passes that pair each of them with many others.

        Args:
            batch: Texts (input_ids, attention_mask), regions (region_features, region_locations, region_mask) or both.

        Returns:
            The batch with text_embedded (N, T, H) in the place of the ids, and regions_embedded (N, R, H) in the place
            of the features and locations. The masks and all other keys are unchanged.
        """
        rest = dict(batch)
        if "input_ids" in rest:
            rest["text_embedded"] = self.encoder.text_embeddings(rest.pop("input_ids"), rest["attention_mask"])
        if "region_features" in rest:
            regions = rest.pop("region_features"), rest.pop("region_locations")
            rest["regions_embedded"] = self.encoder.embed_regions(*regions)
        return rest

    def embed_pairs(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        region_features: Tensor,
        region_locations: Tensor,
        region_mask: Tensor,
        joint: bool = False,
        **ignored: object,
    ) -> tuple[Tensor, Tensor]:
        """Embed the texts and images of a batch in the space of the contrastive loss.

        Args:
            input_ids: (N, T) int64 token ids.
            attention_mask: (N, T) int64; 1 = token, 0 = padding.
            region_features: (N, R, D) float.
            region_locations: (N, R, 5 or 7) float, shares of the image.
            region_mask: (N, R) int64; 1 = region, 0 = padding.
            joint: Whether both come from one pass over [text; regions], in which a text sees its image through
                attention and an image its text. By default they come from a text-only and an image-only pass.
            **ignored: Other keys of the batch, such as labels.

        Returns:
            Text and image embeddings, each (N, contrastive_size) with rows of L2 norm 1.
        """
        regions = (region_features, region_locations, region_mask)
        if joint:
            encoded = self.encoder(input_ids, attention_mask, *regions, last_layer="pooled")
            return self.contrastive(encoded.text_pooled, encoded.region_pooled)
        text = self.encoder(input_ids, attention_mask, last_layer="pooled")
        image = self.encoder(None, None, *regions, last_layer="pooled")
        return self.contrastive(text.text_pooled, image.region_pooled)

    def set_head(self, kind: str, num_labels: int) -> None:
        """Give the model a freshly initialized head, unless it has one of this kind and size already.

        Args:
            kind: The kind of head (`configuration.HEADS`).
            num_labels: The number of the head's outputs.

        Raises:
            ValueError: No head of this kind with this many outputs exists.
        """
        current = check_head(kind, num_labels)
        if (current, num_labels) == (self.config.head, self.config.num_labels):
            return
        self.config.head, self.config.num_labels = current, num_labels
        head = build_head(self.config)
        if head is not None:
            head = head.apply(self._init_weights).to(self.device, self.dtype).train(self.training)
        self.head = head


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
