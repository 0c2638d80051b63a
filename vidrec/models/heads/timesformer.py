"""Head of transformers with one vector per clip (TimeSformer: Bertasius et al., ICML 2021)."""

from torch import Tensor, nn

from vidrec.models.heads.linear import LinearHead


class TimeSformerHead(LinearHead):
    """Dropout and one linear layer."""

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        dropout_ratio: float = 0.0,
        init_std: float = 0.02,
    ) -> None:
        super().__init__(num_classes, in_channels, dropout_ratio, init_std)

    def initialise(self, std: float) -> None:
        nn.init.trunc_normal_(self.fc_cls.weight, std=std)
        nn.init.zeros_(self.fc_cls.bias)

    def forward(self, features: Tensor) -> Tensor:
        """(B, in_channels) -> (B, K)."""
        return self.classify(features)
