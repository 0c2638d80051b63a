"""Head of transformers that give one vector a clip (TimeSformer: Bertasius et al., ICML 2021)."""

from torch import Tensor, nn


class TimeSformerHead(nn.Module):
    """Dropout and one linear layer."""

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        dropout_ratio: float = 0.0,
        init_std: float = 0.02,
    ) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout_ratio)
        self.fc_cls = nn.Linear(in_channels, num_classes)
        nn.init.trunc_normal_(self.fc_cls.weight, std=init_std)
        nn.init.zeros_(self.fc_cls.bias)

    def forward(self, features: Tensor) -> Tensor:
        """(B, in_channels) -> (B, K)."""
        return self.fc_cls(self.dropout(features))
