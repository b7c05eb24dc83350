"""Configurations of the UNITER family: one encoder, and what makes it an xUNITER, a UC2 or an mUNITER."""

from __future__ import annotations

from typing import Any, Literal, get_args

from transformers import PretrainedConfig

from iglue_plugins.utils.errors import did_you_mean

HeadKind = Literal["classifier", "answers", "paired", "matching"]
PositionIds = Literal["xlm-r", "bert"]
Fusion = Literal["mul", "text"]

HEADS: tuple[HeadKind, ...] = get_args(HeadKind)
CHOICES = {"position_ids": get_args(PositionIds), "fusion": get_args(Fusion), "region_location_size": (5, 7)}
FLAGS = ("shared_type_embeddings", "global_region")
SIZES = (
    "vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size",
    "max_position_embeddings", "type_vocab_size", "region_feature_size", "pooler_size", "classifier_hidden_size",
    "contrastive_size", "num_labels",
)  # fmt: skip
PROBABILITIES = ("hidden_dropout_prob", "attention_probs_dropout_prob")
POSITIVE = ("layer_norm_eps", "initializer_range")


class UniterConfig(PretrainedConfig):
    """Sizes and make-up of a UNITER (Chen et al. 2020): one transformer over [text; regions].

    The fields without a default are what the members of the family differ in; each member below gives them.

    - position_ids: 'xlm-r': the n-th token has pad_token_id + n, padding has pad_token_id; 'bert': counted from 0.
    - shared_type_embeddings: one table of token types, row 0 for text and row 1 for regions; otherwise text and regions
      each have a table of their own and use its row 0.
    - region_location_size: 5 (x1 y1 x2 y2 area) or 7 (x1 y1 x2 y2 width height area).
    - global_region: the mean of an image's regions stands before them as a region of its own (data.regions).
    - fusion: the vector that a head reads. 'mul': product of the pooled first token and the pooled first region;
      'text': the pooled first token alone. There is no region pooler then, and the image of the contrastive loss is the
      mean of its regions' last hidden states.

    `head` names the task head (`None`: encoder and contrastive projections only) and `num_labels` its outputs.
    `hidden_dropout_prob` also applies to the fused vector that a head reads.

    Raises:
        ValueError: a size below 1, a probability outside [0, 1), another number outside (0, 1), an unknown choice,
            sizes that do not fit together, an unknown head.
    """

    vocab_size: int
    max_position_embeddings: int
    position_ids: PositionIds
    pad_token_id: int | None
    type_vocab_size: int
    shared_type_embeddings: bool
    layer_norm_eps: float
    region_location_size: int
    global_region: bool
    fusion: Fusion
    pooler_size: int
    classifier_hidden_size: int

    hidden_size: int = 768
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    intermediate_size: int = 3072
    hidden_dropout_prob: float = 0.1
    attention_probs_dropout_prob: float = 0.1
    initializer_range: float = 0.02
    region_feature_size: int = 2048
    contrastive_size: int = 256
    head: HeadKind | None = None

    def __post_init__(self, **kwargs: Any) -> None:
        embeddings_eps = kwargs.pop("embedding_layer_norm_eps", self.layer_norm_eps)  # once a field of its own
        super().__post_init__(**kwargs)
        if embeddings_eps != self.layer_norm_eps:
            raise ValueError(f"embedding_layer_norm_eps is {embeddings_eps}; expected layer_norm_eps to hold for all")
        self._check_values()
        self._check_together()
        check_head(self.head, self.num_labels)

    def _check_values(self) -> None:
        for name in SIZES:
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise ValueError(f"{name} is {value!r}; expected a whole number of at least 1")
        for name in PROBABILITIES:
            value = getattr(self, name)
            if not isinstance(value, int | float) or not 0 <= value < 1:
                raise ValueError(f"{name} is {value!r}; expected a probability of at least 0 and below 1")
        for name in POSITIVE:
            value = getattr(self, name)
            if not isinstance(value, int | float) or not 0 < value < 1:
                raise ValueError(f"{name} is {value!r}; expected a number above 0 and below 1")
        for name, choices in CHOICES.items():
            value = getattr(self, name)
            if value not in choices:
                raise ValueError(f"{name} is {value!r}; expected one of {', '.join(map(str, choices))}")
        for name in FLAGS:
            if not isinstance(getattr(self, name), bool):
                raise ValueError(f"{name} is {getattr(self, name)!r}; expected true or false")

    def _check_together(self) -> None:
        if self.hidden_size % self.num_attention_heads:
            raise ValueError(
                f"hidden_size is {self.hidden_size}; expected a multiple of num_attention_heads, "
                f"{self.num_attention_heads}"
            )
        if self.pad_token_id not in range(self.vocab_size):
            raise ValueError(
                f"pad_token_id is {self.pad_token_id}; expected a row of the vocabulary of {self.vocab_size}"
            )
        if self.shared_type_embeddings and self.type_vocab_size < 2:
            raise ValueError("type_vocab_size is 1; expected at least 2 where text and regions share the table")
        if self.text_capacity < 1:
            raise ValueError(
                f"max_position_embeddings is {self.max_position_embeddings}; expected more than pad_token_id + 1, "
                f"{self.pad_token_id + 1}, since XLM-R's positions begin there"
            )

    @property
    def text_capacity(self) -> int:
        """How many tokens a text may have."""
        used = self.pad_token_id + 1 if self.position_ids == "xlm-r" else 0
        return self.max_position_embeddings - used

    @property
    def region_pooled_size(self) -> int:
        """Of the vector that stands for an image."""
        return self.pooler_size if self.fusion == "mul" else self.hidden_size


class XUniterConfig(UniterConfig):
    """IGLUE's xUNITER (ctrl_xuniter_base.json): UNITER on XLM-R."""

    model_type = "xuniter"
    vocab_size: int = 250002
    max_position_embeddings: int = 514
    position_ids: PositionIds = "xlm-r"
    pad_token_id: int | None = 1
    type_vocab_size: int = 1
    shared_type_embeddings: bool = False
    layer_norm_eps: float = 1e-12
    region_location_size: int = 5
    global_region: bool = True
    fusion: Fusion = "mul"
    pooler_size: int = 1024
    classifier_hidden_size: int = 1536


class UC2Config(UniterConfig):
    """IGLUE's UC2 (uc2_base.json): UNITER on XLM-R as Zhou et al. 2021 built it."""

    model_type = "uc2"
    vocab_size: int = 250002
    max_position_embeddings: int = 514
    position_ids: PositionIds = "xlm-r"
    pad_token_id: int | None = 1
    type_vocab_size: int = 2
    shared_type_embeddings: bool = True
    layer_norm_eps: float = 1e-5
    region_location_size: int = 7
    global_region: bool = False
    fusion: Fusion = "text"
    pooler_size: int = 768
    classifier_hidden_size: int = 768


class MUniterConfig(UniterConfig):
    """IGLUE's mUNITER (ctrl_muniter_base.json): UNITER on multilingual BERT."""

    model_type = "muniter"
    vocab_size: int = 119547
    max_position_embeddings: int = 512
    position_ids: PositionIds = "bert"
    pad_token_id: int | None = 0
    type_vocab_size: int = 2
    shared_type_embeddings: bool = True
    layer_norm_eps: float = 1e-12
    region_location_size: int = 5
    global_region: bool = True
    fusion: Fusion = "mul"
    pooler_size: int = 1024
    classifier_hidden_size: int = 1536


def check_head(kind: str | None, num_labels: int) -> None:
    """Raise ValueError when no head of this kind with this many outputs exists."""
    if kind is not None and kind not in HEADS:
        raise ValueError(f"head is {kind!r}; expected one of {', '.join(HEADS)} or None{did_you_mean(kind, HEADS)}")
    if kind == "matching" and num_labels != 1:
        raise ValueError(f"num_labels is {num_labels}; expected 1 for the head 'matching', one score per row")
