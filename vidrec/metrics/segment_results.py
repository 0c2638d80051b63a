"""What metrics of segments share: from the rows of all sequences to the segments of all videos."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor

from vidrec.data.segments.records import SegmentRecords
from vidrec.metrics.activitynet_json import SegmentDetections, read_results, write_results
from vidrec.metrics.prediction_rows import PredictionRows
from vidrec.ops.introsort import introsort_order
from vidrec.ops.soft_nms import Candidates, soft_nms

Ties = Literal["first", "official"]
"""Which of several equal scores is best; see `best_first`."""

THRESHOLDS = np.linspace(0.5, 0.95, 10)
"""The tIoU thresholds of ActivityNet."""


def best_first(scores: np.ndarray, ties: Ties) -> np.ndarray:
    """The order of scores (P,), best first.

    ties: `first` puts the first of equal scores first. `official` is `scores.argsort()[::-1]` of
    the official evaluation, as numpy sorted when that was published; see `introsort_order`. Both
    are the same on every machine.
    """
    if ties == "official":
        return introsort_order(scores)[::-1]
    return np.argsort(-scores, kind="stable")


def checked_ties(ties: Ties) -> Ties:
    """Raises ValueError for anything else."""
    if ties not in get_args(Ties):
        raise ValueError(f"ties={ties!r}: choose {' or '.join(get_args(Ties))}")
    return ties


def checked_thresholds(thresholds: Sequence[float]) -> np.ndarray:
    """tIoU thresholds as an array, (T,) float64. Raises ValueError unless they increase in (0, 1].

    Equal steps are those of numpy.linspace, as in the official evaluation: it has
    0.8999999999999999, which an overlap of exactly that much reaches.

    >>> checked_thresholds([0.5, 0.7, 0.9]).tolist()
    [0.5, 0.7, 0.9]
    """
    values = np.array(thresholds, np.float64)
    increasing = values.ndim == 1 and len(values) > 0 and bool((np.diff(values) > 0).all())
    if not (increasing and values[0] > 0 and values[-1] <= 1):
        raise ValueError(
            f"thresholds={list(thresholds)} must be a list of increasing numbers above 0, at most 1"
        )
    steps = np.linspace(values[0], values[-1], len(values))
    return steps if np.allclose(values, steps, rtol=0, atol=1e-9) else values


def threshold_names(thresholds: np.ndarray) -> list[str]:
    """As they are printed: 0.50, or with more digits if it has them.

    >>> threshold_names(np.linspace(0.3, 0.9, 3)), threshold_names(np.array([0.125]))
    (['0.30', '0.60', '0.90'], ['0.125'])
    """
    return [f"{t:.2f}" if abs(t - round(t, 2)) < 1e-9 else f"{t:g}" for t in thresholds.tolist()]


class Merge:
    """Soft-NMS over the segments of overlapping sequences of one video.

    Times are divided by the end of the video's last segment, so that widths are relative to it.
    """

    def __init__(
        self, alpha: float, low_threshold: float, high_threshold: float, top_k: int
    ) -> None:
        self.settings = (alpha, low_threshold, high_threshold, top_k)

    def __call__(self, segments: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Segments (M, 2) and scores (M,) of one video -> at most `top_k` of them, best first."""
        if len(scores) < 2:
            return segments, scores
        scale = max(float(segments[:, 1].max()), 1e-9)
        columns = (segments[:, 0] / scale, segments[:, 1] / scale, scores)
        kept = soft_nms(Candidates(*[torch.from_numpy(c)[None] for c in columns]), *self.settings)
        count = int(kept.counts[0])
        return kept.segments[0, :count].numpy() * scale, kept.scores[0, :count].numpy()


def joined(rows: Mapping[str, np.ndarray], merge: Merge | None) -> SegmentDetections:
    """The segments of every video, best first, from those of its sequences.

    rows: see `SegmentMetric`. Raises ValueError if scores are not finite.
    """
    if not np.isfinite(rows["scores"]).all():
        bad = int((~np.isfinite(rows["scores"])).any(axis=1).sum())
        raise ValueError(
            f"{bad} samples have scores that are not finite; the weights have diverged, or "
            "runtime.precision=fp16 overflows"
        )
    there = np.arange(rows["scores"].shape[1]) < rows["count"][:, None]
    videos = np.repeat(rows["row"], rows["count"])
    segments, scores = rows["segments"][there], rows["scores"][there]
    order = np.lexsort((-scores, videos))
    videos, segments, scores = videos[order], segments[order], scores[order]
    if merge is None:
        return SegmentDetections(videos, segments, scores)
    numbers, first = np.unique(videos, return_index=True)
    merged = [
        merge(*pair)
        for pair in zip(np.split(segments, first[1:]), np.split(scores, first[1:]), strict=True)
    ]
    return SegmentDetections(
        np.repeat(numbers, [len(scores) for _, scores in merged]),
        np.concatenate([segments for segments, _ in merged]),
        np.concatenate([scores for _, scores in merged]),
    )


class SegmentMetric(PredictionRows, ABC):
    """A metric of the segments of all videos, whose rows are those of feature sequences.

    `index`, `row`, `count` (n,) int64; `segments` (n, K, 2), `scores` (n, K) float64, of which the
    first `count` columns are used. A rank that has seen no sequence does not know K.

    records: the ground truth of all videos, whichever of them a rank has seen.
    merge: joins the segments of several sequences of a video; None keeps all of them.
    """

    def __init__(self, records: SegmentRecords, merge: Merge | None = None) -> None:
        none = np.zeros(0, np.int64)
        super().__init__(
            index=none, row=none, segments=np.zeros((0, 0, 2)), scores=np.zeros((0, 0)), count=none
        )
        self.records = records
        self.merge = merge

    def update(self, predictions: Mapping[str, Tensor], batch: Mapping[str, Tensor]) -> None:
        """Keep `segments` (N, K, 2) in seconds, `scores` (N, K) and `count` (N,)."""
        self.keep(
            index=batch["index"],
            row=batch["row"],
            segments=predictions["segments"],
            scores=predictions["scores"],
            count=predictions["count"],
        )

    def detections(self, rows: dict[str, np.ndarray]) -> SegmentDetections:
        """The segments of every video, best first. Raises ValueError if scores are not finite."""
        return joined(rows, self.merge)

    def compute(self, rows: dict[str, np.ndarray]) -> dict[str, float]:
        """rows: of all ranks, each sequence once."""
        if len(rows["index"]) == 0:
            raise ValueError("no video was scored; is the list empty?")
        return self.score(self.detections(rows))

    @abstractmethod
    def score(self, detections: SegmentDetections) -> dict[str, float]:
        """The scores of the segments of all videos."""

    def score_file(self, path: str | Path) -> dict[str, float]:
        """The scores of the segments in a results JSON, whoever wrote it."""
        return self.score(read_results(path, self.records))

    def dump(self, rows: dict[str, np.ndarray], path: str | Path) -> None:
        """Write ActivityNet's results JSON."""
        write_results(self.detections(rows), self.records, path)
