"""The two linear layers of a transformer block, named as in MMCV's `FFN`.

timm's `Mlp` computes the same; published checkpoints of VideoMAE and TimeSformer need these names.
"""

from torch import Tensor, nn


class FeedForward(nn.Module):
    """Linear, GELU, dropout, linear, dropout."""

    def __init__(self, channels: int, hidden_channels: int, drop_rate: float = 0.0) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Sequential(nn.Linear(channels, hidden_channels), nn.GELU(), nn.Dropout(drop_rate)),
            nn.Linear(hidden_channels, channels),
            nn.Dropout(drop_rate),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(..., channels) -> the same shape."""
        return self.layers(x)
