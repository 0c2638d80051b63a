"""AR@AN: recall of segments over the average number of proposals (ActivityNet)."""

import logging
import math
from collections.abc import Sequence

import numpy as np

from vidrec.data.segments.records import SegmentRecords
from vidrec.metrics.activitynet_json import SegmentDetections
from vidrec.metrics.charts import Chart, Lines
from vidrec.metrics.segment_results import (
    THRESHOLDS,
    Merge,
    SegmentMetric,
    Ties,
    best_first,
    checked_thresholds,
    checked_ties,
    threshold_names,
)
from vidrec.ops.temporal_iou import temporal_intersection_and_union

log = logging.getLogger(__name__)


def average_recall(
    detections: SegmentDetections,
    truth: np.ndarray,
    truth_rows: np.ndarray,
    max_avg_proposals: float | None = 100.0,
    thresholds: np.ndarray = THRESHOLDS,
    ties: Ties = "first",
) -> tuple[np.ndarray, np.ndarray]:
    """Recall at each tIoU threshold of the best 1, 2, ..., 100 % of the proposals of every video.

    truth: (G, 2) segments; truth_rows: (G,) their videos. Videos without true segments are left
    out. 100 % are `max_avg_proposals` proposals per video on average (None: all that there are);
    videos that have more proposals than others keep more, as in the official evaluation. ties: see
    `best_first`. Returns recall (len(thresholds), 100) and the average number of proposals (100,).
    """
    recall = np.zeros((len(thresholds), 100))
    videos, video_of_truth = np.unique(truth_rows, return_inverse=True)
    total = len(detections.scores)
    if total == 0 or len(truth) == 0:
        return recall, np.linspace(0.01, 1, 100) * (max_avg_proposals or 0.0)
    average = total / len(videos) if max_avg_proposals is None else max_avg_proposals
    ratio = average * len(videos) / total
    proposals, counts = _best_of_each(detections, videos, ratio, ties)
    shares = np.arange(1, 101) / 100.0 * (average * len(videos) / max(counts.sum(), 1))
    taken = np.minimum((counts[:, None] * shares).astype(np.int64), counts[:, None])
    rank = _first_hits(truth.astype(np.float32), proposals[video_of_truth], thresholds)
    taken = taken[video_of_truth]
    for t in range(len(thresholds)):
        recall[t] = (rank[:, t, None] < taken).sum(axis=0) / len(truth)
    return recall, shares * (counts.sum() / len(videos))


def _best_of_each(
    detections: SegmentDetections, videos: np.ndarray, ratio: float, ties: Ties
) -> tuple[np.ndarray, np.ndarray]:
    """The best `ratio` of every video's proposals, (V, M, 2) float32, and how many they are, (V,).

    Best first; the rest is zeros.
    """
    order = np.argsort(detections.rows, kind="stable")
    rows = detections.rows[order]
    begin, end = np.searchsorted(rows, videos), np.searchsorted(rows, videos, side="right")
    present = end - begin
    counts = np.minimum((present * ratio).astype(np.int64), present)
    best = np.zeros((len(videos), max(int(counts.max()), 1), 2), np.float32)
    for video, count in enumerate(counts.tolist()):
        own = order[begin[video] : end[video]]
        own = own[best_first(detections.scores[own], ties)[:count]]
        best[video, :count] = detections.segments[own]
    return best, counts


def _first_hits(truth: np.ndarray, proposals: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """How many proposals come before the first whose IoU reaches a threshold.

    truth: (G, 2), proposals: (G, M, 2), float32 as in the official script; padding has no length
    and hits nothing. Returns (G, len(thresholds)) int64.
    """
    rank = np.empty((len(truth), len(thresholds)), np.int64)
    for first in range(0, len(truth), 4096):
        part = slice(first, first + 4096)
        shared, union = temporal_intersection_and_union(proposals[part], truth[part, None])
        # As in the official script, lengths are float32 and IoUs float64.
        iou = np.divide(
            shared.astype(np.float64), union, out=np.zeros(union.shape), where=union > 0
        )
        best = np.maximum.accumulate(iou, axis=1)
        for t, threshold in enumerate(thresholds):
            rank[part, t] = (best < threshold).sum(axis=1)
    return rank


class AverageRecall(SegmentMetric):
    """`AUC` and `AR@1`, `AR@5`, ..., means over the tIoU thresholds, all in [0, 1].

    records, merge: see `SegmentMetric`.
    at: average numbers of proposals, at most max_avg_proposals.
    per_tiou: also the recall at each tIoU for the largest of them, `AR@100/0.50` and so on.
    key: the score that decides which checkpoint is best.
    thresholds: increasing tIoUs. ties: see `best_first`.

    >>> from vidrec.data.segments.records import SegmentRecord
    >>> truth = SegmentRecord("clip", 30.0, 30.0, 30.0, np.array([[2.0, 8.0]]), np.array([0]))
    >>> metric = AverageRecall(SegmentRecords.pack([truth], ["jump"]), at=(1,))
    >>> one = SegmentDetections(np.array([0]), np.array([[2.0, 7.0]]), np.array([0.9]))
    >>> {name: round(value, 2) for name, value in metric.score(one).items()}
    {'AUC': 0.69, 'AR@1': 0.7}
    """

    higher_is_better = True

    def __init__(  # noqa: PLR0913 - the signature is the configuration
        self,
        records: SegmentRecords,
        at: Sequence[int] = (1, 5, 10, 100),
        max_avg_proposals: int = 100,
        per_tiou: bool = False,
        key: str = "AUC",
        merge: Merge | None = None,
        thresholds: Sequence[float] = tuple(THRESHOLDS.tolist()),
        ties: Ties = "first",
    ) -> None:
        super().__init__(records, merge)
        self.thresholds = checked_thresholds(thresholds)
        self.ties = checked_ties(ties)
        names = ["AUC", *(f"AR@{n}" for n in at)]
        if key not in names:
            raise ValueError(
                f"key={key!r} is not computed; this metric computes {', '.join(names)}"
            )
        if not at or not all(1 <= n <= max_avg_proposals for n in at):
            raise ValueError(
                f"at={list(at)} must lie in 1 ... max_avg_proposals={max_avg_proposals}"
            )
        self.at = sorted(at)
        self.max_avg_proposals = max_avg_proposals
        self.per_tiou = per_tiou
        self.key = key

    def charts(self, rows: dict[str, np.ndarray]) -> dict[str, Chart]:
        """Recall over the average number of proposals, for some tIoU and their mean.

        None without true segments.
        """
        if len(self.records.segments.values) == 0:
            return {}
        recall, average = self._recall(self.detections(rows))
        names = threshold_names(self.thresholds)
        lines = {f"tIoU {names[t]}": recall[t] for t in range(0, len(names), 3)}
        title = "AR@AN"
        x_label = "average number of proposals"
        return {"ar_an": Lines(title, x_label, average, {"mean": recall.mean(axis=0), **lines})}

    def score(self, detections: SegmentDetections) -> dict[str, float]:
        if len(self.records.segments.values) == 0:
            log.warning("the annotations have no segments: recall is not defined")
            return {"AUC": math.nan} | {f"AR@{n}": math.nan for n in self.at}
        recall, average = self._recall(detections)
        mean = recall.mean(axis=0)
        scores = {"AUC": float(np.trapezoid(mean, average) / average[-1])}
        column = {n: max(round(100 * n / self.max_avg_proposals), 1) - 1 for n in self.at}
        scores |= {f"AR@{n}": float(mean[column[n]]) for n in self.at}
        if self.per_tiou:
            most = self.at[-1]
            for name, values in zip(threshold_names(self.thresholds), recall, strict=True):
                scores[f"AR@{most}/{name}"] = float(values[column[most]])
        return scores

    def _recall(self, detections: SegmentDetections) -> tuple[np.ndarray, np.ndarray]:
        return average_recall(
            detections,
            self.records.segments.values,
            self.records.segments.row_of_value,
            self.max_avg_proposals,
            self.thresholds,
            self.ties,
        )
