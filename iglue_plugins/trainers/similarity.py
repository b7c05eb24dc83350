"""How a loss turns the cosines of text and image vectors into logits."""

from __future__ import annotations

from typing import NamedTuple, cast

from torch import Tensor
from transformers import PreTrainedModel

from iglue_plugins.models.protocols import HasSimilarityScale, SimilarityScale
from iglue_plugins.trainers.settings.base import DEFAULT_TEMPERATURE, ContrastiveLoss
from iglue_plugins.utils.errors import UserError


class Similarity(NamedTuple):
    """Logits are cosine / temperature + bias.

    Attributes:
        temperature: A number, or a scalar tensor where it is trained.
        bias: A scalar tensor, which the sigmoid loss adds; None where the model has none.
    """

    temperature: float | Tensor
    bias: Tensor | None = None


def similarity_of(model: PreTrainedModel, temperature: float | None) -> Similarity:
    """Choose the temperature and bias of a contrastive loss.

    Args:
        model: The model.
        temperature: The temperature of the settings; None takes the model's scale, and 0.07 where it has none.
    """
    scale = _own_scale(model)
    if temperature is None:
        return Similarity(DEFAULT_TEMPERATURE if scale is None else 1 / scale.scale, scale and scale.bias)
    return Similarity(temperature, scale and scale.bias)


def check_contrastive(model: PreTrainedModel, contrastive: ContrastiveLoss, joint_pass: bool = False) -> None:
    """Check that a model has what a contrastive loss needs.

    Args:
        model: The model.
        contrastive: The loss.
        joint_pass: Whether text and image vectors come from one pass over both.

    Raises:
        UserError: The sigmoid loss needs a bias, a joint pass `embed_joint`, and the model has none.
    """
    scale, name = _own_scale(model), type(model).__name__
    if contrastive == "sigmoid" and (scale is None or scale.bias is None):
        raise UserError(
            f"trainer.contrastive is 'sigmoid', which needs a scale and a bias of the model's, as SigLIP has; the "
            f"{name} has none, so set it to 'infonce'"
        )
    if joint_pass and not hasattr(model, "embed_joint"):
        raise UserError(
            f"trainer.joint_pass is true, but text and image do not see each other in a {name}, which has no method "
            "embed_joint; set it to false"
        )


def check_embeds(model: PreTrainedModel) -> None:
    """Check that a model embeds texts and images, as a contrastive loss needs it.

    Args:
        model: The model.

    Raises:
        UserError: The model lacks `embed_text` or `embed_image`.
    """
    lacking = [method for method in ("embed_text", "embed_image") if not hasattr(model, method)]
    if lacking:
        raise UserError(
            f"the contrastive loss takes embed_text and embed_image of the model, but a {type(model).__name__} has no "
            f"{' and no '.join(lacking)}; add {'them' if len(lacking) > 1 else 'it'} to the class, or set each loss of "
            "the trainer to 'task'"
        )


def _own_scale(model: PreTrainedModel) -> SimilarityScale | None:
    return cast("HasSimilarityScale", model).similarity_scale() if hasattr(model, "similarity_scale") else None
