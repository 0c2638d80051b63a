"""Proposals between the two networks of BSN: pairs of boundaries, with features of their own."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from vidrec.files.atomic_write import atomic_write
from vidrec.ops.boundary_candidates import tem_candidates
from vidrec.ops.temporal_iou import anchor_iou, temporal_intersection


class VideoProposals(NamedTuple):
    """The proposals of a video, best first. Times are normalised to [0, 1] over its sequence."""

    proposals: np.ndarray  # (M, 5) float64: start, end, their scores and the product
    iou: np.ndarray  # (M,) float64: with the segment that it overlaps most
    ioa: np.ndarray  # (M,) float64: largest fraction of it that a segment covers
    features: np.ndarray  # (M, C) float64


def make_proposals(  # noqa: PLR0913 - the settings of the command
    scores: np.ndarray,
    segments: np.ndarray,
    top_k: int = 1000,
    peak_threshold: float = 0.5,
    boundary_ratio: float = 0.2,
    num_sample_start: int = 8,
    num_sample_end: int = 8,
    num_sample_action: int = 16,
    num_sample_interp: int = 3,
) -> VideoProposals:
    """Pairs of a start and an end, with the action scores inside and around each.

    scores: (T, 3) of action, start and end; segments: (G, 2) ground truth, normalised to [0, 1].
    For the other arguments see `tem_candidates` and `action_features`. The defaults are the
    published settings.
    """
    proposals = candidate_proposals(scores[:, 1], scores[:, 2], peak_threshold)[:top_k]
    start, end = proposals[:, 0], proposals[:, 1]
    iou = np.zeros(len(proposals))
    ioa = np.zeros(len(proposals))
    if len(segments):
        pairs = proposals[:, None, :2]
        iou = anchor_iou(pairs, segments).max(axis=1)
        ioa = (temporal_intersection(pairs, segments) / (end - start)[:, None]).max(axis=1)
    features = action_features(
        scores[:, 0],
        start,
        end,
        boundary_ratio,
        num_sample_start,
        num_sample_end,
        num_sample_action,
        num_sample_interp,
    )
    return VideoProposals(proposals, iou, ioa, features)


def candidate_proposals(start: np.ndarray, end: np.ndarray, threshold: float) -> np.ndarray:
    """(M, 5): start, end, their scores and the product, best first.

    start, end: (T,) probabilities.
    """
    length = len(start)
    found = tem_candidates(torch.from_numpy(start)[None], torch.from_numpy(end)[None], threshold)
    times = torch.stack([found.start[0], found.end[0]], dim=1).numpy()
    first, last = (times * length).astype(np.int64).T  # centres: position + 0.5
    proposals = np.column_stack([times, start[first], end[last], found.score[0].numpy()])
    return proposals[np.argsort(-proposals[:, 4], kind="stable")]


def action_features(  # noqa: PLR0913 - the settings of `make_proposals`
    action: np.ndarray,
    start: np.ndarray,
    end: np.ndarray,
    boundary_ratio: float,
    num_sample_start: int,
    num_sample_end: int,
    num_sample_action: int,
    num_sample_interp: int,
) -> np.ndarray:
    """Action probabilities sampled in every proposal, around its start and around its end.

    action: (T,); start, end: (M,). The surroundings of a boundary extend by `boundary_ratio` of the
    proposal's length. Each sample is the mean over num_sample_interp + 1 points; outside the
    sequence action is 0. Returns (M, num_sample_action + num_sample_start + num_sample_end).
    """
    scale = len(action)
    gap = 1.0 / scale
    extend = scale // 4 + 10
    points = (np.arange(-extend, scale + extend) + 0.5) * gap
    padded = np.concatenate([np.zeros(extend), action, np.zeros(extend)])

    def sampled(low: np.ndarray, high: np.ndarray, count: int) -> np.ndarray:
        """Means around `count` points from low to high, (M, count)."""
        step = (high - low) / (count - 1)
        position = np.arange(count * num_sample_interp + 1) * (step / num_sample_interp)[:, None]
        values = np.interp((low - step / 2)[:, None] + position, points, padded)
        windows = np.lib.stride_tricks.sliding_window_view(values, num_sample_interp + 1, axis=1)
        return windows[:, ::num_sample_interp].mean(axis=2)

    margin = (end - start) * boundary_ratio
    parts = (
        sampled(start, end, num_sample_action),
        sampled(start - margin, start + margin, num_sample_start),
        sampled(end - margin, end + margin, num_sample_end),
    )
    return np.concatenate(parts, axis=1)


def write_proposals(made: VideoProposals, path: Path) -> None:
    """Write an .npz atomically."""
    with atomic_write(path) as stream:
        np.savez(
            stream, **{name: values.astype(np.float32) for name, values in made._asdict().items()}
        )
