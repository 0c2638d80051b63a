"""ResNet for log-mel spectrograms: the audio pathway of Xiao et al., "Audiovisual SlowFast
Networks for Video Recognition" (arXiv:2001.08740), as MMAction2 trains it by itself.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from vidrec.models.layers.checkpoint import run_blocks
from vidrec.models.layers.conv import ConvBN
from vidrec.models.layers.freeze import batch_norms, stop_gradients, stop_statistics
from vidrec.models.layers.stages import check_stages

# The number of blocks of each of the four stages.
DEPTHS = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}


class ConvOneAxis(ConvBN):
    """Convolution along time, (k, 1), or along frequency, (1, k), with BatchNorm and ReLU."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: tuple[int, int], stride: int
    ) -> None:
        super().__init__(in_channels, out_channels, 1, stride)
        padding = (kernel_size[0] // 2, kernel_size[1] // 2)
        self.conv = nn.Conv2d(in_channels, out_channels, kernel_size, stride, padding, bias=False)


class ConvBothAxes(nn.Module):
    """One convolution along time and one along frequency, side by side.

    op: `concat`, which gives 2 * out_channels, or `sum`, which gives out_channels.
    """

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int, stride: int, op: str
    ) -> None:
        super().__init__()
        self.op = op
        self.conv_1 = ConvOneAxis(in_channels, out_channels, (kernel_size, 1), stride)
        self.conv_2 = ConvOneAxis(in_channels, out_channels, (1, kernel_size), stride)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T, F) -> (B, out, t, f)."""
        along_time, along_frequency = self.conv_1(x), self.conv_2(x)
        if self.op == "sum":
            return along_time + along_frequency
        return torch.cat([along_time, along_frequency], dim=1)


class AudioStem(nn.Module):
    """The sum of both axes, BatchNorm and ReLU."""

    def __init__(self, in_channels: int, channels: int, kernel_size: int, stride: int) -> None:
        super().__init__()
        self.conv = ConvBothAxes(in_channels, channels, kernel_size, stride, op="sum")
        self.bn = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, T, F) -> (B, channels, t, f)."""
        return self.relu(self.bn(self.conv(x)))


class SecondConv(nn.Module):
    """3x3 convolution without BatchNorm and ReLU, as in published weights.

    factorize: one convolution along each axis instead, each with BatchNorm and ReLU,
        concatenated.
    """

    def __init__(self, channels: int, stride: int, factorize: bool) -> None:
        super().__init__()
        self.conv: nn.Module
        if factorize:
            self.conv = ConvBothAxes(channels, channels, 3, stride, op="concat")
        else:
            self.conv = nn.Conv2d(channels, channels, 3, stride, padding=1, bias=False)
        self.out_channels = 2 * channels if factorize else channels

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels, T, F) -> (B, out_channels, t, f)."""
        return self.conv(x)


class AudioBottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions; factorized, the second is one along each axis."""

    expansion = 4

    def __init__(
        self,
        in_channels: int,
        channels: int,
        stride: int,
        downsample: nn.Module | None,
        factorize: bool,
    ) -> None:
        super().__init__()
        self.conv1 = ConvBN(in_channels, channels, 1)
        self.conv2 = SecondConv(channels, stride, factorize)
        self.conv3 = ConvBN(self.conv2.out_channels, channels * self.expansion, 1, relu=False)
        self.downsample = downsample
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T, F) -> (B, out, t, f)."""
        identity = x if self.downsample is None else self.downsample(x)
        return self.relu(self.conv3(self.conv2(self.conv1(x))) + identity)


class ResNetAudio(nn.Module):
    """Spectrograms to a feature map of stride 8 (with the default strides) in time and frequency.

    depth: 50, 101 or 152.
    in_channels: channels of a spectrogram.
    num_stages: number of stages, at most 4.
    base_channels: channels of the stem.
    strides: stride of the first block of each stage.
    conv1_kernel, conv1_stride: length and stride of the stem's two convolutions.
    frozen_stages: the stem (0) and the stages up to this one (1 to 4) are not trained; -1: all are.
    factorize: whether the 3x3 convolutions of each stage are one along each axis.
    norm_eval: BatchNorm keeps its running statistics in training.
    checkpoint_stages: stages, counted from 1, whose activations are recomputed in the backward
        pass: less memory, more time.
    zero_init_residual: blocks start as the identity (Goyal et al., 2017, section 5.1).
    """

    def __init__(  # noqa: PLR0913 - the signature is the configuration
        self,
        depth: int,
        in_channels: int = 1,
        num_stages: int = 4,
        base_channels: int = 32,
        strides: Sequence[int] = (1, 2, 2, 2),
        conv1_kernel: int = 9,
        conv1_stride: int = 1,
        frozen_stages: int = -1,
        factorize: Sequence[int] = (1, 1, 0, 0),
        norm_eval: bool = False,
        checkpoint_stages: Sequence[int] = (),
        zero_init_residual: bool = True,
    ) -> None:
        super().__init__()
        _check(depth, num_stages, conv1_kernel, strides, factorize)
        check_stages("ResNetAudio", num_stages, frozen_stages, checkpoint_stages)
        self.in_channels = in_channels
        self.frozen_stages = frozen_stages
        self.norm_eval = norm_eval
        self.checkpoint_stages = tuple(checkpoint_stages)
        self.conv1 = AudioStem(in_channels, base_channels, conv1_kernel, conv1_stride)
        width = base_channels
        for index in range(num_stages):
            channels = base_channels * 2**index
            stage = _stage(
                width, channels, DEPTHS[depth][index], strides[index], bool(factorize[index])
            )
            self.add_module(f"layer{index + 1}", stage)
            width = channels * AudioBottleneck.expansion
        self.out_channels = width
        self._initialise(zero_init_residual)
        stop_gradients(self._frozen())

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, T, F) -> (B, out_channels, T / 8, F / 8)."""
        x = self.conv1(x)
        for number, stage in enumerate(self.stages(), start=1):
            x = run_blocks(stage, x, self.training and number in self.checkpoint_stages)
        return x

    def train(self, mode: bool = True) -> "ResNetAudio":
        super().train(mode)
        stop_statistics(self._frozen())
        if self.norm_eval:
            stop_statistics(batch_norms(self))
        return self

    def stages(self) -> list[nn.Sequential]:
        """The stages, each a sequence of blocks."""
        return [stage for stage in self.children() if isinstance(stage, nn.Sequential)]

    def _frozen(self) -> list[nn.Module]:
        if self.frozen_stages < 0:
            return []
        return [self.conv1, *self.stages()[: self.frozen_stages]]

    def _initialise(self, zero_init_residual: bool) -> None:
        """He et al., ICCV 2015, for convolutions; BatchNorm starts as the identity by itself."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            elif isinstance(module, AudioBottleneck) and zero_init_residual:
                nn.init.zeros_(module.conv3.bn.weight)


def _check(
    depth: int,
    num_stages: int,
    conv1_kernel: int,
    strides: Sequence[int],
    factorize: Sequence[int],
) -> None:
    if depth not in DEPTHS:
        raise ValueError(f"ResNetAudio has no depth={depth}, choose one of {list(DEPTHS)}")
    if not 1 <= num_stages <= 4:
        raise ValueError(f"ResNetAudio num_stages={num_stages} is not in 1 to 4")
    if conv1_kernel % 2 == 0:
        raise ValueError(f"ResNetAudio conv1_kernel={conv1_kernel}: choose an odd length")
    for name, values in (("strides", strides), ("factorize", factorize)):
        if len(values) < num_stages:
            raise ValueError(
                f"ResNetAudio {name}={list(values)}: give one for each of {num_stages} stages"
            )


def _stage(
    in_channels: int, channels: int, num_blocks: int, stride: int, factorize: bool
) -> nn.Sequential:
    """Blocks of which the first strides."""
    width = channels * AudioBottleneck.expansion
    downsample = None
    if stride != 1 or in_channels != width:
        downsample = ConvBN(in_channels, width, 1, stride, relu=False)
    blocks = [AudioBottleneck(in_channels, channels, stride, downsample, factorize)]
    blocks += [AudioBottleneck(width, channels, 1, None, factorize) for _ in range(num_blocks - 1)]
    return nn.Sequential(*blocks)
