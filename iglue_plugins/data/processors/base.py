"""The interface between examples and a model's inputs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np
from torch import Tensor

from iglue_plugins.data.image_kind import ImageKind
from iglue_plugins.data.inputs import Inputs


class ImageFacts(Protocol):
    """The part of a task that a processor reads; `iglue_plugins.tasks.base.Task` is such a task.

    Attributes:
        name: The task's name, for errors.
        max_text_length: The number of tokens at which a text is cut, special tokens included.
        max_boxes: The number of regions kept of an image; None keeps all.
    """

    max_text_length: int
    max_boxes: int | None

    @property
    def global_region_takes_a_box(self) -> bool:
        """Whether a model's global region counts among `max_boxes`."""

    @property
    def name(self) -> str:
        """The task's name in recipes."""

    @property
    def regions(self) -> Any:
        """The `RegionStore` of the task's images.

        Raises:
            UserError: The task has no region features.
        """

    @property
    def pictures(self) -> Any:
        """The `PictureSource` of the task's images.

        Raises:
            UserError: The task has no pictures.
        """


class PreparedTexts(Protocol):
    """Texts that are tokenized once.

    Attributes:
        lengths: (texts,) int64, the number of tokens of each text; texts of similar length share a batch.
        identity: (texts,) int64, the position of the first text that the model cannot tell from each text.
    """

    @property
    def lengths(self) -> np.ndarray:
        """The number of tokens of each text."""

    @property
    def identity(self) -> np.ndarray:
        """The position of the first text that is the same to the model."""

    def inputs(self, rows: np.ndarray) -> Inputs:
        """Make the text side of some rows.

        Args:
            rows: (N,) int64, positions of texts.
        """


class PreparedImages(Protocol):
    """Images of a task that are looked up once, and read when a batch needs them."""

    def index(self, image_ids: Iterable[str]) -> np.ndarray:
        """Look up images.

        Args:
            image_ids: The ids of N images.

        Returns:
            (N,) int64, a position for each image, equal for the same image.

        Raises:
            UserError: The task does not have an image; the error names it.
        """

    def inputs(self, positions: np.ndarray) -> Inputs:
        """Make the image side of some rows.

        Args:
            positions: (N,) int64, positions of images.

        Raises:
            UserError: An image cannot be read.
        """

    def descriptors(self, positions: np.ndarray) -> Tensor:
        """Describe images by vectors that are near each other where images look alike, for hard negatives.

        Args:
            positions: (U,) int64, positions of images.

        Returns:
            (U, size) float32.
        """


class Processor(ABC):
    """Turns texts and images into what its model takes; only a model and its processor know what that is.

    Attributes:
        reads: What the model sees of an image: the features of its regions, or its pixels.
    """

    reads: ClassVar[ImageKind]

    @abstractmethod
    def prepare_texts(self, texts: Sequence[str], max_length: int) -> PreparedTexts:
        """Tokenize texts once.

        Args:
            texts: The texts, which may be read from the disk as a loop goes over them; a slice is a list.
            max_length: Tokens at which the task cuts a text, special tokens included.
        """

    @abstractmethod
    def prepare_images(self, task: ImageFacts) -> PreparedImages:
        """Find a task's images.

        Args:
            task: The task.

        Raises:
            UserError: The task does not have what the model reads.
        """

    def collate(self, text: Inputs, image: Inputs) -> Inputs:
        """Put the two sides of (text, image) rows together to what `model(**inputs)` takes.

        Args:
            text: The text side of N rows.
            image: The image side of the same rows.

        Returns:
            The inputs of N rows; by default those of both sides.
        """
        return text.merge(image)

    @abstractmethod
    def save_pretrained(self, folder: str | Path) -> None:
        """Save what the model's plugin needs to load the processor again.

        Args:
            folder: The folder of the saved model.
        """
