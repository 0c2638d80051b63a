"""R(2+1)D: convolutions over space, then over time (Tran et al., CVPR 2018)."""

from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor, nn

from vidrec.models.backbones.resnet3d import Flags, ResNet3d
from vidrec.models.layers.conv3d import ConvBN3d, Size, same_padding


class Conv2Plus1d(nn.Module):
    """Convolution over space, BatchNorm, ReLU, convolution over time (section 3.5).

    As many weights in all as a 3D convolution over three frames has.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size,
        stride: Size,
        dilation: Size,
    ) -> None:
        super().__init__()
        t, h, w = kernel_size
        both = in_channels * h * w
        channels = 3 * both * out_channels // (both + 3 * out_channels)
        pad_t, pad_h, pad_w = same_padding(kernel_size, dilation)
        self.conv_s = nn.Conv3d(
            in_channels,
            channels,
            (1, h, w),
            (1, *stride[1:]),
            (0, pad_h, pad_w),
            (1, *dilation[1:]),
            bias=False,
        )
        self.bn_s = nn.BatchNorm3d(channels)
        self.relu = nn.ReLU(inplace=True)
        self.conv_t = nn.Conv3d(
            channels,
            out_channels,
            (t, 1, 1),
            (stride[0], 1, 1),
            (pad_t, 0, 0),
            (dilation[0], 1, 1),
            bias=False,
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T, H, W) -> (B, out_channels, T', H', W')."""
        return self.conv_t(self.relu(self.bn_s(self.conv_s(x))))


class ConvBN2Plus1d(ConvBN3d):
    """Factorised convolution, BatchNorm and, unless told otherwise, ReLU."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size = (1, 1, 1),
        stride: Size = (1, 1, 1),
        dilation: Size = (1, 1, 1),
        groups: int = 1,
        relu: bool = True,
    ) -> None:
        nn.Module.__init__(self)
        if groups != 1:
            raise ValueError(f"ConvBN2Plus1d groups={groups}: there is no grouped one")
        self.conv = Conv2Plus1d(in_channels, out_channels, kernel_size, stride, dilation)
        self.bn = nn.BatchNorm3d(out_channels, eps=1e-3)
        self.relu = nn.ReLU(inplace=True) if relu else None


class ResNet2Plus1d(ResNet3d):
    """`ResNet3d` of factorised convolutions, halving the frames in the last three stages."""

    conv: ClassVar[type[ConvBN3d]] = ConvBN2Plus1d

    def __init__(
        self,
        depth: int,
        in_channels: int = 3,
        num_stages: int = 4,
        base_channels: int = 64,
        out_indices: Sequence[int] | None = None,
        spatial_strides: Sequence[int] = (1, 2, 2, 2),
        temporal_strides: Sequence[int] = (1, 2, 2, 2),
        conv1_kernel: Sequence[int] = (3, 7, 7),
        conv1_stride_t: int = 1,
        pool1_stride_t: int = 1,
        inflate: Flags = (1, 1, 1, 1),
        frozen_stages: int = -1,
        norm_eval: bool = False,
        checkpoint_stages: Sequence[int] = (),
        zero_init_residual: bool = False,
    ) -> None:
        super().__init__(
            depth,
            in_channels,
            num_stages,
            base_channels,
            out_indices=out_indices,
            spatial_strides=spatial_strides,
            temporal_strides=temporal_strides,
            conv1_kernel=conv1_kernel,
            conv1_stride_t=conv1_stride_t,
            pool1_stride_t=pool1_stride_t,
            with_pool2=False,
            inflate=inflate,
            frozen_stages=frozen_stages,
            norm_eval=norm_eval,
            checkpoint_stages=checkpoint_stages,
            zero_init_residual=zero_init_residual,
        )
