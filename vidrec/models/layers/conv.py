"""Convolution followed by BatchNorm, named as in published checkpoints."""

from torch import Tensor, nn


class ConvBN(nn.Module):
    """Convolution without bias, BatchNorm and, by default, ReLU."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        stride: int = 1,
        padding: int = 0,
        groups: int = 1,
        relu: bool = True,
    ) -> None:
        super().__init__()
        self.conv: nn.Module = nn.Conv2d(
            in_channels, out_channels, kernel_size, stride, padding, groups=groups, bias=False
        )
        self.bn = nn.BatchNorm2d(out_channels)
        self.relu = nn.ReLU(inplace=True) if relu else None

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, out_channels, h', w')."""
        x = self.bn(self.conv(x))
        return x if self.relu is None else self.relu(x)
