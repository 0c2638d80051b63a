"""BatchNorm of coordinates that tells joints and persons apart."""

from torch import Tensor, nn


class SkeletonNorm(nn.BatchNorm1d):
    """Normalise each coordinate of each joint of each person over samples and frames.

    (B, M, T, J, C) -> (B * M, C, T, J), for exactly M = num_person persons.
    """

    def __init__(self, num_person: int, num_joints: int, in_channels: int) -> None:
        super().__init__(num_person * num_joints * in_channels)
        self.num_person, self.num_joints, self.in_channels = num_person, num_joints, in_channels

    def forward(self, x: Tensor) -> Tensor:
        _, persons, _, joints, channels = x.shape
        if (joints, channels) != (self.num_joints, self.in_channels):
            raise ValueError(
                f"the skeletons have {joints} joints of {channels} values, but the network is made "
                f"for num_joints={self.num_joints} and in_channels={self.in_channels}"
            )
        if persons != self.num_person:
            raise ValueError(
                f"samples have {persons} persons, but the network is made for "
                f"num_person={self.num_person}"
            )
        x = x.permute(0, 1, 3, 4, 2)  # (B, M, J, C, T)
        normalised = super().forward(x.flatten(1, 3)).view(x.shape)
        return normalised.permute(0, 1, 3, 4, 2).flatten(0, 1)
