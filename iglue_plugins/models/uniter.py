"""A UNITER with a task head and contrastive projections; xUNITER, UC2 and mUNITER by their configurations."""

from __future__ import annotations

from torch import Tensor, nn
from transformers import AutoConfig, AutoModel

from iglue_plugins.models.configuration import (
    HeadKind,
    MUniterConfig,
    UC2Config,
    UniterConfig,
    XUniterConfig,
    check_head,
)
from iglue_plugins.models.contrastive import ContrastiveProjections
from iglue_plugins.models.encoder import UniterEncoder, UniterPreTrainedModel
from iglue_plugins.models.heads import build_head, logits_of


class UniterForVisionAndLanguage(UniterPreTrainedModel):
    """The encoder, the head that the configuration names, and the contrastive projections.

    A batch is a dict of tensors over N (text, image) rows: input_ids (N, T), attention_mask (N, T), region_features
    (N, R, D), region_locations (N, R, 5 or 7), region_mask (N, R). Other keys, such as labels, are ignored.
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
        """Logits of a batch: (N, C) for classifier and answers, (N / 2, C) for paired, (N, 1) for matching.

        They are float32 for a model in bfloat16 too. The batch is the data's own, or one whose texts or regions
        `precompute_embeddings` has been through.

        Raises:
            ValueError: the model has no head.
            UserError: the batch does not fit the model (UniterEncoder).
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
        return logits_of(self.head, self.dropout(fused))

    def precompute_embeddings(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Texts, images or both as the layers read them, for a forward that is to see each in many pairs.

        Ids (with their mask) become text_embedded (N, T, H), features with locations regions_embedded (N, R, H);
        masks and whatever else the batch has stay.
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
        """L2-normalised text and image embeddings of a batch, (N, contrastive_size) each.

        By default from a text-only and an image-only pass; `joint` takes both from one pass over [text; regions],
        where each sees its own partner through attention.
        """
        regions = (region_features, region_locations, region_mask)
        if joint:
            encoded = self.encoder(input_ids, attention_mask, *regions, last_layer="pooled")
            return self.contrastive(encoded.text_pooled, encoded.region_pooled)
        text = self.encoder(input_ids, attention_mask, last_layer="pooled")
        image = self.encoder(None, None, *regions, last_layer="pooled")
        return self.contrastive(text.text_pooled, image.region_pooled)

    def set_head(self, kind: HeadKind, num_labels: int) -> None:
        """Give the model a freshly initialised head, unless it has one of this kind and size already.

        Raises:
            ValueError: no head of this kind with this many outputs exists.
        """
        check_head(kind, num_labels)
        if (kind, num_labels) == (self.config.head, self.config.num_labels):
            return
        self.config.head, self.config.num_labels = kind, num_labels
        self.head = build_head(self.config).apply(self._init_weights).to(self.device, self.dtype).train(self.training)


class XUniterForVisionAndLanguage(UniterForVisionAndLanguage):
    config_class = XUniterConfig


class UC2ForVisionAndLanguage(UniterForVisionAndLanguage):
    config_class = UC2Config


class MUniterForVisionAndLanguage(UniterForVisionAndLanguage):
    config_class = MUniterConfig


MODELS: dict[str, type[UniterForVisionAndLanguage]] = {
    cls.config_class.model_type: cls
    for cls in (XUniterForVisionAndLanguage, UC2ForVisionAndLanguage, MUniterForVisionAndLanguage)
}
for model_type, cls in MODELS.items():
    AutoConfig.register(model_type, cls.config_class)
    AutoModel.register(cls.config_class, cls)
