"""Temporal convolutions of several dilations side by side, normalised branch by branch."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from vidrec.models.layers.graph_conv import TemporalConv


class BranchedTemporalConv(nn.Module):
    """MS-TCN of MS-G3D (Liu et al., CVPR 2020, section 3.4) and CTR-GCN.

    (B, C, T, J) -> (B, out_channels, T / stride, J). One branch per dilation, one of max pooling
    and one of a single frame share the output channels equally; the last takes what is left over.
    Unlike `MultiScaleTemporalConv`, every branch ends with BatchNorm and no convolution mixes them.

    kernel_size: frames of a convolution, for all dilations or for each.
    residual: add the input, projected if channels or stride differ.
    act: end with a ReLU.
    """

    def __init__(  # noqa: PLR0913 - the signature is the configuration
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | Sequence[int] = 3,
        stride: int = 1,
        dilations: Sequence[int] = (1, 2, 3, 4),
        residual: bool = True,
        act: bool = True,
        tcn_dropout: float = 0.0,
    ) -> None:
        super().__init__()
        kernels = [kernel_size] * len(dilations) if isinstance(kernel_size, int) else kernel_size
        if len(kernels) != len(dilations):
            raise ValueError(
                f"kernel_size={list(kernels)} needs one entry per dilation of {list(dilations)}"
            )
        width = out_channels // (len(dilations) + 2)
        if width == 0:
            raise ValueError(
                f"{out_channels} channels are too few for {len(dilations) + 2} branches"
            )
        rest = out_channels - width * (len(dilations) + 1)
        branches: list[nn.Module] = []
        for kernel, dilation in zip(kernels, dilations, strict=True):
            last = TemporalConv(width, width, kernel, stride, dilation)
            branches.append(nn.Sequential(*_projection(in_channels, width), nn.ReLU(), last))
        pooled = nn.MaxPool2d((3, 1), (stride, 1), (1, 0)), nn.BatchNorm2d(width)
        branches.append(nn.Sequential(*_projection(in_channels, width), nn.ReLU(), *pooled))
        branches.append(nn.Sequential(*_projection(in_channels, rest, stride)))
        self.branches = nn.ModuleList(branches)
        self.residual: nn.Module | None = None
        if residual and in_channels == out_channels and stride == 1:
            self.residual = nn.Identity()
        elif residual:
            self.residual = TemporalConv(in_channels, out_channels, kernel_size=1, stride=stride)
        self.act = nn.ReLU() if act else nn.Identity()
        self.drop = nn.Dropout(tcn_dropout)
        init_convolutions(self)

    def forward(self, x: Tensor) -> Tensor:
        y = torch.cat([branch(x) for branch in self.branches], dim=1)
        return self.drop(self.act(y if self.residual is None else y + self.residual(x)))


def init_convolutions(module: nn.Module) -> None:
    """Kaiming initialisation of all 2-D convolutions inside, biases zero."""
    for child in module.modules():
        if isinstance(child, nn.Conv2d):
            nn.init.kaiming_normal_(child.weight, mode="fan_out", nonlinearity="relu")
            if child.bias is not None:
                nn.init.zeros_(child.bias)


def _projection(in_channels: int, width: int, stride: int = 1) -> tuple[nn.Module, nn.Module]:
    return nn.Conv2d(in_channels, width, 1, stride=(stride, 1)), nn.BatchNorm2d(width)
