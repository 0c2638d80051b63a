"""From boundary probabilities to proposals: candidates and soft-NMS, many videos at once.

Segments are in units of the sequence, 0 its beginning and 1 its end. Everything runs on the device
of its input, in float64 from the candidates on.
"""

from typing import NamedTuple

import torch
from torch import Tensor


class Candidates(NamedTuple):
    """Segments with scores, as many columns as the video with the most has."""

    start: Tensor  # (N, M) float64
    end: Tensor  # (N, M) float64
    score: Tensor  # (N, M) float64; -1 where a video has fewer


class Proposals(NamedTuple):
    """The best segments, best first."""

    segments: Tensor  # (N, K, 2) float64, start and end
    scores: Tensor  # (N, K) float64; 0 beyond `counts`
    counts: Tensor  # (N,) int64: how many there are of each video


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


def bmn_candidates(start: Tensor, end: Tensor, iou_map: Tensor) -> Candidates:
    """Pairs of a start and an end, scored by both and by both confidences (BMN, section 3.5).

    start, end: (N, T); iou_map: (N, 2, D, T). A proposal of cell (duration d, start t) ends at
    t + d + 1, before the end of the sequence.
    """
    length = start.shape[1]
    starts, ends = peaks(start), peaks(end)
    starts[:, 0] = True
    ends[:, -1] = True
    positions = torch.arange(length, device=start.device)
    duration, first = torch.meshgrid(positions, positions, indexing="ij")
    inside = first + duration + 1 < length
    first, last = first[inside], (first + duration + 1)[inside]
    score = start[:, first] * end[:, last] * iou_map[:, 1][:, inside] * iou_map[:, 0][:, inside]
    chosen = starts[:, first] & ends[:, last]
    return _packed(first.double() / length, last.double() / length, score.double(), chosen)


def tem_candidates(start: Tensor, end: Tensor, threshold: float = 0.5) -> Candidates:
    """Pairs of a start and a later end, scored by the product (BSN, section 3.3).

    start, end: (N, T). Boundaries lie in the middle of their positions.
    """
    length = start.shape[1]
    starts, ends = peaks(start, threshold), peaks(end, threshold)
    for found in (starts, ends):
        found[:, [0, -1]] = True
    first, last = torch.triu_indices(length, length, 1, device=start.device)
    score = start[:, first] * end[:, last]
    chosen = starts[:, first] & ends[:, last]
    centre = (torch.arange(length, dtype=torch.float64, device=start.device) + 0.5) / length
    return _packed(centre[first], centre[last], score.double(), chosen)


def _packed(start: Tensor, end: Tensor, score: Tensor, chosen: Tensor) -> Candidates:
    """The chosen of the segments (P,) of every row of `score` and `chosen` (N, P), moved left."""
    most = int(chosen.sum(dim=1).max())
    # A stable sort of the flags keeps the order of the chosen.
    order = torch.argsort(~chosen, dim=1, stable=True)[:, :most]
    score = torch.where(chosen, score, -1.0).gather(1, order)
    return Candidates(start[order], end[order], score)


def soft_nms(
    candidates: Candidates,
    alpha: float,
    low_threshold: float,
    high_threshold: float,
    top_k: int,
) -> Proposals:
    """Take the best segment again and again, each time lowering the scores of those it overlaps.

    Scores of segments that overlap the taken one by more than a threshold are multiplied by
    exp(-IoU^2 / alpha); the threshold grows from `low_threshold` to `high_threshold` with the width
    of the taken one, in units of the sequence (Bodla et al., ICCV 2017; BSN, section 3.4). Returns
    `top_k` columns.
    """
    start, end, score = candidates.start, candidates.end, candidates.score.clone()
    num_videos, num_candidates = score.shape
    length = end - start
    steps = min(top_k + 1, num_candidates)
    taken = torch.zeros(num_videos, top_k + 1, dtype=torch.int64, device=score.device)
    kept = torch.full((num_videos, top_k + 1), -1.0, dtype=score.dtype, device=score.device)
    for step in range(steps):
        best_score, best = score.max(dim=1, keepdim=True)
        taken[:, step : step + 1] = best
        kept[:, step : step + 1] = best_score
        width = length.gather(1, best)
        last = torch.minimum(end, end.gather(1, best))
        overlap = (last - torch.maximum(start, start.gather(1, best))).clamp_(min=0)
        iou = overlap / (length + width - overlap)
        hit = iou > low_threshold + (high_threshold - low_threshold) * width
        # What was taken, and the padding, is below zero and stays there.
        score = torch.where(hit, score * torch.exp(iou.square() / -alpha), score)
        score.scatter_(1, best, -1.0)
    # One more than wanted is taken, as published: lowered scores may change the order at the end.
    kept, order = kept.sort(dim=1, descending=True, stable=True)
    taken = taken.gather(1, order)[:, :top_k]
    kept = kept[:, :top_k]
    segments = torch.stack([start.gather(1, taken), end.gather(1, taken)], dim=-1)
    count = (kept >= 0).sum(dim=1)
    missing = kept < 0
    return Proposals(
        segments.masked_fill(missing[..., None], 0.0), kept.masked_fill(missing, 0.0), count
    )
