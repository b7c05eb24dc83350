"""What tasks, trainers and evaluation ask of a model beside being a `transformers.PreTrainedModel`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple, Protocol

from torch import Tensor

from iglue_plugins.data.inputs import Inputs


class HasTaskHeads(Protocol):
    """A model whose task head can be replaced.

    Its class may name its heads, modules or single parameters such as a temperature, by `head_modules`. They are what
    is trained beside an adapter, and what `trainer.adapt: heads` adapts. Otherwise the heads are what is outside of
    the part that `base_model_prefix` names.
    """

    def set_head(self, kind: str, num_labels: int) -> None:
        """Give the model a freshly initialized head, unless it has one of this kind and size already.

        Args:
            kind: The kind of head, as a task names it.
            num_labels: The number of outputs.
        """


class TakesContext(Protocol):
    """A model that can have a context, a `models.context.Context` among its modules, for CAVIA."""

    def set_context(self, size: int) -> None:
        """Give the model a freshly initialized context, unless it has one of this size already.

        Args:
            size: The number of context parameters; 0: no context.
        """


class EmbedsPairs(Protocol):
    """A model that embeds texts and images into one space, for the contrastive loss."""

    def embed_text(self, **inputs: Any) -> Tensor:
        """Embed texts.

        Args:
            inputs: The text side of N rows, as the model's processor makes it.

        Returns:
            (N, size) float, rows of L2 norm 1.
        """

    def embed_image(self, *, images_per_text: int = 1, **inputs: Any) -> Tensor:
        """Embed images.

        Args:
            images_per_text: How many neighboring rows belong to one text and get one vector.
            inputs: The image side of N * images_per_text rows, as the model's processor makes it.

        Returns:
            (N, size) float, rows of L2 norm 1.
        """


class EmbedsJointly(Protocol):
    """A model that can embed texts and images from one pass over both, in which they see each other."""

    def embed_joint(
        self, text: Mapping[str, Any], image: Mapping[str, Any], images_per_text: int = 1
    ) -> tuple[Tensor, Tensor]:
        """Embed image-text pairs.

        Args:
            text: The text side of N rows.
            image: The image side of N * images_per_text rows.
            images_per_text: How many neighboring images belong to one text.

        Returns:
            Text and image vectors, (N, size) float each, rows of L2 norm 1.
        """


class SimilarityScale(NamedTuple):
    """How a model turns cosines into logits: scale * cosine + bias.

    Attributes:
        scale: A scalar tensor, which may be trained.
        bias: A scalar tensor; None where the model has none.
    """

    scale: Tensor
    bias: Tensor | None = None


class HasSimilarityScale(Protocol):
    """A model that brings the scale of its contrastive loss, and perhaps its bias."""

    def similarity_scale(self) -> SimilarityScale:
        """Return the scale and the bias."""


class ScoresPairsByEmbeddings(Protocol):
    """A model whose score of a (text, image) pair depends on the dot product of their embeddings alone.

    Retrieval then embeds each text and each image once.

    Attributes:
        is_dual_encoder: True.
    """

    is_dual_encoder: ClassVar[bool]


class PrecomputesEmbeddings(Protocol):
    """A model over pairs that can do the part of the work that belongs to one side once."""

    def precompute_embeddings(self, inputs: Inputs) -> Inputs:
        """Embed texts, images or both once, for forward passes that pair each of them with many others.

        Args:
            inputs: The text side, the image side, or both.

        Returns:
            Inputs of the same rows, which `forward` takes in their place.
        """


class RemapsTokenIds(Protocol):
    """A model whose token ids do nothing but choose rows of `get_input_embeddings().weight`.

    Masks and positions come from elsewhere, so that ids may count the rows of a smaller matrix.

    Attributes:
        token_id_keys: The keys of its inputs that hold token ids.
    """

    token_id_keys: ClassVar[tuple[str, ...]]
