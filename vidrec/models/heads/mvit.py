"""Head of Multiscale Vision Transformers (Fan et al., ICCV 2021)."""

import torch
from torch import Tensor, nn

from vidrec.models.heads.linear import LinearHead


class MViTHead(LinearHead):
    """Dropout and one linear layer on the class token.

    init_scale: multiplies the initial weights and bias; less than 1 for fine-tuning.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        dropout_ratio: float = 0.5,
        init_std: float = 0.02,
        init_scale: float = 1.0,
    ) -> None:
        super().__init__(num_classes, in_channels, dropout_ratio, init_std)
        with torch.no_grad():
            self.fc_cls.weight.mul_(init_scale)
            self.fc_cls.bias.mul_(init_scale)

    def initialise(self, std: float) -> None:
        nn.init.trunc_normal_(self.fc_cls.weight, std=std)
        nn.init.constant_(self.fc_cls.bias, 0.02)

    def forward(self, features: tuple[Tensor, Tensor]) -> Tensor:
        """The map, which is not used, and the class token (B, in_channels) -> (B, K)."""
        return self.classify(features[1])
