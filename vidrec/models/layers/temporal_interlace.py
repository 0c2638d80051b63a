"""Temporal interlacing: learned shifts of channels along time (Shao et al., AAAI 2020)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

NUM_GROUPS = 2  # learned offsets; as many groups of channels move in the opposite direction


class OffsetNet(nn.Module):
    """Predicts by how many frames each group of channels moves (section 3.2, OffsetNet)."""

    def __init__(self, channels: int, num_segments: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(channels, 1, 3, padding=1)
        self.fc1 = nn.Linear(num_segments, num_segments)
        self.fc2 = nn.Linear(num_segments, NUM_GROUPS)
        nn.init.zeros_(self.conv.bias)  # type: ignore[arg-type]
        # The sigmoid of 0.5108 is 0.625: the first offset is half a frame.
        nn.init.constant_(self.fc2.bias, 0.5108)

    def forward(self, x: Tensor) -> Tensor:
        """Descriptors (B, C, T) -> offsets (B, NUM_GROUPS) in frames, from -2 to 2."""
        x = F.relu(self.fc1(self.conv(x).squeeze(1)))
        return 4 * (self.fc2(x).sigmoid() - 0.5)


class WeightNet(nn.Module):
    """Predicts a weight for each frame and group of channels (section 3.2, WeightNet)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(channels, NUM_GROUPS, 3, padding=1)
        nn.init.zeros_(self.conv.bias)  # type: ignore[arg-type]  # weights start around 1

    def forward(self, x: Tensor) -> Tensor:
        """Descriptors (B, C, T) -> weights (B, T, NUM_GROUPS), from 0 to 2."""
        return 2 * self.conv(x).sigmoid().transpose(1, 2)


class TemporalInterlace(nn.Module):
    """Shifts some of the channels in time by learned, fractional offsets.

    The first channels // shift_div channels form four groups: two of them move by one offset each,
    the other two by the same offsets in the opposite direction. Frames past the ends are zero.
    """

    def __init__(self, channels: int, num_segments: int = 8, shift_div: int = 4) -> None:
        super().__init__()
        if shift_div < 1 or channels // shift_div % (2 * NUM_GROUPS):
            raise ValueError(
                f"shift_div={shift_div} moves {channels // max(1, shift_div)} of {channels} "
                f"channels, which cannot be divided into {2 * NUM_GROUPS} equal groups"
            )
        self.num_segments = num_segments
        self.num_moved = channels // shift_div
        self.offset_net = OffsetNet(self.num_moved, num_segments)
        self.weight_net = WeightNet(self.num_moved)

    def forward(self, x: Tensor) -> Tensor:
        """(B * num_segments, channels, h, w) -> the same shape."""
        moved, rest = x.split([self.num_moved, x.shape[1] - self.num_moved], dim=1)
        moved = moved.unflatten(0, (-1, self.num_segments))
        descriptor = moved.mean(dim=(3, 4)).transpose(1, 2)
        offset, weight = self.offset_net(descriptor), self.weight_net(descriptor)
        # Positions need more precision than bfloat16 has.
        offset = offset.to(torch.promote_types(offset.dtype, torch.float32))
        offset = torch.cat([offset, -offset], dim=1)
        weight = torch.cat([weight, weight], dim=2)
        # Each output frame interpolates between two frames, the same way at all positions: one
        # (T, T) matrix per clip and group.
        mixture = weight.transpose(1, 2)[..., None] * interpolation(offset, self.num_segments)
        groups = moved.unflatten(2, (2 * NUM_GROUPS, -1))
        moved = torch.einsum("bgts,bsgchw->btgchw", mixture.to(groups.dtype), groups)
        return torch.cat([moved.flatten(2, 3).flatten(0, 1), rest], dim=1)


def interpolation(offset: Tensor, num_segments: int) -> Tensor:
    """Matrices that sample T = num_segments frames at their position minus an offset.

    offset: (..., G) in frames. Returns (..., G, T, T): row t has the weights of the source frames
    of frame t, interpolating linearly between the two nearest, with zeros past the ends.

    >>> interpolation(torch.tensor([0.25]), 3)
    tensor([[[0.7500, 0.0000, 0.0000],
             [0.2500, 0.7500, 0.0000],
             [0.0000, 0.2500, 0.7500]]])
    """
    frames = torch.arange(num_segments, device=offset.device, dtype=offset.dtype)
    position = frames[:, None] - offset[..., None, None]
    return F.relu(1 - (position - frames).abs())


class Interlaced(nn.Module):
    """`net2` after interlacing by `net1`, named as in published checkpoints."""

    def __init__(self, net1: TemporalInterlace, net2: nn.Module) -> None:
        super().__init__()
        self.net1 = net1
        self.net2 = net2

    def forward(self, x: Tensor) -> Tensor:
        return self.net2(self.net1(x))
