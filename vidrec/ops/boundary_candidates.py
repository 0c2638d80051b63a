"""From probabilities of boundaries to segments that may hold an action, many videos at once.

Segments are in units of the sequence: 0 is its beginning and 1 its end. All functions run on the
device of their input and return float64.
"""

import torch
from torch import Tensor

from vidrec.ops.soft_nms import Candidates


def peaks(scores: Tensor, threshold: float = 0.5) -> Tensor:
    """Where a boundary may be: at local maxima and where the score is high, (N, T) bool.

    scores: (N, T). High is above `threshold` of the video's largest. The ends of the sequence are
    never peaks by themselves; the caller adds them.
    """
    inner = scores[:, 1:-1]
    is_peak = (inner > scores[:, 2:]) & (inner > scores[:, :-2])
    is_high = inner > threshold * scores.amax(dim=1, keepdim=True)
    found = torch.zeros_like(scores, dtype=torch.bool)
    found[:, 1:-1] = is_peak | is_high
    return found


def bmn_candidates(
    start: Tensor, end: Tensor, iou_map: Tensor, num_real: Tensor | None = None
) -> Candidates:
    """Pairs of a start and an end, scored by both and by both confidences (BMN, section 3.5).

    start, end: (N, T); iou_map: (N, 2, D, T). A proposal of cell (duration d, start t) ends at
    t + d + 1, before the end of the sequence. num_real: (N,) int64, positions of each sequence that
    are not padding; no proposal starts in or reaches into the padding.
    """
    length = start.shape[1]
    positions = torch.arange(length, device=start.device)
    num_real = torch.full_like(start[:, 0], length).long() if num_real is None else num_real
    starts_there = positions < num_real[:, None]
    ends_there = positions <= num_real[:, None]  # the beginning of a position
    start, end = start * starts_there, end * ends_there
    starts, ends = peaks(start), peaks(end)
    starts[:, 0] = True
    ends.scatter_(1, num_real[:, None].clamp(max=length - 1), True)
    duration, first = torch.meshgrid(positions, positions, indexing="ij")
    inside = first + duration + 1 < length
    first, last = first[inside], (first + duration + 1)[inside]
    score = start[:, first] * end[:, last] * iou_map[:, 1][:, inside] * iou_map[:, 0][:, inside]
    chosen = starts[:, first] & ends[:, last]
    chosen &= starts_there[:, first] & ends_there[:, last]
    return _packed(first.double() / length, last.double() / length, score.double(), chosen)


def tem_candidates(
    start: Tensor, end: Tensor, threshold: float = 0.5, num_real: Tensor | None = None
) -> Candidates:
    """Pairs of a start and a later end, scored by the product (BSN, section 3.3).

    start, end: (N, T). Boundaries lie in the middle of their positions. num_real: see
    `bmn_candidates`.
    """
    length = start.shape[1]
    num_real = torch.full_like(start[:, 0], length).long() if num_real is None else num_real
    there = torch.arange(length, device=start.device) < num_real[:, None]
    start, end = start * there, end * there
    starts, ends = peaks(start, threshold), peaks(end, threshold)
    for found in (starts, ends):
        found[:, 0] = True
        found.scatter_(1, (num_real[:, None] - 1).clamp(min=0), True)
    first, last = torch.triu_indices(length, length, 1, device=start.device)
    score = start[:, first] * end[:, last]
    chosen = starts[:, first] & ends[:, last] & there[:, last]
    centre = (torch.arange(length, dtype=torch.float64, device=start.device) + 0.5) / length
    return _packed(centre[first], centre[last], score.double(), chosen)


def _packed(start: Tensor, end: Tensor, score: Tensor, chosen: Tensor) -> Candidates:
    """The chosen of the segments (P,) of every row of `score` and `chosen` (N, P), moved left."""
    most = max(int(chosen.sum(dim=1).max()), 1)
    # A stable sort of the flags keeps the order of the chosen.
    order = torch.argsort(~chosen, dim=1, stable=True)[:, :most]
    score = torch.where(chosen, score, -1.0).gather(1, order)
    return Candidates(start[order], end[order], score)
