"""Convolutions over clips followed by BatchNorm, named as in published checkpoints."""

from torch import Tensor, nn

Size = tuple[int, int, int]  # along T, H and W


class ConvBN3d(nn.Module):
    """Convolution without bias, BatchNorm and, by default, ReLU.

    Padded so that stride 1 keeps the size.
    """

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
        super().__init__()
        self.conv: nn.Module = nn.Conv3d(
            in_channels,
            out_channels,
            kernel_size,
            stride,
            same_padding(kernel_size, dilation),
            dilation,
            groups,
            bias=False,
        )
        self.bn = nn.BatchNorm3d(out_channels)
        self.relu = nn.ReLU(inplace=True) if relu else None

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T, H, W) -> (B, out_channels, T', H', W')."""
        x = self.bn(self.conv(x))
        return x if self.relu is None else self.relu(x)


def same_padding(kernel_size: Size, dilation: Size = (1, 1, 1)) -> Size:
    """The padding that keeps the size at stride 1, for odd kernels."""
    t, h, w = ((k - 1) // 2 * d for k, d in zip(kernel_size, dilation, strict=True))
    return t, h, w
