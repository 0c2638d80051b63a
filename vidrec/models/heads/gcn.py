"""The classifier of skeleton networks."""

from torch import Tensor, nn


class GCNHead(nn.Module):
    """Mean over frames and joints, then over persons; dropout; a linear layer.

    (B, M, C, T, J) -> logits (B, num_classes).
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        dropout_ratio: float = 0.0,
        init_std: float = 0.01,
    ) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.dropout = nn.Dropout(dropout_ratio)
        self.fc = nn.Linear(in_channels, num_classes)
        nn.init.normal_(self.fc.weight, std=init_std)
        nn.init.zeros_(self.fc.bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.dropout(x.mean(dim=(3, 4)).mean(dim=1)))
