"""Head of networks over clips (I3D: Carreira and Zisserman, CVPR 2017)."""

from torch import Tensor

from vidrec.models.heads.linear import LinearHead


class I3DHead(LinearHead):
    """Average over time and space, dropout, one linear layer."""

    def forward(self, features: Tensor) -> Tensor:
        """(B, in_channels, T, h, w) -> (B, K)."""
        return self.classify(features.mean(dim=(2, 3, 4)))
