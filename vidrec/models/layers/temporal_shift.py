"""Temporal shift: exchanges channels between neighbouring frames (Lin et al., ICCV 2019)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def temporal_shift(
    x: Tensor, num_segments: int, shift_div: int, bidirectional: bool = True
) -> Tensor:
    """Takes some channels from the next frame and as many from the previous one.

    x: (B * num_segments, C, h, w). The first C // shift_div channels come from the next frame, the
    following C // shift_div from the previous one, the rest stay (section 3.2). Not bidirectional:
    the first C // shift_div come from the previous frame, the rest stay (figure 1c). Frames past
    the ends are zero. Keeps the memory format of x.
    """
    fold = x.shape[1] // shift_div
    if not fold:
        return x
    # Channels last also in shape if they are in memory, so that padding and cat keep the format.
    channels_last = x.is_contiguous(memory_format=torch.channels_last)
    clips = x.movedim(1, -1) if channels_last else x
    clips, dim = clips.unflatten(0, (-1, num_segments)), -1 if channels_last else 2
    parts = [fold, fold] if bidirectional else [fold]
    *moving, past, rest = clips.split([*parts, x.shape[1] - sum(parts)], dim=dim)
    moving = [F.pad(future[:, 1:], (0, 0, 0, 0, 0, 0, 0, 1)) for future in moving]
    past = F.pad(past[:, :-1], (0, 0, 0, 0, 0, 0, 1, 0))
    shifted = torch.cat([*moving, past, rest], dim=dim).flatten(0, 1)
    return shifted.movedim(-1, 1) if channels_last else shifted


class TemporalShift(nn.Module):
    """A module over single frames, after a temporal shift of its input.

    num_segments: frames of a clip. shift_div, bidirectional: see `temporal_shift`.
    """

    def __init__(
        self,
        net: nn.Module,
        num_segments: int = 8,
        shift_div: int = 8,
        bidirectional: bool = True,
    ) -> None:
        super().__init__()
        if num_segments < 1 or shift_div < 2:
            raise ValueError(
                f"num_segments={num_segments}, shift_div={shift_div}: a temporal shift needs at "
                "least 1 frame and a divisor of at least 2"
            )
        self.net = net
        self.num_segments = num_segments
        self.shift_div = shift_div
        self.bidirectional = bidirectional

    def forward(self, x: Tensor) -> Tensor:
        """(B * num_segments, C, h, w) -> the output of `net`."""
        return self.net(temporal_shift(x, self.num_segments, self.shift_div, self.bidirectional))
