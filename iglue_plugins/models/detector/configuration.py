"""The sizes of a detector's network, and the configuration files that say them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from iglue_plugins.utils.errors import UserError, first_line
from iglue_plugins.utils.text import shown
from iglue_plugins.utils.yaml import load_yaml

STAGE_BLOCKS = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}  # of a ResNet by its depth
STRIDE = 16  # pixels of a picture for a cell of the map
POOLED = 14  # rows, and columns, of a region's map
LARGEST = 2**20  # of a size that a configuration gives; more is a mistake


@dataclass(frozen=True)
class DetectorConfig:
    """Says the sizes of the network; the defaults are those of the published weights.

    Attributes:
        depth: The depth of the ResNet, a key of `STAGE_BLOCKS`.
        stem_channels: The channels of the first convolution.
        res2_channels: The channels that res2 makes; res3 makes twice as many, res4 four and res5 eight times.
        res2_width: The channels between the convolutions of a block of res2; they double likewise.
        rpn_channels: The channels between the convolutions of the region proposal network.
        classes: The number of classes of objects, without the background.
        attributes: The number of attributes; 0 for weights that have none.
        anchor_sizes: The square roots of the anchors' areas in pixels.
        anchor_ratios: The anchors' heights as multiples of their widths.
    """

    depth: int = 101
    stem_channels: int = 64
    res2_channels: int = 256
    res2_width: int = 64
    rpn_channels: int = 512
    classes: int = 1600
    attributes: int = 400
    anchor_sizes: tuple[float, ...] = (64.0, 128.0, 256.0, 512.0)
    anchor_ratios: tuple[float, ...] = (0.5, 1.0, 2.0)

    @property
    def anchors(self) -> int:
        """The number of anchors of a cell."""
        return len(self.anchor_sizes) * len(self.anchor_ratios)

    @property
    def map_channels(self) -> int:
        """The channels of res4, the map that proposals and regions are made of."""
        return self.res2_channels * 4

    @property
    def features(self) -> int:
        """The number of features of a region."""
        return self.res2_channels * 8


def read_config(path: Path) -> DetectorConfig:
    """Read the sizes from a configuration file in the layout of transformers' research project on LXMERT.

    Keys may be written in capitals or not. What the file lacks is as in the published weights. Image sizes, thresholds
    and numbers of boxes are not read: these are a preset's.

    Args:
        path: The file, config.yaml.

    Raises:
        UserError: The file cannot be read, a size is none, or the configuration is of another kind of network.
    """
    try:
        content = load_yaml(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(f"{path}: cannot be read ({first_line(error)}); download it again") from error
    if not isinstance(content, dict):
        raise UserError(f"{path}: found {shown(content)}, expected keys and values; download it again")
    reader = _Reader(path, content)
    for key, expected in _OF_THIS_NETWORK.items():
        reader.require(key, expected)
    has_attributes = reader.value("ROI_BOX_HEAD.ATTR", True) is True
    published = DetectorConfig()
    return DetectorConfig(
        depth=reader.choice("RESNETS.DEPTH", published.depth, STAGE_BLOCKS),
        stem_channels=reader.size("RESNETS.STEM_OUT_CHANNELS", published.stem_channels),
        res2_channels=reader.size("RESNETS.RES2_OUT_CHANNELS", published.res2_channels),
        res2_width=reader.size("RESNETS.WIDTH_PER_GROUP", published.res2_width),
        rpn_channels=reader.size("PROPOSAL_GENERATOR.HIDDEN_CHANNELS", published.rpn_channels),
        classes=reader.size("ROI_HEADS.NUM_CLASSES", published.classes),
        attributes=reader.size("ROI_BOX_HEAD.NUM_ATTRS", published.attributes) if has_attributes else 0,
        anchor_sizes=reader.numbers("ANCHOR_GENERATOR.SIZES", published.anchor_sizes),
        anchor_ratios=reader.numbers("ANCHOR_GENERATOR.ASPECT_RATIOS", published.anchor_ratios),
    )


_OF_THIS_NETWORK: dict[str, Any] = {
    "MODEL.MAX_POOL": True,  # Caffe's pooling after the first convolution
    "RESNETS.NUM_GROUPS": 1,
    "RESNETS.STRIDE_IN_1X1": True,
    "ROI_BOX_HEAD.RES5HALVE": False,
    "ROI_BOX_HEAD.POOLER_RESOLUTION": POOLED,
    "ROI_BOX_HEAD.CLS_AGNOSTIC_BBOX_REG": False,
}


class _Reader:
    """Reads values under keys such as `RESNETS.DEPTH`, and says what is wrong with them."""

    def __init__(self, path: Path, content: dict[Any, Any]) -> None:
        self.path = path
        self._values = {
            f"{section}.{name}".upper(): value
            for section, values in content.items()
            if isinstance(values, dict)
            for name, value in values.items()
        }

    def value(self, key: str, default: Any) -> Any:
        return self._values.get(key, default)

    def require(self, key: str, expected: Any) -> None:
        if (found := self.value(key, expected)) != expected:
            raise UserError(
                f"{self.path}: {key} is {shown(found)}, where vg-r101 needs {expected}; use weights of bottom-up "
                "attention's Faster R-CNN"
            )

    def size(self, key: str, default: int) -> int:
        found = self.value(key, default)
        if type(found) is not int or not 0 < found < LARGEST:
            raise UserError(f"{self.path}: {key} is {shown(found)}, expected a size such as {default}")
        return found

    def choice(self, key: str, default: int, choices: Any) -> int:
        if (found := self.size(key, default)) not in choices:
            raise UserError(f"{self.path}: {key} is {found}, expected one of {', '.join(map(str, choices))}")
        return found

    def numbers(self, key: str, default: tuple[float, ...]) -> tuple[float, ...]:
        found = self.value(key, [list(default)])
        rows = found if isinstance(found, list) and len(found) == 1 and isinstance(found[0], list) else [[]]
        if not rows[0] or not all(type(number) in (int, float) and 0 < number < LARGEST for number in rows[0]):
            raise UserError(f"{self.path}: {key} is {shown(found)}, expected numbers such as [{list(default)}]")
        return tuple(map(float, rows[0]))
