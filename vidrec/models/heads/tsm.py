"""Head of the networks that mix frames in the backbone: TSM, TIN, TANet."""

from torch import Tensor, nn


class TSMHead(nn.Module):
    """Scores every frame by itself and averages over the frames of a clip.

    As `TSNHead` without dropout; in training each frame drops features of its own.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        dropout_ratio: float = 0.8,
        init_std: float = 0.001,
    ) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout_ratio)
        self.fc_cls = nn.Linear(in_channels, num_classes)
        nn.init.normal_(self.fc_cls.weight, std=init_std)
        nn.init.zeros_(self.fc_cls.bias)

    def forward(self, features: Tensor, num_frames: int) -> Tensor:
        """(B * num_frames, in_channels, h, w) -> (B, K)."""
        scores = self.fc_cls(self.dropout(features.mean(dim=(2, 3))))
        return scores.unflatten(0, (-1, num_frames)).mean(dim=1)
