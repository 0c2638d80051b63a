"""MS-G3D (Liu et al., CVPR 2020): graphs over distances, and over windows of frames."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from vidrec.models.layers.branched_temporal_conv import BranchedTemporalConv
from vidrec.models.layers.skeleton_graph import skeleton_graph
from vidrec.models.layers.skeleton_norm import SkeletonNorm


class MSG3D(nn.Module):
    """Sequences of skeletons (B, M, T, J, C) -> features (B, M, 4 * base_channels, T / 4, J).

    num_joints, edges, center: the skeleton, see `skeleton_graph`; the centre makes no difference.
    num_gcn_scales: distances within a frame, num_g3d_scales: within a window of frames; both count
        a joint itself.
    num_person: persons of every sample; the network sees each alone.
    tcn_dropout: after each of the three stages.
    """

    A: Tensor

    def __init__(  # noqa: PLR0913 - the signature is the configuration
        self,
        num_joints: int,
        edges: Sequence[Sequence[int]],
        center: int,
        in_channels: int = 3,
        base_channels: int = 96,
        num_gcn_scales: int = 13,
        num_g3d_scales: int = 6,
        num_person: int = 2,
        tcn_dropout: float = 0.0,
    ) -> None:
        super().__init__()
        _, outer, inner = skeleton_graph(num_joints, edges, center, "spatial")
        self.register_buffer("A", ((outer + inner) > 0).float())
        self.data_bn = SkeletonNorm(num_person, num_joints, in_channels)

        def stage(before: int, width: int, first: bool) -> tuple[nn.Module, nn.Module, nn.Module]:
            """Windows of frames and single frames, whose sum is taken, and what follows it."""
            embedded = width if first else before  # later stages widen after the graph
            stride = 1 if first else 2
            windows = WindowedGraphConvs(
                before, embedded, width, self.A, num_g3d_scales, window_stride=stride
            )
            frames = nn.Sequential(
                ScaledGraphConv(before, embedded, scales_of(self.A, num_gcn_scales)),
                BranchedTemporalConv(embedded, width, stride=stride),
                BranchedTemporalConv(width, width, act=False),
            )
            return windows, frames, BranchedTemporalConv(width, width, tcn_dropout=tcn_dropout)

        narrow, wide, self.out_channels = base_channels, base_channels * 2, base_channels * 4
        self.gcn3d1, self.sgcn1, self.tcn1 = stage(in_channels, narrow, first=True)
        self.gcn3d2, self.sgcn2, self.tcn2 = stage(narrow, wide, first=False)
        self.gcn3d3, self.sgcn3, self.tcn3 = stage(wide, self.out_channels, first=False)

    def forward(self, x: Tensor) -> Tensor:
        sizes = x.shape[:2]
        x = self.data_bn(x)
        x = self.tcn1((self.sgcn1(x) + self.gcn3d1(x)).relu())
        x = self.tcn2((self.sgcn2(x) + self.gcn3d2(x)).relu())
        x = self.tcn3((self.sgcn3(x) + self.gcn3d3(x)).relu())
        return x.unflatten(0, sizes)


def scales_of(adjacency: Tensor, num_scales: int) -> Tensor:
    """Graphs of joints exactly 0, 1, ... links apart, and of each joint with itself (section 3.2).

    adjacency: (J, J) of zeros and ones -> (num_scales, J, J), columns sum to 1.
    """
    identity = torch.eye(len(adjacency))
    step = (adjacency + identity).clamp(max=1)
    reached, scales = identity, [identity]
    for _ in range(1, num_scales):
        further = (reached @ step).clamp(max=1)
        scale = further - reached + identity
        scales.append(scale / scale.sum(dim=0))
        reached = further
    return torch.stack(scales)


class ScaledGraphConv(nn.Module):
    """A convolution over joints at several distances, (B, C, T, J) -> (B, out_channels, T, J).

    Section 3.2.

    A: graphs (K, J, J), to which learned ones are added.
    """

    A: Tensor

    def __init__(self, in_channels: int, out_channels: int, A: Tensor) -> None:
        super().__init__()
        self.PA = nn.Parameter(torch.empty_like(A).uniform_(-1e-6, 1e-6))
        self.register_buffer("A", A.clone())
        self.mlp = Projection(in_channels * len(A), out_channels)

    def forward(self, x: Tensor) -> Tensor:
        scales = torch.einsum("kvw,bctv->bkctw", self.A + self.PA, x)
        return self.mlp(scales.flatten(1, 2))


class Projection(nn.Module):
    """A convolution of single joints, BatchNorm, ReLU, (B, C, T, J) -> (B, out_channels, T, J)."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(in_channels, out_channels, 1), nn.BatchNorm2d(out_channels), nn.ReLU()
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


class TemporalWindows(nn.Module):
    """Windows of frames around every window_stride-th frame, zeros past the ends.

    (B, C, T, J) -> (B, C, T / window_stride, window_size * J), the joints of a frame together.
    """

    def __init__(self, window_size: int, window_stride: int, window_dilation: int = 1) -> None:
        super().__init__()
        self.window_size = window_size
        self.unfold = nn.Unfold(
            (window_size, 1),
            dilation=(window_dilation, 1),
            padding=((window_size - 1) * window_dilation // 2, 0),
            stride=(window_stride, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        channels, joints = x.shape[1], x.shape[3]
        windows = self.unfold(x).view(len(x), channels, self.window_size, -1, joints)
        return windows.transpose(2, 3).flatten(3, 4)


class WindowedGraphConv(nn.Module):
    """A convolution over joints of neighbouring frames at once (G3D, section 3.3).

    (B, C, T, J) -> (B, out_channels, T / window_stride, J). Every joint is linked to its neighbours
    and to itself in all frames of the window.

    embedded: channels of the graph convolution.
    adjacency: (J, J) of zeros and ones, within a frame.
    """

    def __init__(  # noqa: PLR0913 - the signature is the configuration
        self,
        in_channels: int,
        embedded: int,
        out_channels: int,
        adjacency: Tensor,
        num_scales: int,
        window_size: int,
        window_stride: int,
        window_dilation: int,
    ) -> None:
        super().__init__()
        self.window_size = window_size
        within = adjacency + torch.eye(len(adjacency))
        scales = scales_of(within.tile(window_size, window_size), num_scales)
        self.gcn3d = nn.Sequential(
            TemporalWindows(window_size, window_stride, window_dilation),
            ScaledGraphConv(in_channels, embedded, scales),
        )
        self.out_conv = nn.Conv3d(embedded, out_channels, (1, window_size, 1))
        self.out_bn = nn.BatchNorm2d(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        windows = self.gcn3d(x).unflatten(3, (self.window_size, -1))  # (B, C, T', window, J)
        return self.out_bn(self.out_conv(windows).squeeze(3))


class WindowedGraphConvs(nn.Module):
    """The sum of `WindowedGraphConv` over several windows (MS-G3D, section 3.4)."""

    def __init__(  # noqa: PLR0913 - the signature is the configuration
        self,
        in_channels: int,
        embedded: int,
        out_channels: int,
        adjacency: Tensor,
        num_scales: int,
        window_sizes: Sequence[int] = (3, 5),
        window_stride: int = 1,
        window_dilations: Sequence[int] = (1, 1),
    ) -> None:
        super().__init__()
        self.gcn3d = nn.ModuleList(
            WindowedGraphConv(
                in_channels,
                embedded,
                out_channels,
                adjacency,
                num_scales,
                size,
                window_stride,
                dilation,
            )
            for size, dilation in zip(window_sizes, window_dilations, strict=True)
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([gcn3d(x) for gcn3d in self.gcn3d]).sum(dim=0)
