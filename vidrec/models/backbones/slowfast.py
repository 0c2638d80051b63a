"""SlowFast networks (Feichtenhofer et al., ICCV 2019)."""

from collections.abc import Sequence
from typing import TypedDict, Unpack

import torch
from torch import Tensor, nn

from vidrec.models.backbones.resnet3d import DEPTHS, Flags, ResNet3d
from vidrec.models.layers.freeze import stop_gradients

LATERALS = ("conv1_lateral", "layer1_lateral", "layer2_lateral", "layer3_lateral")


class PathwayOptions(TypedDict, total=False):
    """Arguments of `ResNet3d` that a slow pathway takes as well."""

    in_channels: int
    spatial_strides: Sequence[int]
    temporal_strides: Sequence[int]
    dilations: Sequence[int]
    conv1_kernel: Sequence[int]
    conv1_stride_t: int
    pool1_stride_t: int
    inflate: Flags
    frozen_stages: int
    norm_eval: bool
    checkpoint_stages: Sequence[int]
    zero_init_residual: bool


class Lateral(nn.Module):
    """A convolution over time whose stride is that of the slow frames (section 3.4)."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int, stride: int, norm: bool
    ) -> None:
        super().__init__()
        self.conv = nn.Conv3d(
            in_channels,
            out_channels,
            (kernel_size, 1, 1),
            (stride, 1, 1),
            (kernel_size // 2, 0, 0),
            bias=False,
        )
        nn.init.kaiming_normal_(self.conv.weight, mode="fan_out", nonlinearity="relu")
        self.bn = nn.BatchNorm3d(out_channels) if norm else None

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, T * stride, h, w) -> (B, out_channels, T, h, w)."""
        x = self.conv(x)
        return x if self.bn is None else self.bn(x).relu()


class SlowPathway(ResNet3d):
    """Sees few frames and, before each stage, the features of the fast pathway.

    speed_ratio: fast frames per slow frame.
    channel_ratio: channels of this pathway over those of the fast one.
    fusion_kernel: fast frames that a lateral convolution sees.
    lateral_infl: output channels of a lateral convolution over its input channels.
    lateral_norm: BatchNorm and ReLU after it.
    options: see `ResNet3d`; the pathway has all four stages.
    """

    def __init__(
        self,
        depth: int,
        speed_ratio: int = 8,
        channel_ratio: int = 8,
        fusion_kernel: int = 5,
        lateral_infl: int = 2,
        lateral_norm: bool = False,
        base_channels: int = 64,
        **options: Unpack[PathwayOptions],
    ) -> None:
        if fusion_kernel % 2 == 0:
            raise ValueError(f"SlowPathway fusion_kernel={fusion_kernel} is even: it has no centre")
        widths = [base_channels]
        if depth in DEPTHS:  # else the base class says what is wrong
            expansion = DEPTHS[depth][0].expansion
            widths += [base_channels * 2**stage * expansion for stage in range(3)]
        lateral_channels = [width // channel_ratio for width in widths]
        extra_channels = [lateral_infl * channels for channels in lateral_channels]
        defaults = PathwayOptions(conv1_kernel=(1, 7, 7), inflate=(0, 0, 1, 1))
        super().__init__(
            depth,
            base_channels=base_channels,
            with_pool2=False,
            extra_channels=extra_channels,
            **(defaults | options),
        )
        for name, channels, out in zip(LATERALS, lateral_channels, extra_channels, strict=True):
            lateral = Lateral(channels, out, fusion_kernel, speed_ratio, lateral_norm)
            self.add_module(name, lateral)
        stop_gradients(self._frozen())

    def fuse(self, lateral: str, x: Tensor, fast: Tensor) -> Tensor:
        """Concatenates the lateral connection's output for `fast` to `x`."""
        return torch.cat([x, getattr(self, lateral)(fast)], dim=1)

    def _frozen(self) -> list[nn.Module]:
        """The stem and each frozen stage, with the lateral connection that follows it."""
        laterals = [getattr(self, name, None) for name in LATERALS[: self.frozen_stages + 1]]
        return super()._frozen() + [lateral for lateral in laterals if lateral is not None]


class ResNet3dSlowFast(nn.Module):
    """A slow pathway with many channels and a fast one with few, joined by lateral connections.

    resample_rate: the slow pathway sees one in so many frames (tau over the clip's interval).
    speed_ratio: frames of the fast pathway over those of the slow one (alpha).
    channel_ratio: channels of the slow pathway over those of the fast one (1 / beta).
    """

    def __init__(
        self,
        slow_pathway: SlowPathway,
        fast_pathway: ResNet3d,
        resample_rate: int = 8,
        speed_ratio: int = 8,
        channel_ratio: int = 8,
    ) -> None:
        super().__init__()
        if resample_rate % speed_ratio:
            raise ValueError(
                f"ResNet3dSlowFast resample_rate={resample_rate} is not a multiple of "
                f"speed_ratio={speed_ratio}"
            )
        slow, fast = slow_pathway.base_channels, fast_pathway.base_channels
        if slow != fast * channel_ratio:
            raise ValueError(
                f"ResNet3dSlowFast channel_ratio={channel_ratio}, but base_channels of the slow "
                f"and the fast pathway are {slow} and {fast}"
            )
        self.resample_rate = resample_rate
        self.fast_rate = resample_rate // speed_ratio
        self.slow_path = slow_pathway
        self.fast_path = fast_pathway
        self.out_channels = slow_pathway.out_channels + fast_pathway.out_channels

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(B, in_channels, T, H, W) -> slow (B, 2048, T / resample_rate, H / 32, W / 32) and fast
        (B, 256, T / resample_rate * speed_ratio, H / 32, W / 32) by the defaults at depth 50.

        An incomplete group of frames at the end is left out.
        """
        x = x[:, :, : x.shape[2] // self.resample_rate * self.resample_rate]
        slow = self.slow_path.stem(x[:, :, :: self.resample_rate])
        fast = self.fast_path.stem(x[:, :, :: self.fast_rate])
        for index, lateral in enumerate(LATERALS):
            slow = self.slow_path.fuse(lateral, slow, fast)
            slow, fast = self.slow_path.stage(index, slow), self.fast_path.stage(index, fast)
        return slow, fast
