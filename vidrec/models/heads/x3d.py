"""Head of X3D (Feichtenhofer, CVPR 2020)."""

from torch import Tensor, nn


class X3DHead(nn.Module):
    """Average over time and space, a linear layer, ReLU, dropout, a linear layer (table 1)."""

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        mid_channels: int = 2048,
        dropout_ratio: float = 0.5,
        init_std: float = 0.01,
        fc1_bias: bool = False,
    ) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.fc1 = nn.Linear(in_channels, mid_channels, bias=fc1_bias)
        self.relu = nn.ReLU(inplace=True)
        self.dropout = nn.Dropout(dropout_ratio)
        self.fc2 = nn.Linear(mid_channels, num_classes)
        for layer in (self.fc1, self.fc2):
            nn.init.normal_(layer.weight, std=init_std)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)

    def forward(self, features: Tensor) -> Tensor:
        """(B, in_channels, T, h, w) -> (B, K)."""
        x = self.relu(self.fc1(features.mean(dim=(2, 3, 4))))
        return self.fc2(self.dropout(x))
