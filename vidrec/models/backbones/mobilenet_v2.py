"""MobileNetV2 (Sandler et al., CVPR 2018), parameters named as in MMPretrain's checkpoints."""

from collections.abc import Sequence
from typing import TypedDict

import torch.nn.functional as F
from torch import Tensor, nn

from vidrec.models.layers.checkpoint import run_blocks
from vidrec.models.layers.conv import ConvBN
from vidrec.models.layers.freeze import batch_norms, stop_gradients, stop_statistics
from vidrec.models.layers.stages import check_stages

# Table 2: expansion, channels, blocks and stride of the seven stages.
STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


class ConvBNReLU6(ConvBN):
    """Convolution without bias, BatchNorm, ReLU6."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        stride: int = 1,
        groups: int = 1,
    ) -> None:
        padding = kernel_size // 2
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, groups, relu=False
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, out, h, w)."""
        return F.relu6(super().forward(x), inplace=True)


class InvertedResidual(nn.Module):
    """Expansion, depthwise convolution and linear projection (figure 4)."""

    def __init__(self, in_channels: int, out_channels: int, stride: int, expansion: int) -> None:
        super().__init__()
        width = in_channels * expansion
        expand = [ConvBNReLU6(in_channels, width, 1)] if expansion != 1 else []
        self.conv = nn.Sequential(
            *expand,
            ConvBNReLU6(width, width, 3, stride, groups=width),
            ConvBN(width, out_channels, 1, relu=False),
        )
        self.residual = stride == 1 and in_channels == out_channels

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, out, h, w)."""
        return x + self.conv(x) if self.residual else self.conv(x)


class MobileNetV2Options(TypedDict, total=False):
    """Arguments of `MobileNetV2` that the networks built on it take as well."""

    widen_factor: float
    in_channels: int
    frozen_stages: int
    norm_eval: bool
    checkpoint_stages: Sequence[int]


class MobileNetV2(nn.Module):
    """Images to a feature map of stride 32.

    widen_factor: multiplies all numbers of channels (section 6.1's width multiplier); the last
        layer has at least 1280.
    frozen_stages: the stem (0) and the stages up to this one (1 to 7) are not trained; -1: all are.
    norm_eval: BatchNorm keeps its running statistics in training.
    checkpoint_stages: stages, counted from 1, whose activations are recomputed in the backward
        pass: less memory, more time.
    """

    def __init__(
        self,
        widen_factor: float = 1.0,
        in_channels: int = 3,
        frozen_stages: int = -1,
        norm_eval: bool = False,
        checkpoint_stages: Sequence[int] = (),
    ) -> None:
        super().__init__()
        check_stages(type(self).__name__, len(STAGES), frozen_stages, checkpoint_stages)
        self.frozen_stages = frozen_stages
        self.norm_eval = norm_eval
        self.checkpoint_stages = tuple(checkpoint_stages)

        width = _divisible_by_eight(32 * widen_factor)
        self.conv1 = ConvBNReLU6(in_channels, width, 3, stride=2)
        for stage, (expansion, base, num_blocks, stride) in enumerate(STAGES, start=1):
            channels = _divisible_by_eight(base * widen_factor)
            blocks = [InvertedResidual(width, channels, stride, expansion)]
            blocks += [
                InvertedResidual(channels, channels, 1, expansion) for _ in range(num_blocks - 1)
            ]
            self.add_module(f"layer{stage}", nn.Sequential(*blocks))
            width = channels
        self.out_channels = max(1280, int(1280 * widen_factor))
        self.conv2 = ConvBNReLU6(width, self.out_channels, 1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        stop_gradients(self._frozen())

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W) -> (B, out_channels, H / 32, W / 32)."""
        x = self.conv1(x)
        for number, stage in enumerate(self.stages(), start=1):
            x = run_blocks(stage, x, self.training and number in self.checkpoint_stages)
        return self.conv2(x)

    def train(self, mode: bool = True) -> "MobileNetV2":
        super().train(mode)
        stop_statistics(self._frozen())
        if self.norm_eval:
            stop_statistics(batch_norms(self))
        return self

    def stages(self) -> list[nn.Sequential]:
        """The seven stages, each a sequence of blocks."""
        return [stage for stage in self.children() if isinstance(stage, nn.Sequential)]

    def _frozen(self) -> list[nn.Module]:
        if self.frozen_stages < 0:
            return []
        return [self.conv1, *self.stages()[: self.frozen_stages]]


def _divisible_by_eight(channels: float) -> int:
    """The nearest multiple of 8 that is at most 10 % less.

    >>> _divisible_by_eight(33.6), _divisible_by_eight(11.2)
    (32, 16)
    """
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels else rounded
