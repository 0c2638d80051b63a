"""What the graph networks over skeletons share: normalised coordinates, then stages."""

from collections.abc import Callable, Sequence
from typing import Literal

from torch import Tensor, nn

from vidrec.models.layers.graph_conv import TemporalConv

DataNorm = Literal["VC", "MVC"]


class SkeletonNetwork(nn.Module):
    """Sequences of skeletons (B, M, T, J, C) -> features (B, M, C', T', J).

    Every person is seen alone.

    make_gcn: (channels in, channels out) -> a convolution over joints.
    make_tcn: (channels, stride, number of the stage from 1) -> a convolution over time.
    data_bn_type: normalise each coordinate of each joint over all persons (`VC`), or of each person
        too (`MVC`, for exactly `num_person` persons).
    ch_ratio: growth of the channels at `inflate_stages`; `down_stages` halve the time. Stages count
        from 1.
    """

    def __init__(  # noqa: PLR0913 - the signature is the configuration
        self,
        make_gcn: Callable[[int, int], nn.Module],
        make_tcn: Callable[[int, int, int], nn.Module],
        num_joints: int,
        in_channels: int,
        base_channels: int,
        data_bn_type: DataNorm,
        ch_ratio: float,
        num_person: int,
        num_stages: int,
        inflate_stages: Sequence[int],
        down_stages: Sequence[int],
    ) -> None:
        super().__init__()
        if data_bn_type not in ("VC", "MVC"):
            raise ValueError(f"data_bn_type='{data_bn_type}': choose VC or MVC")
        self.in_channels, self.num_joints = in_channels, num_joints
        self.data_bn_type, self.num_person = data_bn_type, num_person
        persons = num_person if data_bn_type == "MVC" else 1
        self.data_bn = nn.BatchNorm1d(persons * in_channels * num_joints)
        stages = []
        width = base_channels
        if in_channels != base_channels:  # else the first stage has nothing to project
            first = make_gcn(in_channels, width), make_tcn(width, 1, 1)
            stages.append(Stage(*first, None))
        for number in range(2, num_stages + 1):
            before, stride = width, 2 if number in down_stages else 1
            growths = sum(2 <= stage <= number for stage in inflate_stages)
            width = int(base_channels * ch_ratio**growths + 1e-4)
            shortcut: nn.Module = nn.Identity()
            if before != width or stride != 1:
                shortcut = TemporalConv(before, width, kernel_size=1, stride=stride)
            made = make_gcn(before, width), make_tcn(width, stride, number)
            stages.append(Stage(*made, shortcut))
        self.gcn = nn.ModuleList(stages)
        self.out_channels = width

    def forward(self, x: Tensor) -> Tensor:
        batch, persons, _, joints, channels = x.shape
        if (joints, channels) != (self.num_joints, self.in_channels):
            raise ValueError(
                f"the skeletons have {joints} joints of {channels} values, but the network is made "
                f"for num_joints={self.num_joints} and in_channels={self.in_channels}"
            )
        if self.data_bn_type == "MVC" and persons != self.num_person:
            raise ValueError(
                f"samples have {persons} persons, but data_bn_type=MVC is made for "
                f"num_person={self.num_person}"
            )
        x = x.permute(0, 1, 3, 4, 2)  # (B, M, J, C, T)
        rows = x.flatten(1, 3) if self.data_bn_type == "MVC" else x.flatten(0, 1).flatten(1, 2)
        x = self.data_bn(rows).reshape(x.shape).permute(0, 1, 3, 4, 2).flatten(0, 1)
        for stage in self.gcn:
            x = stage(x)
        return x.unflatten(0, (batch, persons))


class Stage(nn.Module):
    """A graph convolution and a temporal one beside a shortcut, (B, C, T, J) -> (B, C', T', J)."""

    def __init__(self, gcn: nn.Module, tcn: nn.Module, residual: nn.Module | None) -> None:
        super().__init__()
        self.gcn = gcn
        self.tcn = tcn
        self.residual = residual

    def forward(self, x: Tensor) -> Tensor:
        y = self.tcn(self.gcn(x))
        return (y if self.residual is None else y + self.residual(x)).relu()
