"""DG-STGCN (Duan et al., 2022, arXiv:2210.05895): graphs learned from noise."""

from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from vidrec.models.backbones.skeleton import DataNorm, SkeletonNetwork
from vidrec.models.layers.graph_conv import MS_CFG, MultiScaleTemporalConv
from vidrec.models.layers.skeleton_graph import Mode, skeleton_graph

GraphMode = Literal["random", Mode]
OverTime = Literal["T", "NA"]
Activation = Literal["tanh", "relu", "sigmoid", "softmax"]


class DGSTGCN(SkeletonNetwork):
    """See `SkeletonNetwork`.

    num_joints, edges, center: the skeleton, see `skeleton_graph`.
    mode: graphs to start from: `random`: `num_filter` of normal noise with mean `init_off` and
        standard deviation `init_std`, which ask neither for edges nor for a centre; otherwise those
        of `skeleton_graph`.
    gcn_*: see `DynamicGraphConv`.
    tcn_ms_cfg: see `MultiScaleTemporalConv`. tcn_dropout: from the second stage on.
    tcn_num_joints: joints that have a share of the mean skeleton, at least num_joints; published
        weights hold 25 whatever the skeleton.
    """

    def __init__(  # noqa: PLR0913 - the signature is the configuration
        self,
        num_joints: int,
        edges: Sequence[Sequence[int]],
        center: int,
        mode: GraphMode = "random",
        num_filter: int = 8,
        init_off: float = 0.04,
        init_std: float = 0.02,
        in_channels: int = 3,
        base_channels: int = 64,
        data_bn_type: DataNorm = "VC",
        ch_ratio: float = 2,
        num_person: int = 2,
        num_stages: int = 10,
        inflate_stages: Sequence[int] = (5, 8),
        down_stages: Sequence[int] = (5, 8),
        gcn_ratio: float | None = 0.125,
        gcn_ctr: OverTime | None = "T",
        gcn_ada: OverTime | None = "T",
        gcn_subset_wise: bool = False,
        gcn_ctr_act: Activation = "tanh",
        gcn_ada_act: Activation = "softmax",
        tcn_ms_cfg: Sequence[Sequence[int | str] | str] = MS_CFG,
        tcn_num_joints: int = 25,
        tcn_dropout: float = 0.0,
    ) -> None:
        if tcn_num_joints < num_joints:
            raise ValueError(
                f"tcn_num_joints={tcn_num_joints} is less than num_joints={num_joints}"
            )
        _check("mode", mode, ("random", *get_args(Mode)))
        if mode == "random":
            graph = init_off + init_std * torch.randn(num_filter, num_joints, num_joints)
        else:
            graph = skeleton_graph(num_joints, edges, center, mode)

        def make_gcn(before: int, width: int) -> nn.Module:
            return DynamicGraphConv(
                before,
                width,
                graph,
                gcn_ratio,
                gcn_ctr,
                gcn_ada,
                gcn_subset_wise,
                gcn_ctr_act,
                gcn_ada_act,
            )

        def make_tcn(width: int, stride: int, number: int) -> nn.Module:
            dropout = tcn_dropout if number > 1 else 0.0
            return DynamicTemporalConv(width, width, tcn_num_joints, stride, dropout, tcn_ms_cfg)

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


class DynamicGraphConv(nn.Module):
    """A convolution over joints whose graphs depend on the sample (DG-GCN).

    (B, C, T, J) -> (B, out_channels, T, J).

    A: adjacency matrices (K, J, J) to start from.
    ratio: channels of each of the K groups / out_channels; None shares them out equally.
    ctr, ada: add a graph per channel from differences of joints, and one per group from their inner
        products: of the mean over frames (`T`), of every frame (`NA`) or none (None). If either is
        `NA`, both are of every frame.
    subset_wise: a weight of the added graphs for each group, otherwise the first weighs all.
    """

    def __init__(  # noqa: PLR0913 - the signature is the configuration
        self,
        in_channels: int,
        out_channels: int,
        A: Tensor,
        ratio: float | None = 0.25,
        ctr: OverTime | None = "T",
        ada: OverTime | None = "T",
        subset_wise: bool = False,
        ctr_act: Activation = "tanh",
        ada_act: Activation = "softmax",
    ) -> None:
        super().__init__()
        _check("ctr", ctr, (None, *get_args(OverTime)))
        _check("ada", ada, (None, *get_args(OverTime)))
        _check("ctr_act", ctr_act, get_args(Activation))
        _check("ada_act", ada_act, get_args(Activation))
        self.num_groups = A.shape[0]
        self.ctr, self.ada, self.subset_wise = ctr, ada, subset_wise
        self.ctr_act, self.ada_act = ctr_act, ada_act
        width = self.num_groups * int((ratio or 1 / self.num_groups) * out_channels)
        if width == 0:
            raise ValueError(
                f"ratio={ratio} of {out_channels} channels leaves none for each group: raise it"
            )
        self.A = nn.Parameter(A.clone())
        self.alpha = nn.Parameter(torch.zeros(self.num_groups))
        self.beta = nn.Parameter(torch.zeros(self.num_groups))
        self.pre = nn.Sequential(nn.Conv2d(in_channels, width, 1), nn.BatchNorm2d(width), nn.ReLU())
        self.post = nn.Conv2d(width, out_channels, 1)
        if ctr or ada:
            self.conv1 = nn.Conv2d(in_channels, width, 1)
            self.conv2 = nn.Conv2d(in_channels, width, 1)
        self.down: nn.Module = nn.Identity()
        if in_channels != out_channels:
            self.down = nn.Sequential(
                nn.Conv2d(in_channels, out_channels, 1), nn.BatchNorm2d(out_channels)
            )
        self.bn = nn.BatchNorm2d(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        groups = self.pre(x).unflatten(1, (self.num_groups, -1))  # (B, K, C, T, J)
        graphs = self._graphs(x)
        if graphs.shape[3] == 1:
            y = groups @ graphs.squeeze(3)
        else:
            y = (groups.unsqueeze(4) @ graphs).squeeze(4)
        return (self.bn(self.post(y.flatten(1, 2))) + self.down(x)).relu()

    def _graphs(self, x: Tensor) -> Tensor:
        """(B, K, C, T, J, J), where the first, C and T may be 1."""
        graphs = self.A[None, :, None, None]
        if not (self.ctr or self.ada):
            return graphs
        if "NA" not in (self.ctr, self.ada):
            x = x.mean(dim=2, keepdim=True)
        first = self.conv1(x).unflatten(1, (self.num_groups, -1))  # (B, K, C, T, J)
        second = self.conv2(x).unflatten(1, (self.num_groups, -1))
        if self.ctr:
            differences = first.unsqueeze(5) - second.unsqueeze(4)
            graphs = graphs + self._weight(self.alpha) * _activated(differences, self.ctr_act)
        if self.ada:
            products = torch.einsum("bkctv,bkctw->bktvw", first, second).unsqueeze(2)
            graphs = graphs + self._weight(self.beta) * _activated(products, self.ada_act)
        return graphs

    def _weight(self, weights: Tensor) -> Tensor:
        return (weights if self.subset_wise else weights[:1]).view(-1, 1, 1, 1, 1)


def _check(name: str, value: str | None, choices: tuple[str | None, ...]) -> None:
    if value not in choices:
        words = ", ".join(choice or "null" for choice in choices)
        raise ValueError(f"{name}='{value}': choose {words}")


def _activated(graphs: Tensor, name: Activation) -> Tensor:
    return graphs.softmax(dim=-2) if name == "softmax" else getattr(graphs, name)()


class DynamicTemporalConv(MultiScaleTemporalConv):
    """`MultiScaleTemporalConv` that adds to each joint a share of the mean joint (DG-TCN)."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        num_joints: int = 25,
        stride: int = 1,
        dropout: float = 0.0,
        ms_cfg: Sequence[Sequence[int | str] | str] = MS_CFG,
    ) -> None:
        super().__init__(in_channels, out_channels, None, stride, dropout, ms_cfg)
        self.add_coeff = nn.Parameter(torch.zeros(num_joints))

    def forward(self, x: Tensor) -> Tensor:
        joints = x.shape[3]
        x = torch.cat([x, x.mean(dim=3, keepdim=True)], dim=3)
        y = torch.cat([branch(x) for branch in self.branches], dim=1)
        y = y[..., :joints] + y[..., joints:] * self.add_coeff[:joints]
        return self.drop(self.bn(self.transform(y)))
