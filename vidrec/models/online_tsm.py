"""TSM on a stream, one frame at a time (Lin et al., ICCV 2019, figure 1c).

A network whose shifts are unidirectional needs of the past only the shifted channels of the
previous frame. Kept from frame to frame, they make each frame cost one frame, not a clip.
"""

import copy
from itertools import chain

import torch
from torch import Tensor, nn

from vidrec.models.heads.tsm import TSMHead
from vidrec.models.heads.tsn import TSNHead
from vidrec.models.layers.temporal_shift import TemporalShift
from vidrec.models.recognizer import Recognizer2D


class OnlineTSM(nn.Module):
    """Classifies a stream after every frame with a unidirectional `Recognizer2D`.

    The scores after n frames since `reset` are the mean of the scores of the last T of them, T
    frames being the clip of the network. Up to n = T they equal those of the network for a clip of
    these n frames. After that they equal the mean over the last T frames of a clip of all n: unlike
    in a clip that begins T frames ago, the first of the T frames have seen the ones before them.

    net: in evaluation mode; its weights are shared, not copied.
    """

    def __init__(self, net: Recognizer2D) -> None:
        super().__init__()
        self.num_frames = frames_of_clip(net)
        tensors = chain(net.parameters(), net.buffers())
        self.net = copy.deepcopy(net, {id(tensor): tensor for tensor in tensors}).eval()
        self.shifts = _shift_from_previous(self.net)
        self._scores: list[Tensor] = []  # (B, K) of each of the last T frames

    @torch.no_grad()
    def step(self, frames: Tensor) -> Tensor:
        """The next frame of each of B streams -> logits (B, K).

        frames: (B, H, W, C), uint8 or on the same scale. Raises ValueError if their shape differs
        from that of the frames before.
        """
        features = self.net.backbone(self.net.normalise(frames))
        self._scores = [*self._scores, self.net.cls_head(features, 1)][-self.num_frames :]
        return torch.stack(self._scores).mean(dim=0)

    def reset(self) -> None:
        """Forget the frames so far: the next one begins new streams."""
        self._scores = []
        for shift in self.shifts:
            shift.previous = None


class ShiftFromPrevious(nn.Module):
    """A unidirectional `TemporalShift` over frames that come one after the other."""

    def __init__(self, shift: TemporalShift) -> None:
        super().__init__()
        self.net = shift.net
        self.shift_div = shift.shift_div
        self.previous: Tensor | None = None  # shifted channels of the previous frames

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w), one frame of each stream -> the output of `net`."""
        moved, rest = x.tensor_split([x.shape[1] // self.shift_div], dim=1)
        past = torch.zeros_like(moved) if self.previous is None else self.previous
        if past.shape != moved.shape:
            raise ValueError(
                f"frames of another shape than before: {tuple(moved.shape)} after "
                f"{tuple(past.shape)} (streams, channels, height, width) in a temporal shift; "
                "reset() begins new streams"
            )
        self.previous = moved.clone()  # a view would keep all of x
        return self.net(torch.cat([past, rest], dim=1))


def frames_of_clip(net: nn.Module) -> int:
    """The frames of a clip of a network that can run online; ValueError if it cannot."""
    if not isinstance(net, Recognizer2D):
        raise ValueError(
            f"{type(net).__name__} cannot classify a stream frame by frame: that takes a TSM, "
            "e.g. model=tsm_online"
        )
    shifts = _shifts(net)
    if not shifts:
        raise ValueError(
            f"{type(net.backbone).__name__} has no temporal shifts: only a TSM, e.g. "
            "model=tsm_online, classifies a stream frame by frame"
        )
    if any(shift.bidirectional for shift in shifts):
        raise ValueError(
            "the temporal shifts are bidirectional, so that frames depend on later ones: train "
            "with model.net.backbone.bidirectional=false, e.g. model=tsm_online"
        )
    whole_clip = [
        type(module).__name__
        for module in net.modules()
        if hasattr(module, "num_segments") and not isinstance(module, TemporalShift)
    ]
    if hasattr(net, "neck"):
        whole_clip.append(type(net.neck).__name__)
    if not isinstance(net.cls_head, TSMHead | TSNHead):
        whole_clip.append(type(net.cls_head).__name__)
    if whole_clip:
        raise ValueError(
            f"{whole_clip[0]} needs the frames of a whole clip, so that the network cannot "
            "classify a stream frame by frame"
        )
    return shifts[0].num_segments


def _shift_from_previous(net: nn.Module) -> list[ShiftFromPrevious]:
    """Replace the temporal shifts within `net`; returns the new ones."""
    shifts = []
    for parent in list(net.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, TemporalShift):
                shifts.append(ShiftFromPrevious(child))
                setattr(parent, name, shifts[-1])
    return shifts


def _shifts(net: nn.Module) -> list[TemporalShift]:
    return [module for module in net.modules() if isinstance(module, TemporalShift)]
