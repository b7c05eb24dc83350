"""What the detector makes of the map: logits and deltas of anchors, and features and classes of regions."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from typing_extensions import override

from iglue_plugins.models.detector.backbone import make_stage
from iglue_plugins.models.detector.configuration import DetectorConfig


class ProposalHead(nn.Module):
    """Says of each anchor how likely it holds an object, and how its box should be moved.

    The last convolutions compute in float32 whatever the others do, since proposals are sorted by their logits.

    Args:
        config: The network's sizes.
    """

    def __init__(self, config: DetectorConfig) -> None:
        super().__init__()
        self.conv = nn.Conv2d(config.map_channels, config.rpn_channels, 3, padding=1)
        self.objectness_logits = nn.Conv2d(config.rpn_channels, config.anchors, 1)
        self.anchor_deltas = nn.Conv2d(config.rpn_channels, config.anchors * 4, 1)

    @override
    def forward(self, feature_map: Tensor) -> tuple[Tensor, Tensor]:
        """Compute logits and deltas.

        Args:
            feature_map: (1, channels, rows, columns).

        Returns:
            The logits, (A, rows, columns), and the deltas, (A * 4, rows, columns), anchor by anchor; A anchors a cell.
        """
        hidden = self.conv(feature_map).relu_().to(self.objectness_logits.weight.dtype)
        return self.objectness_logits(hidden)[0], self.anchor_deltas(hidden)[0]


class BoxPredictor(nn.Module):
    """Says of the features of a region which class it is of, where its box is, and which attribute it has.

    Args:
        config: The network's sizes.
    """

    def __init__(self, config: DetectorConfig) -> None:
        super().__init__()
        self.cls_score = nn.Linear(config.features, config.classes + 1)
        self.bbox_pred = nn.Linear(config.features, config.classes * 4)
        self.has_attributes = config.attributes > 0
        if self.has_attributes:
            embedding, hidden = config.features // 8, config.features // 4
            self.cls_embedding = nn.Embedding(config.classes + 1, embedding)
            self.fc_attr = nn.Linear(config.features + embedding, hidden)
            self.attr_score = nn.Linear(hidden, config.attributes + 1)

    @override
    def forward(self, features: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """Compute logits and deltas of regions.

        Args:
            features: (R, features).

        Returns:
            The logits of classes, (R, classes + 1), the background last; the deltas, (R, classes * 4); and the logits
            of attributes, (R, attributes + 1), "no attribute" last, or None. Those of attributes depend on the class
            with the largest logit, which may be the background.
        """
        class_logits = self.cls_score(features)
        if not self.has_attributes:
            return class_logits, self.bbox_pred(features), None
        embedded = self.cls_embedding(class_logits.argmax(-1))
        hidden = self.fc_attr(torch.cat([features, embedded], -1)).relu_()
        return class_logits, self.bbox_pred(features), self.attr_score(hidden)


class RegionHeads(nn.Module):
    """The last stage of the ResNet, which each region goes through by itself, and the predictor.

    The stage keeps its stride of 1, and its convolutions are dilated instead.

    Args:
        config: The network's sizes.
    """

    def __init__(self, config: DetectorConfig) -> None:
        super().__init__()
        self.res5 = make_stage(config, 5, stride=1, dilation=2)
        self.box_predictor = BoxPredictor(config)
