"""Head of Multiscale Vision Transformers (Fan et al., ICCV 2021)."""

import torch
from torch import Tensor, nn


class MViTHead(nn.Module):
    """Dropout and one linear layer on the class token.

    init_scale: of the initial weights and bias, less than 1 for fine-tuning.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        dropout_ratio: float = 0.5,
        init_std: float = 0.02,
        init_scale: float = 1.0,
    ) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout_ratio)
        self.fc_cls = nn.Linear(in_channels, num_classes)
        nn.init.trunc_normal_(self.fc_cls.weight, std=init_std)
        nn.init.constant_(self.fc_cls.bias, 0.02)
        with torch.no_grad():
            self.fc_cls.weight.mul_(init_scale)
            self.fc_cls.bias.mul_(init_scale)

    def forward(self, features: tuple[Tensor, Tensor]) -> Tensor:
        """A map, which is not looked at, and the class token (B, in_channels) -> (B, K)."""
        return self.fc_cls(self.dropout(features[1]))
