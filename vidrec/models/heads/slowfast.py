"""Head of SlowFast networks (Feichtenhofer et al., ICCV 2019)."""

import torch
from torch import Tensor, nn


class SlowFastHead(nn.Module):
    """Averages of both pathways over time and space side by side, dropout, one linear layer."""

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        dropout_ratio: float = 0.8,
        init_std: float = 0.01,
    ) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout_ratio)
        self.fc_cls = nn.Linear(in_channels, num_classes)
        nn.init.normal_(self.fc_cls.weight, std=init_std)
        nn.init.zeros_(self.fc_cls.bias)

    def forward(self, features: tuple[Tensor, Tensor]) -> Tensor:
        """Slow and fast maps (B, C, T, h, w), in_channels in all -> (B, K)."""
        slow, fast = (x.mean(dim=(2, 3, 4)) for x in features)
        return self.fc_cls(self.dropout(torch.cat([fast, slow], dim=1)))
