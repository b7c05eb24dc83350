"""The contrastive losses, and which pairs of a batch are no negatives of each other."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from iglue_plugins.trainers.settings.base import ContrastiveLoss, SameImagePairs
from iglue_plugins.trainers.similarity import Similarity


class PairTargets(NamedTuple):
    """What each text and each image of P pairs is to each other; row = text, column = image.

    What is neither positive nor excluded is a negative.

    Attributes:
        positive: (P, P) bool, the right answers; None: the diagonal alone, the pairs themselves.
        excluded: (P, P) bool, what the loss leaves out; None: nothing. The diagonal is never excluded.
    """

    positive: Tensor | None = None
    excluded: Tensor | None = None

    @property
    def transposed(self) -> PairTargets:
        """The targets of the images among the texts: row = image, column = text."""
        return PairTargets(*(None if part is None else part.T for part in self))

    def negative(self, count: int, device: torch.device) -> Tensor:
        """Return which images are wrong answers of which texts.

        Args:
            count: The number of pairs P.
            device: Where the result is made.

        Returns:
            (P, P) bool.
        """
        known = torch.eye(count, dtype=torch.bool, device=device) if self.positive is None else self.positive
        return ~known if self.excluded is None else ~(known | self.excluded)


def pair_targets(image_identity: Tensor, text_identity: Tensor, choice: SameImagePairs) -> PairTargets:
    """Find the texts and images of a batch that belong together although they stand in different pairs.

    Text a belongs to image b if some pair of the batch has the text of a and the image of b: all texts of an image
    belong to it, and all images of a text. (Of the pairs (s, I), (t, I) and (t, J), t belongs to both images wherever
    it stands, and s to I alone.) Where an example has two images and shares one of them with another example, it is not
    known whether its text describes the other one; such a text is no positive, and is excluded under 'masked' and
    'positives' alike.

    Args:
        image_identity: (P, images of an example) int64, equal for the same image.
        text_identity: (P,) int64, equal for the same text.
        choice: 'masked' excludes what belongs together, 'positives' makes it right answers, and 'negatives' takes it
            for negatives, as if all pairs were strangers.

    Returns:
        The targets of `contrastive_loss`.
    """
    if choice == "negatives":
        return PairTargets()
    itself = torch.eye(len(text_identity), dtype=torch.bool, device=text_identity.device)
    same_text = text_identity[:, None] == text_identity
    equal = image_identity[:, None, :, None] == image_identity[None, :, None, :]  # (P, P, images, images)
    related = _compose(same_text, equal.any(-1).any(-1))
    if choice == "masked":
        return PairTargets(excluded=related & ~itself)
    positive = _compose(same_text, equal.diagonal(dim1=-2, dim2=-1).all(-1))
    return PairTargets(positive, related & ~positive)


def _compose(texts: Tensor, images: Tensor) -> Tensor:
    """Tell for which a and b there is an m with texts[a, m] and images[m, b]; all (P, P) bool."""
    return (texts.float() @ images.float()) > 0.5


def pair_loss(
    contrastive: ContrastiveLoss, text: Tensor, image: Tensor, similarity: Similarity, targets: PairTargets
) -> Tensor:
    """Compute the contrastive loss that settings choose.

    Args:
        contrastive: 'infonce' or 'sigmoid'.
        text: L2-normalized text vectors, float (P, size).
        image: L2-normalized image vectors, float (P, size).
        similarity: The temperature, and the bias of the sigmoid loss.
        targets: What is positive and what is excluded.

    Returns:
        A scalar.
    """
    if contrastive == "infonce":
        return contrastive_loss(text, image, similarity.temperature, targets)
    assert similarity.bias is not None  # `check_contrastive`
    return sigmoid_loss(text, image, similarity.temperature, similarity.bias, targets)


def sigmoid_loss(
    text: Tensor,
    image: Tensor,
    temperature: float | Tensor,
    bias: Tensor,
    targets: PairTargets = PairTargets(),
) -> Tensor:
    """Compute SigLIP's loss over a batch of image-text pairs: is this text this image's, yes or no?

    Every text with every image is a question of its own; `targets` says which answers are right and which questions are
    left out.

    Args:
        text: L2-normalized text vectors, float (P, size).
        image: L2-normalized image vectors, float (P, size); row i belongs to row i of `text`.
        temperature: What divides the cosine similarities.
        bias: What is added to them then, a scalar.
        targets: What is positive and what is excluded; by default the diagonal and nothing.

    Returns:
        A scalar, the binary cross-entropies summed over all questions and divided by P.

    Source: SigLIP (Zhai et al. 2023, algorithm 1).
    """
    logits = text @ image.T / temperature + bias
    count = len(text)
    positive = torch.eye(count, dtype=torch.bool, device=text.device) if targets.positive is None else targets.positive
    losses = -functional.logsigmoid(torch.where(positive, logits, -logits))
    if targets.excluded is not None:
        losses = losses.masked_fill(targets.excluded, 0)
    return losses.sum() / count


def contrastive_loss(
    text: Tensor, image: Tensor, temperature: float | Tensor, targets: PairTargets = PairTargets()
) -> Tensor:
    """Compute symmetric InfoNCE over a batch of image-text pairs, the method's L_CL.

    By default each text is to find the image of its pair among all images of the batch, and each image its text. That
    is InfoNCE if the others are wrong answers. `targets` says which are not: another caption of the same image is as
    right as the pair's own, and the loss could not fall below log m where m answers are equally right, while its
    gradient would push the right ones away.

    With excluded answers each term stays what InfoNCE is, the choice of one right answer among wrong ones, 0 at its
    best, with the negatives that the text or image has left: it is the term of a batch without the pairs that are
    excluded for it. With several positives the target is uniform over them, as in supervised contrastive learning
    (L_out) and UniCL: a cross-entropy whose minimum is log m, where the m right answers are equally similar.

    A text or image without negatives has nothing to choose from and contributes nothing; the mean is over the others.
    If there are none, the loss is 0, and its gradient too.

    Args:
        text: L2-normalized text vectors, float (P, size).
        image: L2-normalized image vectors, float (P, size); row i belongs to row i of `text`.
        temperature: What divides the cosine similarities.
        targets: What is positive and what is excluded; by default the diagonal and nothing.

    Returns:
        A scalar, the mean of the cross-entropies from texts to images and from images to texts.

    Source: the XVL-MAML paper (arXiv 2305.14843); CLIP (Radford et al. 2021); InfoNCE (van den Oord et al. 2018);
    false negatives (Chuang et al. 2020); several positives (Khosla et al. 2020; UniCL, Yang et al. 2022).
    """
    similarity = text @ image.T / temperature
    negative = targets.negative(len(text), text.device)
    return (
        _cross_entropy(similarity, targets, negative) + _cross_entropy(similarity.T, targets.transposed, negative.T)
    ) / 2


def _cross_entropy(logits: Tensor, targets: PairTargets, negative: Tensor) -> Tensor:
    """Compute the mean cross-entropy over the rows that have a negative; it is 0 where no row has one."""
    if targets.excluded is not None:
        # Once for each direction, so that layouts, and with them the rounding, are those of a loss without exclusions.
        logits = logits.masked_fill(targets.excluded, -torch.inf)
    counted = negative.any(1)
    if targets.positive is None:
        rows = torch.arange(len(logits), device=logits.device)
        # Where no row counts, all of them stay: they have but one answer each, and their loss is exactly 0.
        return functional.cross_entropy(logits, torch.where(counted | ~counted.any(), rows, -1), ignore_index=-1)
    logarithms = functional.log_softmax(logits, 1).masked_fill(~targets.positive, 0)
    losses = -logarithms.sum(1) / targets.positive.sum(1)
    return losses.masked_fill(~counted, 0).sum() / counted.sum().clamp(min=1)
