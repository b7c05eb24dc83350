"""The ResNet that makes the map of a picture, in the layout of Caffe's models.

Names of modules are those of detectron2's checkpoints. Source: as for `network`.
"""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor, nn
from torch.nn import functional
from typing_extensions import override

from iglue_plugins.models.detector.configuration import STAGE_BLOCKS, DetectorConfig

NORM_EPSILON = 1e-5


class FoldedConv(nn.Conv2d):
    """A convolution that is followed by batch norm with fixed statistics, which is folded into its weights and bias.

    Args:
        inputs: The channels of the input.
        outputs: The channels of the output.
        kernel: The rows, and columns, of the kernel.
        stride: The stride.
        dilation: The dilation. The padding is such that without a stride the map keeps its size.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, dilation: int = 1) -> None:
        padding = dilation * (kernel // 2)
        super().__init__(inputs, outputs, kernel, stride, padding, dilation)

    @torch.no_grad()
    def fold(self, weight: Tensor, scale: Tensor, shift: Tensor, mean: Tensor, variance: Tensor) -> None:
        """Set weights and bias so that they do what a convolution without a bias and the batch norm after it do.

        Args:
            weight: The weights of the convolution.
            scale: (outputs,), the weight of the batch norm.
            shift: (outputs,), the bias of the batch norm.
            mean: (outputs,), the stored mean.
            variance: (outputs,), the stored variance.
        """
        assert self.bias is not None
        factor = scale.double() / (variance.double() + NORM_EPSILON).sqrt()
        self.weight.copy_(weight.double() * factor[:, None, None, None])
        self.bias.copy_(shift.double() - mean.double() * factor)


class Bottleneck(nn.Module):
    """Three convolutions around which the input goes too; the first one has the stride.

    Args:
        inputs: The channels of the input.
        width: The channels between the convolutions.
        outputs: The channels of the output.
        stride: The stride.
        dilation: The dilation of the second convolution.
    """

    def __init__(self, inputs: int, width: int, outputs: int, stride: int, dilation: int) -> None:
        super().__init__()
        self.shortcut = FoldedConv(inputs, outputs, 1, stride) if inputs != outputs else None
        self.conv1 = FoldedConv(inputs, width, 1, stride)
        self.conv2 = FoldedConv(width, width, 3, dilation=dilation)
        self.conv3 = FoldedConv(width, outputs, 1)

    @override
    def forward(self, inputs: Tensor) -> Tensor:
        hidden = self.conv2(self.conv1(inputs).relu_()).relu_()
        around = inputs if self.shortcut is None else self.shortcut(inputs)
        outputs: Tensor = self.conv3(hidden)
        return outputs.add_(around).relu_()


def make_stage(config: DetectorConfig, number: int, stride: int, dilation: int = 1) -> nn.Sequential:
    """Make a stage of the ResNet.

    Args:
        config: The network's sizes.
        number: The stage's number: 2, 3, 4 or 5.
        stride: The stride of its first block.
        dilation: The dilation of its blocks.
    """
    outputs, width = config.res2_channels << (number - 2), config.res2_width << (number - 2)
    inputs = config.stem_channels if number == 2 else outputs // 2
    blocks = STAGE_BLOCKS[config.depth][number - 2]
    return nn.Sequential(
        *(
            Bottleneck(outputs if block else inputs, width, outputs, 1 if block else stride, dilation)
            for block in range(blocks)
        )
    )


class Stem(nn.Module):
    """The first convolution, and Caffe's max pooling: without padding, and with a last window that may jut out.

    Args:
        channels: The channels of the output.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = FoldedConv(3, channels, 7, stride=2)

    @override
    def forward(self, pixels: Tensor) -> Tensor:
        return functional.max_pool2d(self.conv1(pixels).relu_(), 3, stride=2, ceil_mode=True)


class Backbone(nn.Sequential):
    """Makes the map of a picture, one cell for 16 x 16 pixels.

    Args:
        config: The network's sizes.
    """

    def __init__(self, config: DetectorConfig) -> None:
        stages = [make_stage(config, number, stride) for number, stride in ((2, 1), (3, 2), (4, 2))]
        named = zip(("stem", "res2", "res3", "res4"), (Stem(config.stem_channels), *stages), strict=True)
        super().__init__(OrderedDict(named))
