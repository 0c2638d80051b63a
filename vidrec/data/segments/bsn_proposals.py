"""Proposals between the two networks of BSN: made from boundaries, with features of their own."""

import os
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.utils.data import Dataset

from vidrec.data.segments.annotations import SegmentRecords
from vidrec.files.atomic_write import atomic_write
from vidrec.ops.boundary_candidates import tem_candidates
from vidrec.ops.temporal_iou import anchor_iou, temporal_intersection


class VideoProposals(NamedTuple):
    """The proposals of a video, best first. Times in units of its sequence."""

    proposals: np.ndarray  # (M, 5) float64: start, end, their scores and the product
    iou: np.ndarray  # (M,) float64: with the segment that it covers best
    ioa: np.ndarray  # (M,) float64: largest share of it that a segment covers
    features: np.ndarray  # (M, C) float64


def make_proposals(
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
    """Pairs of a start and an end, and what the action scores are in and around each.

    scores: (T, 3) of action, start and end; segments: (G, 2) the truth, in units of the sequence.
    For the other arguments see `tem_candidates` and `action_features`. The published settings are
    the defaults.
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


def action_features(
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

    action: (T,); start, end: (M,). Around a boundary is within `boundary_ratio` of the proposal's
    length. Each sample is the mean over num_sample_interp + 1 points; beyond the sequence there is
    no action. Returns (M, num_sample_action + num_sample_start + num_sample_end).
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
    """An .npz that is there whole or not at all."""
    with atomic_write(path) as stream:
        np.savez(
            stream, **{name: values.astype(np.float32) for name, values in made._asdict().items()}
        )


class ProposalDataset(Dataset):
    """Samples of `ProposalBatch`, arrays with a leading axis of 1.

    records: the videos. folder: NAME.npz of each, as `vidrec proposals` writes them. top_k: best
    proposals of a video; fewer are filled up with zeros.
    """

    def __init__(self, records: SegmentRecords, folder: str, top_k: int) -> None:
        self.records = records
        self.folder = Path(folder)
        self.top_k = top_k
        present = {entry.name for entry in os.scandir(folder)} if self.folder.is_dir() else set()
        missing = [record.name for record in records if f"{record.name}.npz" not in present]
        if missing:
            raise FileNotFoundError(
                f"{len(missing)} of {len(records)} videos have no proposals in {folder}, the first "
                f"is {missing[0]}; make them with `vidrec proposals run=DIR out={folder}`, where "
                "DIR is a run of model=bsn_tem"
            )

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, key: int | tuple[int, int]) -> dict[str, Any]:
        """The sample of `(epoch, index)`; it is the same in every epoch."""
        index = key[1] if isinstance(key, tuple) else key
        record = self.records[index]
        with np.load(self.folder / f"{record.name}.npz", allow_pickle=False) as file:
            proposals, iou, features = (
                file[name][: self.top_k] for name in ("proposals", "iou", "features")
            )
        count = len(proposals)
        rest = [(0, self.top_k - count)]
        sample: dict[str, Any] = {
            "proposal": np.pad(proposals[:, :4], [*rest, (0, 0)]),
            "proposal_feature": np.pad(features, [*rest, (0, 0)]),
            "iou": np.pad(iou, rest),
            "num_proposals": np.int64(count),
            "index": np.int64(index),
            "row": np.int64(index),
            "window": np.array([0.0, record.result_span]),
        }
        return {name: value[None] for name, value in sample.items()}
