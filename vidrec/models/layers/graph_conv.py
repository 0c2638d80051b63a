"""Graph convolutions over the joints of a skeleton, and convolutions over its time."""

from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch import Tensor, nn

Adaptive = Literal["init", "offset", "importance"]

# Kernel and dilation of each branch; ("max", kernel) pools, "1x1" is a convolution of one frame.
MS_CFG = ((3, 1), (3, 2), (3, 3), (3, 4), ("max", 3), "1x1")


class GraphConv(nn.Module):
    """A convolution over neighbouring joints, one set of weights per subset of neighbours.

    (B, C, T, J) -> (B, out_channels, T, J). ST-GCN (Yan et al., AAAI 2018), section 3.

    A: adjacency matrices (K, J, J).
    adaptive: how they are learned: `init` starts from them, `offset` adds to them, `importance`
        multiplies them (section 3.5); None: they are fixed.
    conv_pos: the convolution comes before the sum over neighbours (`pre`) or after it (`post`).
    with_res: add the input, projected if the channels differ (ST-GCN++, Duan et al., ACM MM 2022).
    """

    A: Tensor

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        A: Tensor,
        adaptive: Adaptive | None = "importance",
        conv_pos: Literal["pre", "post"] = "pre",
        with_res: bool = False,
    ) -> None:
        super().__init__()
        if adaptive not in (None, *get_args(Adaptive)):
            raise ValueError(
                f"adaptive='{adaptive}': choose {', '.join(get_args(Adaptive))} or null"
            )
        if conv_pos not in ("pre", "post"):
            raise ValueError(f"conv_pos='{conv_pos}': choose pre or post")
        self.adaptive, self.conv_pos = adaptive, conv_pos
        self.num_subsets = A.shape[0]
        self.bn = nn.BatchNorm2d(out_channels)
        if adaptive == "init":
            self.A = nn.Parameter(A.clone())
        else:
            self.register_buffer("A", A.clone())
        if adaptive == "offset":
            self.PA = nn.Parameter(torch.empty_like(A).uniform_(-1e-6, 1e-6))
        elif adaptive == "importance":
            self.PA = nn.Parameter(torch.ones_like(A))
        if conv_pos == "pre":
            self.conv = nn.Conv2d(in_channels, out_channels * self.num_subsets, 1)
        else:
            self.conv = nn.Conv2d(in_channels * self.num_subsets, out_channels, 1)
        self.down: nn.Module | None = None
        if with_res and in_channels != out_channels:
            self.down = nn.Sequential(
                nn.Conv2d(in_channels, out_channels, 1), nn.BatchNorm2d(out_channels)
            )
        elif with_res:
            self.down = nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        adjacency = self.A
        if self.adaptive == "offset":
            adjacency = self.A + self.PA
        elif self.adaptive == "importance":
            adjacency = self.A * self.PA
        if self.conv_pos == "pre":
            subsets = self.conv(x).unflatten(1, (self.num_subsets, -1))
            y = torch.einsum("bkctv,kvw->bctw", subsets, adjacency)
        else:
            y = self.conv(torch.einsum("bctv,kvw->bkctw", x, adjacency).flatten(1, 2))
        y = self.bn(y)
        return torch.relu(y if self.down is None else y + self.down(x))


class TemporalConv(nn.Module):
    """A convolution over frames and BatchNorm, (B, C, T, J) -> (B, out_channels, T / stride, J)."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int = 9,
        stride: int = 1,
        dilation: int = 1,
        norm: bool = True,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(
            in_channels,
            out_channels,
            (kernel_size, 1),
            stride=(stride, 1),
            padding=((kernel_size - 1) * dilation // 2, 0),
            dilation=(dilation, 1),
        )
        self.bn = nn.BatchNorm2d(out_channels) if norm else nn.Identity()
        self.drop = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        return self.drop(self.bn(self.conv(x)))


class MultiScaleTemporalConv(nn.Module):
    """Branches of several temporal extents side by side (ST-GCN++, section 3.2).

    (B, C, T, J) -> (B, out_channels, T / stride, J).

    ms_cfg: see `MS_CFG`. mid_channels: of a branch; None shares the output channels out equally,
        the first branch takes what is left over.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        mid_channels: int | None = None,
        stride: int = 1,
        dropout: float = 0.0,
        ms_cfg: Sequence[Sequence[int | str] | str] = MS_CFG,
    ) -> None:
        super().__init__()
        if mid_channels is None:
            mid_channels = out_channels // len(ms_cfg)
            first = out_channels - mid_channels * (len(ms_cfg) - 1)
        else:
            first = mid_channels
        widths = [first, *[mid_channels] * (len(ms_cfg) - 1)]
        self.branches = nn.ModuleList(
            _branch(in_channels, width, stride, cfg)
            for width, cfg in zip(widths, ms_cfg, strict=True)
        )
        self.transform = nn.Sequential(
            nn.BatchNorm2d(sum(widths)), nn.ReLU(), nn.Conv2d(sum(widths), out_channels, 1)
        )
        self.bn = nn.BatchNorm2d(out_channels)
        self.drop = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        joined = torch.cat([branch(x) for branch in self.branches], dim=1)
        return self.drop(self.bn(self.transform(joined)))


def _branch(in_channels: int, width: int, stride: int, cfg: Sequence[int | str] | str) -> nn.Module:
    if cfg == "1x1":
        return nn.Conv2d(in_channels, width, 1, stride=(stride, 1))
    if isinstance(cfg, str) or len(cfg) != 2:
        raise ValueError(f"ms_cfg: {cfg!r} is no branch: write [kernel, dilation], [max, 3] or 1x1")
    if cfg[0] == "max":
        kernel = int(cfg[1])
        last: nn.Module = nn.MaxPool2d((kernel, 1), (stride, 1), (kernel // 2, 0))
    else:
        last = TemporalConv(width, width, int(cfg[0]), stride, int(cfg[1]), norm=False)
    return nn.Sequential(nn.Conv2d(in_channels, width, 1), nn.BatchNorm2d(width), nn.ReLU(), last)
