"""SlowFast networks (Feichtenhofer et al., ICCV 2019)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from vidrec.models.backbones.resnet3d import DEPTHS, Flags, ResNet3d
from vidrec.models.layers.freeze import stop_gradients

LATERALS = ("conv1_lateral", "layer1_lateral", "layer2_lateral", "layer3_lateral")


class Lateral(nn.Module):
    """A convolution along time whose stride brings fast frames to slow ones (section 3.4)."""

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
    """Sees few frames and, before each stage, what the fast pathway has found.

    speed_ratio: fast frames for each slow one.
    channel_ratio: channels of this pathway over those of the fast one.
    fusion_kernel: fast frames that a lateral convolution sees.
    lateral_infl: channels that come out of a lateral convolution over those that go in.
    lateral_norm: BatchNorm and ReLU after it.
    The rest as `ResNet3d` has it.
    """

    def __init__(
        self,
        depth: int,
        speed_ratio: int = 8,
        channel_ratio: int = 8,
        fusion_kernel: int = 5,
        lateral_infl: int = 2,
        lateral_norm: bool = False,
        in_channels: int = 3,
        base_channels: int = 64,
        spatial_strides: Sequence[int] = (1, 2, 2, 2),
        temporal_strides: Sequence[int] = (1, 1, 1, 1),
        dilations: Sequence[int] = (1, 1, 1, 1),
        conv1_kernel: Sequence[int] = (1, 7, 7),
        conv1_stride_t: int = 1,
        pool1_stride_t: int = 1,
        inflate: Flags = (0, 0, 1, 1),
        frozen_stages: int = -1,
        norm_eval: bool = False,
        checkpoint_stages: Sequence[int] = (),
        zero_init_residual: bool = True,
    ) -> None:
        if fusion_kernel % 2 == 0:
            raise ValueError(f"SlowPathway fusion_kernel={fusion_kernel} is even: it has no middle")
        widths = [base_channels]
        if depth in DEPTHS:  # else the parent says what is wrong
            expansion = DEPTHS[depth][0].expansion
            widths += [base_channels * 2**stage * expansion for stage in range(3)]
        lateral_channels = [width // channel_ratio for width in widths]
        extra_channels = [lateral_infl * channels for channels in lateral_channels]
        super().__init__(
            depth,
            in_channels,
            base_channels=base_channels,
            spatial_strides=spatial_strides,
            temporal_strides=temporal_strides,
            dilations=dilations,
            conv1_kernel=conv1_kernel,
            conv1_stride_t=conv1_stride_t,
            pool1_stride_t=pool1_stride_t,
            with_pool2=False,
            inflate=inflate,
            frozen_stages=frozen_stages,
            norm_eval=norm_eval,
            checkpoint_stages=checkpoint_stages,
            zero_init_residual=zero_init_residual,
            extra_channels=extra_channels,
        )
        for name, channels, out in zip(LATERALS, lateral_channels, extra_channels, strict=True):
            lateral = Lateral(channels, out, fusion_kernel, speed_ratio, lateral_norm)
            self.add_module(name, lateral)
        stop_gradients(self._frozen())

    def fuse(self, lateral: str, x: Tensor, fast: Tensor) -> Tensor:
        """Concatenates `fast`, brought by a lateral connection, to `x`."""
        return torch.cat([x, getattr(self, lateral)(fast)], dim=1)

    def _frozen(self) -> list[nn.Module]:
        """With the stem and each stage, the connection that follows it."""
        laterals = [getattr(self, name, None) for name in LATERALS[: self.frozen_stages + 1]]
        return super()._frozen() + [lateral for lateral in laterals if lateral is not None]


class ResNet3dSlowFast(nn.Module):
    """A slow pathway with many channels and a fast one with few, joined by lateral connections.

    resample_rate: of so many frames the slow pathway sees one (tau over the clip's interval).
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
                f"ResNet3dSlowFast resample_rate={resample_rate} is no multiple of "
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
