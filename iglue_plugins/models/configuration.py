"""Configuration of the xUNITER encoder and its heads."""

from __future__ import annotations

from typing import Literal, get_args

from transformers import PretrainedConfig

from iglue_plugins.errors import nearest

HeadKind = Literal["classifier", "answers", "paired", "matching"]
HEADS: tuple[HeadKind, ...] = get_args(HeadKind)
SIZES = (
    "vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size",
    "max_position_embeddings", "type_vocab_size", "region_feature_size", "region_location_size", "pooler_size",
    "classifier_hidden_size", "contrastive_size", "num_labels",
)  # fmt: skip
PROBABILITIES = ("hidden_dropout_prob", "attention_probs_dropout_prob")


class XUniterConfig(PretrainedConfig):
    """Sizes of an xUNITER model; the defaults are those of IGLUE's ctrl_xuniter_base.

    `head` names the task head (`None`: encoder and contrastive projections only) and `num_labels` its outputs.
    `hidden_dropout_prob` also applies to the fused vector that a head reads. VOLTA fixes the epsilon of the layers'
    normalisations and lets a model choose that of the embeddings: hence `embedding_layer_norm_eps`.

    Raises:
        ValueError: a size below 1, a probability outside [0, 1), sizes that do not fit together, an unknown head.
    """

    model_type = "xuniter"

    vocab_size: int = 250002
    hidden_size: int = 768
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    intermediate_size: int = 3072
    max_position_embeddings: int = 514
    type_vocab_size: int = 1
    layer_norm_eps: float = 1e-12
    embedding_layer_norm_eps: float = 1e-12
    pad_token_id: int | None = 1
    hidden_dropout_prob: float = 0.1
    attention_probs_dropout_prob: float = 0.1
    initializer_range: float = 0.02
    region_feature_size: int = 2048
    region_location_size: int = 5
    pooler_size: int = 1024
    classifier_hidden_size: int = 1536
    contrastive_size: int = 256
    head: HeadKind | None = None

    def __post_init__(self, **kwargs: object) -> None:
        super().__post_init__(**kwargs)
        for name in SIZES:
            value = getattr(self, name)
            if not isinstance(value, int) or value < 1:
                raise ValueError(f"{name} is {value!r}; expected a whole number of at least 1")
        for name in PROBABILITIES:
            value = getattr(self, name)
            if not isinstance(value, int | float) or not 0 <= value < 1:
                raise ValueError(f"{name} is {value!r}; expected a probability of at least 0 and below 1")
        if self.hidden_size % self.num_attention_heads:
            raise ValueError(
                f"hidden_size is {self.hidden_size}; expected a multiple of num_attention_heads, "
                f"{self.num_attention_heads}"
            )
        if self.pad_token_id not in range(self.vocab_size):
            raise ValueError(
                f"pad_token_id is {self.pad_token_id}; expected a row of the vocabulary of {self.vocab_size}"
            )
        check_head(self.head, self.num_labels)


def check_head(kind: str | None, num_labels: int) -> None:
    """Raise ValueError when no head of this kind with this many outputs exists."""
    if kind is not None and kind not in HEADS:
        raise ValueError(f"head is {kind!r}; expected one of {', '.join(HEADS)} or None{nearest(kind, HEADS)}")
    if kind == "matching" and num_labels != 1:
        raise ValueError(f"num_labels is {num_labels}; expected 1 for the head 'matching', one score per row")
