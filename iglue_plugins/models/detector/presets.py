"""The ways to read a picture and to choose its boxes that published features were made with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Resizing = Literal["pillow", "opencv", "interpolate"]


@dataclass(frozen=True)
class ImageSize:
    """Says how large the picture is that the network reads.

    Attributes:
        short_side: The length that the short side is resized to, in pixels.
        long_side: The most that the long side may have; where it would have more, it has this, and the short side less.
        resizing: What resizes: 'pillow' bytes with antialiasing, as detectron2 does; 'opencv' float32 without it, as
            Caffe's scripts do; 'interpolate' float32 without it, as the port to transformers does.
    """

    short_side: int
    long_side: int
    resizing: Resizing


@dataclass(frozen=True)
class RegressedBoxes:
    """Says how boxes are chosen among those that the network corrects by the best class of each proposal.

    One suppression takes all proposals, whatever their class. It is tried with one threshold after another until it
    leaves enough boxes; where none does, the picture is left out.

    Attributes:
        thresholds: The greatest intersection over union of two chosen boxes, rising.
        fewest: How many boxes there have to be.
        most: How many there are at most.
        cut_to_picture: Whether boxes are clipped again in pixels of the picture itself, and the picture is left out
            where one of them is empty; without it, boxes may be empty.
    """

    thresholds: tuple[float, ...]
    fewest: int
    most: int
    cut_to_picture: bool


@dataclass(frozen=True)
class ProposedBoxes:
    """Says how boxes are chosen among the proposals, which stay as they are, as Caffe's scripts do.

    A proposal's confidence is the best of the probabilities of those classes whose suppression keeps it.

    Attributes:
        threshold: What the intersection over union of two boxes of a class is less than.
        confidence: Proposals with at least this confidence are chosen.
        fewest: Where they are fewer, this many of the highest confidence are chosen.
        most: Where they are more, this many of the highest confidence are chosen.
    """

    threshold: float
    confidence: float
    fewest: int
    most: int


@dataclass(frozen=True)
class Preset:
    """Names a way to make regions of a picture.

    Attributes:
        name: Its name, which a store keeps.
        size: How large the picture is that the network reads.
        choice: How boxes are chosen.
    """

    name: str
    size: ImageSize
    choice: RegressedBoxes | ProposedBoxes

    def __post_init__(self) -> None:
        if not 0 < self.choice.fewest <= self.choice.most:
            raise ValueError(f"preset {self.name}: {self.choice.fewest} to {self.choice.most} boxes are no range")


# numpy.arange(0.5, 1, 0.1), which the scripts go through, to the last bit
RISING_THRESHOLDS = (0.5, 0.6, 0.7, 0.7999999999999999, 0.8999999999999999)

# iglue-36 made the features of IGLUE's tasks, caffe-36 those of VOLTA's pre-training, and caffe-10-100 those that were
# published with the detector; port-10-100 is what its port to transformers does.
PRESETS = {
    preset.name: preset
    for preset in (
        Preset("iglue-36", ImageSize(800, 1333, "pillow"), RegressedBoxes(RISING_THRESHOLDS, 36, 36, True)),
        Preset("port-10-100", ImageSize(800, 1333, "interpolate"), RegressedBoxes(RISING_THRESHOLDS, 10, 100, False)),
        Preset("caffe-36", ImageSize(600, 1000, "opencv"), ProposedBoxes(0.3, 0.2, 36, 36)),
        Preset("caffe-10-100", ImageSize(600, 1000, "opencv"), ProposedBoxes(0.3, 0.2, 10, 100)),
    )
}


def caffe_scale(size: tuple[int, int], limits: ImageSize) -> float:
    """Return the factor of both sides with which Caffe's scripts resize a picture, and divide its boxes.

    Args:
        size: Height and width of the picture in pixels.
        limits: How large it becomes.
    """
    short_side, long_side = sorted(size)
    scale = limits.short_side / short_side
    return scale if round(scale * long_side) <= limits.long_side else limits.long_side / long_side
