"""Normalisation of pixels, which every network over videos does itself."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class Normalised(nn.Module):
    """A network that normalises frames on its own device.

    mean, std: per channel, on the scale 0 to 255; fewer values than channels are repeated.
    """

    scale: Tensor
    shift: Tensor

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        if len(mean) != len(std):
            raise ValueError(f"mean={list(mean)} and std={list(std)} differ in length")
        # One multiply-add: (x - mean) / std = x * scale + shift.
        scale = 1 / torch.tensor(list(std), dtype=torch.float64)
        shift = -torch.tensor(list(mean), dtype=torch.float64) * scale
        self.register_buffer("scale", scale.float(), persistent=False)
        self.register_buffer("shift", shift.float(), persistent=False)

    def normalise(self, video: Tensor) -> Tensor:
        """(N, V, T, H, W, C), 0 to 255 -> (N, V, T, C, H, W), still channels-last in memory.

        Computed in the precision of the weights, returned in that of the first convolution.
        """
        width, channels = video.shape[-2:]
        if channels % len(self.scale):
            raise ValueError(
                f"model.net.mean and model.net.std have {len(self.scale)} values, but frames have "
                f"{channels} channels: give one value per channel, or one for all"
            )
        # On whole rows: several times faster on a CPU than factors that vary along the last axis.
        repeats = width * channels // len(self.scale)
        rows = video.flatten(-2).to(self.scale.dtype)
        rows = torch.addcmul(self.shift.repeat(repeats), rows, self.scale.repeat(repeats))
        device = video.device.type
        if torch.is_autocast_enabled(device):
            rows = rows.to(torch.get_autocast_dtype(device))
        return rows.unflatten(-1, (width, channels)).movedim(-1, -3)
