"""ST-GCN (Yan et al., AAAI 2018) and ST-GCN++ (Duan et al., ACM MM 2022)."""

from collections.abc import Sequence
from typing import Literal

from torch import nn

from vidrec.models.backbones.skeleton import DataNorm, SkeletonNetwork
from vidrec.models.layers.graph_conv import (
    MS_CFG,
    Adaptive,
    GraphConv,
    MultiScaleTemporalConv,
    TemporalConv,
)
from vidrec.models.layers.skeleton_graph import Mode, skeleton_graph


class STGCN(SkeletonNetwork):
    """See `SkeletonNetwork`. The defaults are those of ST-GCN.

    ST-GCN++ is `mode=spatial`, `gcn_adaptive=init`, `gcn_with_res=true`, `tcn_type=mstcn`.

    num_joints, edges, center, mode: the skeleton, see `skeleton_graph`.
    gcn_*: see `GraphConv`. tcn_type: `unit_tcn` (9 frames) or `mstcn`, see
        `MultiScaleTemporalConv`. tcn_dropout: from the second stage on.
    """

    def __init__(  # noqa: PLR0913 - the signature is the configuration
        self,
        num_joints: int,
        edges: Sequence[Sequence[int]],
        center: int,
        mode: Mode = "stgcn_spatial",
        in_channels: int = 3,
        base_channels: int = 64,
        data_bn_type: DataNorm = "VC",
        ch_ratio: float = 2,
        num_person: int = 2,
        num_stages: int = 10,
        inflate_stages: Sequence[int] = (5, 8),
        down_stages: Sequence[int] = (5, 8),
        gcn_adaptive: Adaptive | None = "importance",
        gcn_conv_pos: Literal["pre", "post"] = "pre",
        gcn_with_res: bool = False,
        tcn_type: Literal["unit_tcn", "mstcn"] = "unit_tcn",
        tcn_dropout: float = 0.0,
        tcn_ms_cfg: Sequence[Sequence[int | str] | str] = MS_CFG,
    ) -> None:
        if tcn_type not in ("unit_tcn", "mstcn"):
            raise ValueError(f"tcn_type='{tcn_type}': choose unit_tcn or mstcn")
        graph = skeleton_graph(num_joints, edges, center, mode)

        def make_gcn(before: int, width: int) -> nn.Module:
            return GraphConv(before, width, graph, gcn_adaptive, gcn_conv_pos, gcn_with_res)

        def make_tcn(width: int, stride: int, number: int) -> nn.Module:
            dropout = tcn_dropout if number > 1 else 0.0
            if tcn_type == "unit_tcn":
                return TemporalConv(width, width, stride=stride, dropout=dropout)
            return MultiScaleTemporalConv(
                width, width, stride=stride, dropout=dropout, ms_cfg=tcn_ms_cfg
            )

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
