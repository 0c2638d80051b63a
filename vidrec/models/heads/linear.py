"""Dropout and one linear layer, with which most heads end."""

from torch import Tensor, nn


class LinearHead(nn.Module):
    """Features of a clip or a frame to the scores of the classes.

    init_std: standard deviation of the initial weights.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        dropout_ratio: float = 0.5,
        init_std: float = 0.01,
    ) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.dropout = nn.Dropout(dropout_ratio)
        self.fc_cls = nn.Linear(in_channels, num_classes)
        self.initialise(init_std)

    def initialise(self, std: float) -> None:
        nn.init.normal_(self.fc_cls.weight, std=std)
        nn.init.zeros_(self.fc_cls.bias)

    def classify(self, features: Tensor) -> Tensor:
        """(..., in_channels) -> (..., K)."""
        return self.fc_cls(self.dropout(features))
