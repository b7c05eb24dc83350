"""Bottom-up attention's detector as a maker of regions."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Literal

import PIL
import torch
from PIL import Image
from typing_extensions import override

from iglue_plugins.data.stores.format import DetectionSettings
from iglue_plugins.models.detector.network import FasterRCNN
from iglue_plugins.models.detector.presets import Preset
from iglue_plugins.models.detector.resizing import PIXEL_MEANS, read_pixels
from iglue_plugins.models.detector.selection import select
from iglue_plugins.models.detector.vocabulary import attribute_names, object_names
from iglue_plugins.models.extraction.base import (
    PictureRegions,
    PreparedPicture,
    RegionExtractor,
    UnusablePictureError,
)
from iglue_plugins.utils.errors import UserError

NAME = "vg-r101"


class VisualGenomeDetector(RegionExtractor):
    """Finds objects in pictures as the features of IGLUE and of VOLTA's pre-training were made.

    A region's features are those of the proposal, whatever a preset does with its box. Pictures of a batch go through
    the network one by one, since a convolution of several pictures rounds otherwise than one of each, and regions are
    to depend on their picture alone; a picture's 300 proposals are a batch already.

    Args:
        network: The network, on its device.
        preset: How pictures are resized and boxes chosen.
        weights: The hub id of the weights, or the name of their file or folder.
        revision: The hub's commit, or the hash of the files.
        precision: What the convolutions compute in.
    """

    def __init__(
        self,
        network: FasterRCNN,
        preset: Preset,
        weights: str,
        revision: str,
        precision: Literal["float32", "bfloat16"] = "float32",
    ) -> None:
        self.network = network.to_precision(getattr(torch, precision)).eval()
        self.preset = preset
        config = network.config
        self.feature_size = config.features
        self.class_names = object_names() if config.classes == len(object_names()) else ()
        self.attribute_names = attribute_names() if config.attributes == len(attribute_names()) else ()
        self.settings = DetectionSettings(
            detector=NAME,
            preset=preset.name,
            weights=weights,
            revision=revision,
            precision=precision,
            options=self._options(),
        )

    @override
    def prepare(self, picture: Image.Image) -> PreparedPicture:
        return PreparedPicture(read_pixels(picture, self.preset.size), picture.size)

    @override
    def extract(self, pictures: Sequence[PreparedPicture]) -> list[PictureRegions | UnusablePictureError]:
        return [self._regions_or_reason(picture) for picture in pictures]

    def _options(self) -> dict[str, Any]:
        """Return all that determines the regions beside the weights and the precision, as a store's JSON has it."""
        size = asdict(self.preset.size)
        if size["resizing"] == "pillow":
            size["pillow"] = PIL.__version__
        options = {
            "size": size,
            "means_of_bgr": PIXEL_MEANS,
            "proposals": asdict(self.network.settings),
            "choice": asdict(self.preset.choice),
        }
        return json.loads(json.dumps(options))

    def _regions_or_reason(self, picture: PreparedPicture) -> PictureRegions | UnusablePictureError:
        try:
            return self._regions(picture)
        except UnusablePictureError as error:
            return error
        except torch.OutOfMemoryError as error:
            raise UserError(
                f"the GPU has no memory for the detector with a picture of {picture.pixels.shape[2]} x "
                f"{picture.pixels.shape[1]} pixels; use --device cpu, or a GPU that nothing else uses"
            ) from error

    def _regions(self, picture: PreparedPicture) -> PictureRegions:
        """Make the regions of a picture.

        Raises:
            UnusablePictureError: The preset leaves the picture out.
        """
        found = self.network(picture.pixels)
        width, height = picture.size
        resized = (picture.pixels.shape[1], picture.pixels.shape[2])
        chosen = select(
            self.preset,
            found.boxes,
            found.class_logits,
            found.attribute_logits,
            found.box_deltas,
            resized,
            (height, width),
        )
        return PictureRegions(
            features=found.features[chosen.index].numpy(),
            boxes=chosen.boxes.numpy(),
            classes=chosen.classes.numpy(),
            scores=chosen.scores.numpy(),
            attributes=None if chosen.attributes is None else chosen.attributes.numpy(),
            attribute_scores=None if chosen.attribute_scores is None else chosen.attribute_scores.numpy(),
        )
