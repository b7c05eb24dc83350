"""The kinds of task that a user's own data can be; this module imports neither PyTorch nor datasets."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Kind:
    """What the examples of a kind of task are.

    Attributes:
        name: The task's name after `custom/`.
        images: The number of images of an example.
        images_column: The field of a row that names its image or images, unless the data say otherwise.
        labels: The labels, unless the data say otherwise; None if the training examples say which there are.
        has_labels: Whether rows have a label; those of retrieval have none.
        aligned: The label of a text that describes its image, unless the data say otherwise.
    """

    name: str
    images: int = 1
    images_column: str = "image"
    labels: tuple[str, ...] | None = None
    has_labels: bool = True
    aligned: str | None = None


NLI = Kind("nli", labels=("contradiction", "entailment", "neutral"), aligned="entailment")
VQA = Kind("vqa")
IMAGE_PAIR = Kind("image_pair", images=2, images_column="images", labels=("False", "True"), aligned="True")
RETRIEVAL = Kind("retrieval", labels=("match",), has_labels=False)
