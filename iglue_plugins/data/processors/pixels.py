"""The processor of models that read the pixels of pictures."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from transformers import PreTrainedTokenizerBase
from typing_extensions import override

from iglue_plugins.data.image_kind import ImageKind
from iglue_plugins.data.inputs import Inputs
from iglue_plugins.data.pictures.source import PictureSource
from iglue_plugins.data.processors.base import ImageFacts, Processor
from iglue_plugins.data.processors.pixel_values import needed_side, process_pictures
from iglue_plugins.data.processors.texts import DistinctTexts
from iglue_plugins.utils.errors import UserError
from iglue_plugins.utils.progress import progress_bar

TINY_SIDE = 8  # pixels of a tiny picture, by which pictures are compared
READ_SIDE = 8 * TINY_SIDE  # that pictures are read with for it


class PixelImages:
    """Pictures of a task's images, each read when a batch needs it.

    Args:
        pictures: Where the pictures are.
        image_processor: What makes pixel values of them, a `transformers.BaseImageProcessor`.
        task: The task's name, for errors.
    """

    def __init__(self, pictures: PictureSource, image_processor: Any, task: str) -> None:
        self._pictures = pictures
        self._image_processor = image_processor
        self._least_side = needed_side(image_processor)
        self._task = task
        self._positions: dict[str, int] = {}
        self._ids: list[str] = []
        self._descriptors: dict[int, np.ndarray] = {}

    def index(self, image_ids: Iterable[str]) -> np.ndarray:
        """Look up images, and number those that are new.

        Args:
            image_ids: The ids of N images.

        Returns:
            (N,) int64, a position for each image: the number of different images that were asked for before it.

        Raises:
            UserError: There is no picture of an image.
        """
        return np.asarray([self._position(image_id) for image_id in image_ids], dtype=np.int64)

    def inputs(self, positions: np.ndarray) -> Inputs:
        """Read the pictures of some rows, each once.

        A JPEG whose shorter side has at least four times the pixels that the image processor makes of it is decoded at
        a half, a quarter or an eighth of its size, but never at less than twice those pixels.

        Args:
            positions: (N,) int64, positions of images.

        Returns:
            `image_rows` (N,) int64, which of the D distinct pictures each row has; and shared by all rows what the
            image processor makes of D pictures, such as `pixel_values` (D, 3, height, width) float32.

        Raises:
            UserError: A picture cannot be read, or the image processor refuses it.
        """
        distinct, image_rows = np.unique(positions, return_inverse=True)
        ids = [self._ids[position] for position in distinct]
        pictures = [self._pictures.picture(image_id, self._least_side) for image_id in ids]
        shared = process_pictures(self._image_processor, pictures, ids)
        return Inputs({**shared, "image_rows": torch.from_numpy(image_rows)}, len(positions), frozenset(shared))

    def descriptors(self, positions: np.ndarray) -> Tensor:
        """Describe pictures by tiny copies of them, which are near each other where pictures look alike.

        They are read once, whatever the number of calls.

        Args:
            positions: (U,) int64, positions of images.

        Returns:
            (U, 192) float32: the colors of 8 x 8 pixels, of mean 0 and norm 1 in each picture, so that brightness and
            contrast do not count; 0 for a picture of one gray.

        Raises:
            UserError: A picture cannot be read.

        Source: Torralba et al. 2008 (80 million tiny images), who compare 32 x 32 pixels normalized so.
        """
        new = [position for position in dict.fromkeys(positions.tolist()) if position not in self._descriptors]
        for position in progress_bar(iterable=new, desc="tiny pictures", unit=" pictures"):
            self._descriptors[position] = _tiny(self._pictures.picture(self._ids[position], READ_SIDE))
        return torch.from_numpy(np.stack([self._descriptors[position] for position in positions.tolist()]))

    def _position(self, image_id: str) -> int:
        if image_id not in self._positions:
            if not self._pictures.has(image_id):
                raise UserError(
                    f"task {self._task}: there is no picture of image '{image_id}'; add it, or choose other examples"
                )
            self._positions[image_id] = len(self._ids)
            self._ids.append(image_id)
        return self._positions[image_id]


class PixelProcessor(Processor):
    """Makes token ids and pixel values; the processor of dual encoders, which plugins can use too.

    A batch holds each distinct text and picture once: values without a row axis, and `text_rows` and `image_rows`, both
    (N,) int64, which say what each of N rows has. The model takes these as arguments beside the others.

    Args:
        tokenizer: The model's tokenizer.
        image_processor: The model's image processor, a `transformers.BaseImageProcessor`.
        max_text_length: The number of tokens that the model has positions for; None: as the tokenizer says.
        padded_length: The length that every text is padded to, with no attention mask, as SigLIP was trained; None pads
            to the longest text of a batch, with a mask.
        lowercase: Whether texts are put in small letters, as SigLIP was trained.

    Attributes:
        tokenizer: The model's tokenizer.
        image_processor: The model's image processor.
    """

    reads: ClassVar[ImageKind] = "pixels"

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        image_processor: Any,
        *,
        max_text_length: int | None = None,
        padded_length: int | None = None,
        lowercase: bool = False,
    ) -> None:
        self.tokenizer = tokenizer
        self.image_processor = image_processor
        limits = (tokenizer.model_max_length, max_text_length, padded_length)
        self._limit = min(limit for limit in limits if limit is not None)
        self._padded_length = padded_length
        self._lowercase = lowercase

    @override
    def prepare_texts(self, texts: Sequence[str], max_length: int) -> DistinctTexts:
        read = (text.lower() for text in texts) if self._lowercase else texts
        return DistinctTexts(read, self.tokenizer, min(max_length, self._limit), self._padded_length)

    @override
    def prepare_images(self, task: ImageFacts) -> PixelImages:
        return PixelImages(task.pictures, self.image_processor, task.name)

    @override
    def save_pretrained(self, folder: str | Path) -> None:
        self.tokenizer.save_pretrained(str(folder))
        self.image_processor.save_pretrained(str(folder))


def _tiny(picture: Image.Image) -> np.ndarray:
    pixels = picture.convert("RGB").resize((TINY_SIDE, TINY_SIDE), Image.Resampling.BOX)
    vector = np.asarray(pixels, dtype=np.float32).ravel()
    vector -= vector.mean()
    norm = float(np.linalg.norm(vector))
    return vector / norm if norm > 0 else vector
