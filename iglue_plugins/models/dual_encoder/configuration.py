"""Configuration of a dual encoder with a task head."""

from __future__ import annotations

from typing import Any, ClassVar, get_args

from transformers import AutoConfig, PretrainedConfig
from transformers.configuration_utils import SubConfigSpec

from iglue_plugins.models.configuration import HeadKind, check_context_size, check_head
from iglue_plugins.models.dual_encoder.settings import FusionKind

FUSIONS = get_args(FusionKind)


class DualEncoderConfig(PretrainedConfig):
    """Design of a dual encoder with a task head: the encoder's own configuration, and the head's.

    Attributes:
        encoder_config: The configuration of the dual encoder of transformers.
        fusion: What the head reads of text and image: 'concat' or 'cross_attention'.
        fusion_layers: The number of layers of 'cross_attention'.
        dropout: Dropout of the head.
        layer_norm_eps: Epsilon of the head's layer normalizations.
        initializer_range: Standard deviation of the head's fresh weights.
        head: Kind of the task head; None: the encoder only.
        num_labels: Outputs of the head.
        context_size: Number of context parameters (`models.context`); 0: the model has no context.

    Raises:
        ValueError: A number is out of its range, or the fusion or the head is unknown.
    """

    model_type = "dual_encoder"
    sub_configs_defaults: ClassVar[dict[str, Any]] = {"encoder_config": SubConfigSpec(AutoConfig, model_type="siglip")}

    encoder_config: PretrainedConfig | dict[str, Any] | None = None
    fusion: FusionKind = "concat"
    fusion_layers: int = 1
    dropout: float = 0.1
    layer_norm_eps: float = 1e-6
    initializer_range: float = 0.02
    head: HeadKind | None = None
    context_size: int = 0

    def __post_init__(self, **kwargs: Any) -> None:
        super().__post_init__(**kwargs)
        if self.fusion not in FUSIONS:
            raise ValueError(f"fusion is {self.fusion!r}; expected one of {', '.join(FUSIONS)}")
        if isinstance(self.fusion_layers, bool) or self.fusion_layers < 1:
            raise ValueError(f"fusion_layers is {self.fusion_layers!r}; expected a whole number of at least 1")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout is {self.dropout!r}; expected a probability of at least 0 and below 1")
        check_context_size(self.context_size)
        self.head = check_head(self.head, self.head_outputs)

    @property
    def encoder(self) -> PretrainedConfig:
        """Return the configuration of the dual encoder of transformers."""
        assert isinstance(self.encoder_config, PretrainedConfig)
        return self.encoder_config

    @property
    def head_outputs(self) -> int:
        """Return the number of the head's outputs, which is `num_labels`."""
        if self.num_labels is None:
            raise ValueError("num_labels is None; expected a whole number of at least 1")
        return self.num_labels

    @property
    def embedding_size(self) -> int:
        """Return the width of the space in which the encoder compares texts and images."""
        size: int | None = getattr(self.encoder, "projection_dim", None)
        return self.encoder.text_config.projection_size if size is None else size

    @property
    def classifier_hidden_size(self) -> int:
        """Return the width between the two layers of the head, which is that of the embeddings."""
        return self.embedding_size

    @property
    def text_width(self) -> int:
        """Return the width of the text tower's last hidden states."""
        config = self.encoder.text_config
        return config.project_dim if config.model_type == "altclip_text_model" else config.hidden_size

    @property
    def image_width(self) -> int:
        """Return the width of the vision tower's last hidden states."""
        return self.encoder.vision_config.hidden_size
