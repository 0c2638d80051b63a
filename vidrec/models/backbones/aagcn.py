"""2s-AGCN (Shi et al., CVPR 2019) and AAGCN, which adds attention (Shi et al., TIP 2020)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from vidrec.models.backbones.skeleton import DataNorm, SkeletonNetwork
from vidrec.models.layers.graph_conv import TemporalConv
from vidrec.models.layers.skeleton_graph import Mode, skeleton_graph


class AAGCN(SkeletonNetwork):
    """See `SkeletonNetwork`; the graph is learned, one for all and one for each sample.

    num_joints, edges, center, mode: the skeleton, see `skeleton_graph`.
    gcn_attention: gates over joints, frames and channels; without them it is a stream of 2s-AGCN.
    gcn_adaptive: learn the graphs; otherwise they stay as given.
    """

    def __init__(  # noqa: PLR0913 - the signature is the configuration
        self,
        num_joints: int,
        edges: Sequence[Sequence[int]],
        center: int,
        mode: Mode = "spatial",
        in_channels: int = 3,
        base_channels: int = 64,
        data_bn_type: DataNorm = "MVC",
        ch_ratio: float = 2,
        num_person: int = 2,
        num_stages: int = 10,
        inflate_stages: Sequence[int] = (5, 8),
        down_stages: Sequence[int] = (5, 8),
        gcn_attention: bool = True,
        gcn_adaptive: bool = True,
        gcn_coff_embedding: int = 4,
    ) -> None:
        graph = skeleton_graph(num_joints, edges, center, mode)

        def make_gcn(before: int, width: int) -> nn.Module:
            return AdaptiveGraphConv(
                before, width, graph, gcn_coff_embedding, gcn_adaptive, gcn_attention
            )

        def make_tcn(width: int, stride: int, number: int) -> nn.Module:
            return TemporalConv(width, width, stride=stride)

        super().__init__(
            make_gcn,
            make_tcn,
            num_joints,
            in_channels,
            base_channels,
            data_bn_type,
            ch_ratio,
            num_person,
            num_stages,
            inflate_stages,
            down_stages,
        )
        self.register_buffer("A", graph)  # unused; published weights hold it


class AdaptiveGraphConv(nn.Module):
    """A convolution over joints whose graph depends on the sample (2s-AGCN, section 4.1, eq. 3).

    (B, C, T, J) -> (B, out_channels, T, J).

    A: adjacency matrices (K, J, J) to start from.
    coff_embedding: the similarity of joints is measured in out_channels / coff_embedding channels.
    """

    A: Tensor

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        A: Tensor,
        coff_embedding: int = 4,
        adaptive: bool = True,
        attention: bool = True,
    ) -> None:
        super().__init__()
        num_subsets, num_joints, _ = A.shape
        embedded = out_channels // coff_embedding

        def convolutions(width: int) -> nn.ModuleList:
            return nn.ModuleList(nn.Conv2d(in_channels, width, 1) for _ in range(num_subsets))

        self.adaptive, self.attention = adaptive, attention
        if adaptive:
            self.A = nn.Parameter(A.clone())
            self.alpha = nn.Parameter(torch.zeros(1))
        else:
            self.register_buffer("A", A.clone())
        self.conv_d = convolutions(out_channels)
        if adaptive:
            self.conv_a = convolutions(embedded)
            self.conv_b = convolutions(embedded)
        if attention:
            self.conv_ta = nn.Conv1d(out_channels, 1, 9, padding=4)
            kernel = num_joints - 1 + num_joints % 2  # odd
            self.conv_sa = nn.Conv1d(out_channels, 1, kernel, padding=kernel // 2)
            self.fc1c = nn.Linear(out_channels, out_channels // 2)
            self.fc2c = nn.Linear(out_channels // 2, out_channels)
        self.down: nn.Module = nn.Identity()
        if in_channels != out_channels:
            self.down = nn.Sequential(
                nn.Conv2d(in_channels, out_channels, 1), nn.BatchNorm2d(out_channels)
            )
        self.bn = nn.BatchNorm2d(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        y = torch.zeros((), dtype=x.dtype, device=x.device)
        for k, conv in enumerate(self.conv_d):
            graph = self.A[k] + self._of_samples(x, k) if self.adaptive else self.A[k]
            y = y + conv((x.flatten(1, 2) @ graph).view(x.shape))
        y = (self.bn(y) + self.down(x)).relu()
        return self._gated(y) if self.attention else y

    def _of_samples(self, x: Tensor, k: int) -> Tensor:
        """The graph of each sample, (B, J, J): how alike its joints are over all frames."""
        first, second = self.conv_a[k](x).flatten(1, 2), self.conv_b[k](x).flatten(1, 2)
        return self.alpha * (first.mT @ second / first.shape[1]).tanh()

    def _gated(self, y: Tensor) -> Tensor:
        """Gates of joints, frames and channels, one after the other (AAGCN, section III-C)."""
        y = y * (1 + self.conv_sa(y.mean(dim=2)).sigmoid().unsqueeze(2))
        y = y * (1 + self.conv_ta(y.mean(dim=3)).sigmoid().unsqueeze(3))
        gate = self.fc2c(self.fc1c(y.mean(dim=(2, 3))).relu()).sigmoid()
        return y * (1 + gate[:, :, None, None])
