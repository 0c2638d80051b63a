"""R(2+1)D: convolutions over space, then over time (Tran et al., CVPR 2018)."""

from typing import ClassVar, Unpack

from torch import Tensor, nn

from vidrec.models.backbones.resnet3d import ResNet3d, ResNet3dOptions
from vidrec.models.layers.conv3d import ConvBN3d, Size, same_padding


class Conv2Plus1d(nn.Module):
    """Convolution over space, BatchNorm, ReLU, convolution over time (section 3.5).

    It has as many weights as a 3D convolution over three frames.
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
            raise ValueError(f"ConvBN2Plus1d groups={groups}: it has no grouped convolution")
        self.conv = Conv2Plus1d(in_channels, out_channels, kernel_size, stride, dilation)
        self.bn = nn.BatchNorm3d(out_channels, eps=1e-3)
        self.relu = nn.ReLU(inplace=True) if relu else None


class ResNet2Plus1d(ResNet3d):
    """`ResNet3d` with factorised convolutions, halving the frame rate in the last three stages."""

    conv: ClassVar[type[ConvBN3d]] = ConvBN2Plus1d

    def __init__(self, depth: int, **options: Unpack[ResNet3dOptions]) -> None:
        defaults = ResNet3dOptions(
            temporal_strides=(1, 2, 2, 2), with_pool2=False, zero_init_residual=False
        )
        super().__init__(depth, **(defaults | options))
