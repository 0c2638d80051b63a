"""A head: a feature map to the scores of the classes."""

import torch
from torch import Tensor, nn


class FirstLastHead(nn.Module):
    """One linear layer over the features of the first and of the last half of a clip."""

    def __init__(self, num_classes: int, in_channels: int) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.fc = nn.Linear(2 * in_channels * 4, num_classes)

    def forward(self, features: Tensor) -> Tensor:
        """(B, in_channels, T, h, w) -> logits (B, K)."""
        halves = features.tensor_split(2, dim=2)
        pooled = [
            nn.functional.adaptive_avg_pool2d(half.mean(dim=2), 2).flatten(1) for half in halves
        ]
        return self.fc(torch.cat(pooled, dim=1))
