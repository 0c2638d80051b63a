"""Head of networks over spectrograms: that of Wang et al. (ECCV 2016), with time in the map."""

from torch import Tensor

from vidrec.models.heads.linear import LinearHead


class TSNAudioHead(LinearHead):
    """Average over time and frequency, dropout, one linear layer.

    dropout_ratio: probability that a pooled feature is zeroed in training.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        dropout_ratio: float = 0.4,
        init_std: float = 0.01,
    ) -> None:
        super().__init__(num_classes, in_channels, dropout_ratio, init_std)

    def forward(self, features: Tensor) -> Tensor:
        """(B, in_channels, t, f) -> (B, K)."""
        return self.classify(features.mean(dim=(2, 3)))
