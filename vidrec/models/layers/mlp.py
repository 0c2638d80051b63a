"""The two linear layers of a transformer block, named as in published checkpoints."""

from torch import Tensor, nn


class MLP(nn.Module):
    """Linear, GELU, linear; dropout after each."""

    def __init__(
        self, in_channels: int, hidden_channels: int, out_channels: int, drop_rate: float = 0.0
    ) -> None:
        super().__init__()
        self.fc1 = nn.Linear(in_channels, hidden_channels)
        self.act = nn.GELU()
        self.fc2 = nn.Linear(hidden_channels, out_channels)
        self.drop = nn.Dropout(drop_rate)

    def forward(self, x: Tensor) -> Tensor:
        """(..., in_channels) -> (..., out_channels)."""
        return self.drop(self.fc2(self.drop(self.act(self.fc1(x)))))
