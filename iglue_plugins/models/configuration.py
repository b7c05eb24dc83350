"""Configurations of the UNITER family: one encoder, whose settings make it an xUNITER, a UC2 or an mUNITER."""

from __future__ import annotations

from typing import Any, Literal, get_args

from transformers import PretrainedConfig

from iglue_plugins.utils.errors import did_you_mean

HeadKind = Literal["classifier", "vqa", "image_pair", "image_text_matching"]
PositionIds = Literal["xlm-r", "bert"]
Fusion = Literal["mul", "text"]

HEADS: tuple[HeadKind, ...] = get_args(HeadKind)
FORMER_HEADS: dict[str, HeadKind] = {  # names in checkpoints and recipes of earlier versions
    "answers": "vqa",
    "paired": "image_pair",
    "matching": "image_text_matching",
}
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
    """Sizes and design of a UNITER: one transformer over the sequence [text; regions].

    The fields without a default differ between the members of the family; each subclass below sets them.

    Attributes:
        vocab_size: Rows of the word embeddings.
        max_position_embeddings: Rows of the position embeddings.
        position_ids: How tokens are numbered. 'xlm-r': the n-th token has position pad_token_id + n, and padding has
            pad_token_id. 'bert': tokens are counted from 0.
        pad_token_id: Id of the padding token.
        type_vocab_size: Rows of a table of type embeddings.
        shared_type_embeddings: Whether one table holds the token types, row 0 for text and row 1 for regions. If False,
            text and regions have separate tables, of which row 0 is used.
        layer_norm_eps: Epsilon of every layer normalization.
        region_location_size: Numbers of a region's location: 5 (x1 y1 x2 y2 area) or 7 (x1 y1 x2 y2 width height area).
        global_region: Whether the mean of an image's regions stands before them as one more region (data.regions).
        fusion: The vector that a head reads. 'mul': the product of the pooled first token and the pooled first region.
            'text': the pooled first token alone; then the model has no region pooler, and the contrastive loss
            represents an image by the mean of its regions' last hidden states.
        pooler_size: Width of the pooled vectors.
        classifier_hidden_size: Width between the two layers of a head that has two.
        hidden_size: Width of the hidden states.
        num_hidden_layers: Number of transformer layers.
        num_attention_heads: Attention heads of a layer.
        intermediate_size: Width of the feed-forward blocks.
        hidden_dropout_prob: Dropout of hidden states, and of the fused vector that a head reads.
        attention_probs_dropout_prob: Dropout of attention weights.
        initializer_range: Standard deviation of fresh weights.
        region_feature_size: Width of a region's feature vector.
        contrastive_size: Width of the space in which the contrastive loss compares text and image.
        head: Kind of the task head; None: encoder and contrastive projections only. Names of earlier versions
            ('answers', 'paired', 'matching') are replaced by today's.
        num_labels: Outputs of the head.
        context_size: Number of context parameters (`models.context`); 0: the model has no context.

    Raises:
        ValueError: A size is below 1, a probability is outside [0, 1), another number is outside (0, 1), a choice or a
            head is unknown, or sizes do not fit together.

    Source: Chen et al. 2020 (UNITER); Bugliarello et al. 2022 (IGLUE).
    """

    vocab_size: int
    max_position_embeddings: int
    position_ids: PositionIds
    pad_token_id: int
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
    context_size: int = 0

    def __post_init__(self, **kwargs: Any) -> None:
        embeddings_eps = kwargs.pop("embedding_layer_norm_eps", self.layer_norm_eps)  # a field of earlier versions
        super().__post_init__(**kwargs)
        if embeddings_eps != self.layer_norm_eps:
            raise ValueError(
                f"embedding_layer_norm_eps is {embeddings_eps}, but layer_norm_eps is {self.layer_norm_eps}; every "
                "normalization uses layer_norm_eps, so remove embedding_layer_norm_eps"
            )
        self._check_values()
        self._check_together()
        check_context_size(self.context_size)
        self.head = check_head(self.head, self.head_outputs)

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
        """Return the number of tokens that a text may have."""
        used = self.pad_token_id + 1 if self.position_ids == "xlm-r" else 0
        return self.max_position_embeddings - used

    @property
    def region_pooled_size(self) -> int:
        """Return the width of the vector that represents an image."""
        return self.pooler_size if self.fusion == "mul" else self.hidden_size

    @property
    def head_outputs(self) -> int:
        """Return the number of the head's outputs, which is `num_labels`."""
        if self.num_labels is None:
            raise ValueError("num_labels is None; expected a whole number of at least 1")
        return self.num_labels


class XUniterConfig(UniterConfig):
    """IGLUE's xUNITER (ctrl_xuniter_base.json): UNITER on XLM-R."""

    model_type = "xuniter"
    vocab_size: int = 250002
    max_position_embeddings: int = 514
    position_ids: PositionIds = "xlm-r"
    pad_token_id: int = 1
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
    pad_token_id: int = 1
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
    pad_token_id: int = 0
    type_vocab_size: int = 2
    shared_type_embeddings: bool = True
    layer_norm_eps: float = 1e-12
    region_location_size: int = 5
    global_region: bool = True
    fusion: Fusion = "mul"
    pooler_size: int = 1024
    classifier_hidden_size: int = 1536


def current_head(kind: str) -> str:
    """Return today's name of a kind of head, which earlier versions may have named differently."""
    return FORMER_HEADS.get(kind, kind)


def check_head(kind: str | None, num_labels: int) -> HeadKind | None:
    """Check that a head of a kind with a number of outputs exists.

    Args:
        kind: The kind of head, or its name in earlier versions; None is always valid.
        num_labels: The number of its outputs.

    Returns:
        The kind under today's name.

    Raises:
        ValueError: The kind is unknown, or does not have this number of outputs.
    """
    if kind is None:
        return None
    current = current_head(kind)
    if current == "image_text_matching" and num_labels != 1:
        raise ValueError(f"num_labels is {num_labels}; expected 1 for the head {kind!r}, one score per row")
    for known in HEADS:
        if current == known:
            return known
    raise ValueError(f"head is {kind!r}; expected one of {', '.join(HEADS)} or None{did_you_mean(kind, HEADS)}")


def check_context_size(size: object) -> None:
    """Check the size of a context in a configuration.

    Args:
        size: The number of context parameters.

    Raises:
        ValueError: It is no whole number of at least 0.
    """
    if not isinstance(size, int) or isinstance(size, bool) or size < 0:
        raise ValueError(f"context_size is {size!r}; expected a whole number of at least 0")
