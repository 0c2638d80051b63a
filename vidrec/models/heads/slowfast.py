"""Head of SlowFast networks (Feichtenhofer et al., ICCV 2019)."""

import torch
from torch import Tensor

from vidrec.models.heads.linear import LinearHead


class SlowFastHead(LinearHead):
    """Averages of both pathways over time and space, concatenated; dropout, one linear layer."""

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        dropout_ratio: float = 0.8,
        init_std: float = 0.01,
    ) -> None:
        super().__init__(num_classes, in_channels, dropout_ratio, init_std)

    def forward(self, features: tuple[Tensor, Tensor]) -> Tensor:
        """Slow and fast maps (B, C, T, h, w), in_channels in all -> (B, K)."""
        slow, fast = (x.mean(dim=(2, 3, 4)) for x in features)
        return self.classify(torch.cat([fast, slow], dim=1))
