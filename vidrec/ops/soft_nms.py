"""Soft non-maximum suppression of scored segments, many videos at once.

Segments are in units of the sequence: 0 is its beginning and 1 its end. Runs on the device of its
input.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from vidrec.ops.temporal_iou import temporal_iou


class Candidates(NamedTuple):
    """Segments with scores, padded to the video that has the most."""

    start: Tensor  # (N, M) float64
    end: Tensor  # (N, M) float64
    score: Tensor  # (N, M) float64; -1 is padding


class Proposals(NamedTuple):
    """The best segments, best first."""

    segments: Tensor  # (N, K, 2) float64, start and end
    scores: Tensor  # (N, K) float64; 0 beyond `counts`
    counts: Tensor  # (N,) int64: proposals of each video


def soft_nms(
    candidates: Candidates,
    alpha: float,
    low_threshold: float,
    high_threshold: float,
    top_k: int,
) -> Proposals:
    """Takes the best segment again and again, each time lowering the scores of those it overlaps.

    Scores of segments whose IoU with the taken one exceeds a threshold are multiplied by
    exp(-IoU^2 / alpha); the threshold grows from `low_threshold` to `high_threshold` with the width
    of the taken one, in units of the sequence (Bodla et al., ICCV 2017; BSN, section 3.4). Returns
    `top_k` columns.
    """
    # Starts lie beside starts in memory, and ends beside ends.
    segments = torch.stack([candidates.start, candidates.end]).movedim(0, -1)  # (N, M, 2)
    score = candidates.score
    num_videos, num_candidates = score.shape
    taken = torch.zeros(num_videos, top_k, dtype=torch.int64, device=score.device)
    kept = torch.full((num_videos, top_k), -1.0, dtype=score.dtype, device=score.device)
    for step in range(min(top_k, num_candidates)):
        best_score, best = score.max(dim=1, keepdim=True)
        taken[:, step : step + 1] = best
        kept[:, step : step + 1] = best_score
        winner = _gather(segments, best)  # (N, 1, 2)
        width = winner[..., 1] - winner[..., 0]
        iou = temporal_iou(segments, winner)
        hit = iou > low_threshold + (high_threshold - low_threshold) * width
        # Taken segments and padding are below zero and stay there.
        score = torch.where(hit, score * torch.exp(iou.square() / -alpha), score)
        score.scatter_(1, best, -1.0)
    # Scores are only lowered, so the taken ones come in descending order.
    missing = kept < 0
    return Proposals(
        _gather(segments, taken).masked_fill(missing[..., None], 0.0),
        kept.masked_fill(missing, 0.0),
        (~missing).sum(dim=1),
    )


def _gather(segments: Tensor, rows: Tensor) -> Tensor:
    """Segments (N, M, 2) of the rows (N, K) -> (N, K, 2)."""
    return segments.gather(1, rows[..., None].expand(-1, -1, 2))
