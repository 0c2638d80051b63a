"""A backbone: clips to a feature map."""

import itertools

from torch import Tensor, nn


class SmallConv3d(nn.Module):
    """Three convolutions in space and time.

    width: channels of the first one; the map has four times as many.
    """

    def __init__(self, width: int = 8) -> None:
        super().__init__()
        channels = [3, width, 2 * width, 4 * width]
        self.layers = nn.Sequential()
        for before, after in itertools.pairwise(channels):
            self.layers.append(nn.Conv3d(before, after, 3, stride=(1, 2, 2), padding=1))
            self.layers.append(nn.BatchNorm3d(after))
            self.layers.append(nn.ReLU())
        self.out_channels = channels[-1]

    def forward(self, clips: Tensor) -> Tensor:
        """Normalised clips (B, 3, T, H, W) -> (B, 4 * width, T, H / 8, W / 8)."""
        return self.layers(clips)
