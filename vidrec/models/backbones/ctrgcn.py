"""CTR-GCN (Chen et al., ICCV 2021): a graph for every channel."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from vidrec.models.layers.branched_temporal_conv import BranchedTemporalConv, init_convolutions
from vidrec.models.layers.graph_conv import TemporalConv
from vidrec.models.layers.skeleton_graph import Mode, skeleton_graph
from vidrec.models.layers.skeleton_norm import SkeletonNorm


class CTRGCN(nn.Module):
    """Sequences of skeletons (B, M, T, J, C) -> features (B, M, C', T', J).

    num_joints, edges, center, mode: the skeleton, see `skeleton_graph`.
    num_person: persons of every sample; the network sees each alone.
    inflate_stages: double the channels; down_stages: halve the time. Stages count from 1.
    kernel_size, dilations: see `BranchedTemporalConv`. tcn_dropout: from the second stage on.
    """

    def __init__(  # noqa: PLR0913 - the signature is the configuration
        self,
        num_joints: int,
        edges: Sequence[Sequence[int]],
        center: int,
        mode: Mode = "spatial",
        in_channels: int = 3,
        base_channels: int = 64,
        num_stages: int = 10,
        inflate_stages: Sequence[int] = (5, 8),
        down_stages: Sequence[int] = (5, 8),
        num_person: int = 2,
        kernel_size: int | Sequence[int] = 5,
        dilations: Sequence[int] = (1, 2),
        tcn_dropout: float = 0.0,
    ) -> None:
        super().__init__()
        graph = skeleton_graph(num_joints, edges, center, mode)
        self.register_buffer("A", graph)  # unused; published weights hold it
        self.data_bn = SkeletonNorm(num_person, num_joints, in_channels)
        blocks = []
        before, width = in_channels, base_channels
        for number in range(1, num_stages + 1):
            inner = number > 1
            width *= 2 if inner and number in inflate_stages else 1
            stride = 2 if inner and number in down_stages else 1
            tcn = BranchedTemporalConv(
                width,
                width,
                kernel_size,
                stride,
                dilations,
                residual=False,
                tcn_dropout=tcn_dropout if inner else 0.0,
            )
            gcn = ChannelGraphConv(before, width, graph)
            blocks.append(Block(gcn, tcn, _shortcut(before, width, stride) if inner else None))
            before = width
        self.net = nn.ModuleList(blocks)
        self.out_channels = width

    def forward(self, x: Tensor) -> Tensor:
        sizes = x.shape[:2]
        x = self.data_bn(x)
        for block in self.net:
            x = block(x)
        return x.unflatten(0, sizes)


def _shortcut(before: int, width: int, stride: int) -> nn.Module:
    if before == width and stride == 1:
        return nn.Identity()
    shortcut = TemporalConv(before, width, kernel_size=1, stride=stride)
    init_convolutions(shortcut)
    return shortcut


class Block(nn.Module):
    """A graph convolution and a temporal one beside a shortcut, (B, C, T, J) -> (B, C', T', J)."""

    def __init__(self, gcn: nn.Module, tcn: nn.Module, residual: nn.Module | None) -> None:
        super().__init__()
        self.gcn1 = gcn
        self.tcn1 = tcn
        self.residual = residual

    def forward(self, x: Tensor) -> Tensor:
        y = self.tcn1(self.gcn1(x))
        return (y if self.residual is None else y + self.residual(x)).relu()


class ChannelGraphConv(nn.Module):
    """A convolution over joints with a graph per channel, one `Refinement` for each shared graph.

    (B, C, T, J) -> (B, out_channels, T, J). Section 3.2.

    A: adjacency matrices (K, J, J) to start from.
    """

    def __init__(self, in_channels: int, out_channels: int, A: Tensor) -> None:
        super().__init__()
        self.A = nn.Parameter(A.clone())
        self.alpha = nn.Parameter(torch.zeros(1))
        self.convs = nn.ModuleList(Refinement(in_channels, out_channels) for _ in range(len(A)))
        self.down: nn.Module = nn.Identity()
        if in_channels != out_channels:
            self.down = nn.Sequential(
                nn.Conv2d(in_channels, out_channels, 1), nn.BatchNorm2d(out_channels)
            )
        self.bn = nn.BatchNorm2d(out_channels)
        init_convolutions(self)
        nn.init.constant_(self.bn.weight, 1e-6)  # a block starts close to its shortcut

    def forward(self, x: Tensor) -> Tensor:
        y = torch.zeros((), dtype=x.dtype, device=x.device)
        for graph, conv in zip(self.A, self.convs, strict=True):
            y = y + conv(x, graph, self.alpha)
        return (self.bn(y) + self.down(x)).relu()


class Refinement(nn.Module):
    """A shared graph refined for each channel of each sample (section 3.2).

    x: (B, C, T, J), graph: (J, J), alpha: (1,) -> (B, out_channels, T, J).
    """

    def __init__(self, in_channels: int, out_channels: int, rel_reduction: int = 8) -> None:
        super().__init__()
        related = 8 if in_channels <= 16 else in_channels // rel_reduction
        self.conv1 = nn.Conv2d(in_channels, related, 1)
        self.conv2 = nn.Conv2d(in_channels, related, 1)
        self.conv3 = nn.Conv2d(in_channels, out_channels, 1)
        self.conv4 = nn.Conv2d(related, out_channels, 1)

    def forward(self, x: Tensor, graph: Tensor, alpha: Tensor) -> Tensor:
        first, second = self.conv1(x).mean(dim=2), self.conv2(x).mean(dim=2)  # (B, R, J)
        correlation = (first.unsqueeze(3) - second.unsqueeze(2)).tanh()  # (B, R, J, J)
        refined = graph + alpha * self.conv4(correlation)
        return self.conv3(x) @ refined
