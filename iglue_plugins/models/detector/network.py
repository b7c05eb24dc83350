"""The network of bottom-up attention's detector: a Faster R-CNN on one map of a ResNet.

Names of modules are those of detectron2's checkpoints. Source: airsplay/py-bottom-up-attention, the test network of
peteanderson80/bottom-up-attention, and the port of transformers' research project on LXMERT.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.utils import convert_conv2d_weight_memory_format
from typing_extensions import override

from iglue_plugins.models.detector.anchors import cell_anchors
from iglue_plugins.models.detector.backbone import Backbone
from iglue_plugins.models.detector.configuration import POOLED, STRIDE, DetectorConfig
from iglue_plugins.models.detector.heads import ProposalHead, RegionHeads
from iglue_plugins.models.detector.proposals import ProposalSettings, propose
from iglue_plugins.models.detector.roi_pooling import roi_pool

REGIONS_AT_A_TIME = 25  # that go through res5 together, which bounds the memory


@dataclass(frozen=True)
class Detections:
    """Holds what the network says of the proposals of a picture, on the CPU.

    Attributes:
        boxes: (P, 4) float32, x1 y1 x2 y2 in pixels of the resized picture; by falling logit.
        features: (P, features) float32, not negative.
        class_logits: (P, classes + 1) float32, the background last.
        attribute_logits: (P, attributes + 1) float32, "no attribute" last; None where the weights have none.
        box_deltas: (P, classes * 4) float32, a correction of the box for each class.
    """

    boxes: Tensor
    features: Tensor
    class_logits: Tensor
    attribute_logits: Tensor | None
    box_deltas: Tensor


class FasterRCNN(nn.Module):
    """Finds proposals in a picture, and says of each its features, class, attribute and box.

    In another type than float32, what sorts and corrects boxes is computed in float32 nevertheless: the last
    convolutions of the proposals and the predictor. On a GPU float32 is float32, and not TF32, in which PyTorch
    convolves by default.

    Args:
        config: The network's sizes.
        settings: How proposals are chosen.
    """

    def __init__(self, config: DetectorConfig, settings: ProposalSettings = ProposalSettings(stride=STRIDE)) -> None:
        super().__init__()
        self.config, self.settings = config, settings
        self.backbone = Backbone(config)
        self.proposal_generator = nn.ModuleDict(
            {"anchor_generator": _Anchors(config), "rpn_head": ProposalHead(config)}
        )
        self.roi_heads = RegionHeads(config)
        convert_conv2d_weight_memory_format(self, torch.channels_last)  # a CPU convolves so a fifth faster

    def to_precision(self, dtype: torch.dtype) -> FasterRCNN:
        """Let the convolutions compute in a type, all but those that keep float32.

        Args:
            dtype: The type, such as torch.bfloat16.

        Returns:
            The network itself.
        """
        for module in (self.backbone, self.rpn_head.conv, self.roi_heads.res5):
            module.to(dtype)
        return self

    @property
    def rpn_head(self) -> ProposalHead:
        """The head of the region proposal network."""
        head = self.proposal_generator["rpn_head"]
        assert isinstance(head, ProposalHead)
        return head

    @property
    def cell_anchors(self) -> Tensor:
        """The anchors around a cell, (A, 4) float32."""
        anchors: Tensor = self.proposal_generator["anchor_generator"].get_buffer("cell_anchors.0")
        return anchors

    @override
    @torch.inference_mode()
    def forward(self, pixels: Tensor) -> Detections:
        """Find the proposals of a picture and say what they are.

        Args:
            pixels: (3, height, width) float32, blue, green and red with their means subtracted.

        Returns:
            The detections; none where no anchor lies in the picture.
        """
        with torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False):
            feature_map = self.map_of(pixels)
            boxes = self.propose(feature_map, (pixels.shape[1], pixels.shape[2]))
            features = self.region_features(roi_pool(feature_map[0], boxes, POOLED, 1 / self.settings.stride))
        class_logits, box_deltas, attribute_logits = self.roi_heads.box_predictor(features)
        return Detections(
            boxes,
            features.cpu(),
            class_logits.cpu(),
            None if attribute_logits is None else attribute_logits.cpu(),
            box_deltas.cpu(),
        )

    def map_of(self, pixels: Tensor) -> Tensor:
        """Compute the map of a picture, (1, channels, rows, columns) in the type of the convolutions.

        Args:
            pixels: As `forward` takes them.
        """
        weight = self.rpn_head.conv.weight
        feature_map: Tensor = self.backbone(
            pixels[None].to(weight.device, weight.dtype, memory_format=torch.channels_last)
        )
        return feature_map

    def propose(self, feature_map: Tensor, size: tuple[int, int]) -> Tensor:
        """Choose the proposals of a picture, (P, 4) float32 on the CPU, by falling logit.

        Args:
            feature_map: What `map_of` returns.
            size: Height and width of the resized picture in pixels.
        """
        logits, deltas = self.rpn_head(feature_map)
        return propose(logits.cpu(), deltas.cpu(), self.cell_anchors.cpu(), size, self.settings).boxes

    def region_features(self, regions: Tensor) -> Tensor:
        """Compute the features of regions, (R, features) float32.

        Args:
            regions: (R, channels, rows, columns), parts of the map.
        """
        pooled = [
            self.roi_heads.res5(part.contiguous(memory_format=torch.channels_last)).float().mean((2, 3))
            for part in regions.split(REGIONS_AT_A_TIME)
        ]
        return torch.cat(pooled)


class _Anchors(nn.Module):
    """Keeps the anchors as a checkpoint names them: those of a checkpoint may be others than the computed ones."""

    def __init__(self, config: DetectorConfig) -> None:
        super().__init__()
        self.cell_anchors = nn.Module()
        self.cell_anchors.register_buffer("0", cell_anchors(config.anchor_sizes, config.anchor_ratios))
