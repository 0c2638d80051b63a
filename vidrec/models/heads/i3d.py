"""Head of networks over clips (I3D: Carreira and Zisserman, CVPR 2017)."""

from torch import Tensor, nn


class I3DHead(nn.Module):
    """Average over time and space, dropout, one linear layer."""

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        dropout_ratio: float = 0.5,
        init_std: float = 0.01,
    ) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout_ratio)
        self.fc_cls = nn.Linear(in_channels, num_classes)
        nn.init.normal_(self.fc_cls.weight, std=init_std)
        nn.init.zeros_(self.fc_cls.bias)

    def forward(self, features: Tensor) -> Tensor:
        """(B, in_channels, T, h, w) -> (B, K)."""
        return self.fc_cls(self.dropout(features.mean(dim=(2, 3, 4))))
