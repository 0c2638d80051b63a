"""Mean average precision of labelled segments (ActivityNet detection, THUMOS14)."""

import logging
import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from vidrec.data.segments.records import SegmentRecords
from vidrec.metrics.activitynet_json import (
    SegmentDetections,
    plain_name,
    read_video_labels,
    warn_of_unknown_classes,
)
from vidrec.metrics.average_precision import interpolated_ap
from vidrec.metrics.charts import Bars, Chart
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
from vidrec.ops.temporal_iou import temporal_iou

log = logging.getLogger(__name__)


def segment_average_precision(
    detections: SegmentDetections,
    records: SegmentRecords,
    thresholds: np.ndarray = THRESHOLDS,
    ties: Ties = "first",
) -> np.ndarray:
    """Interpolated average precision of each class, (len(thresholds), K).

    In order of its score a detection takes the segment of its class and video with which its IoU is
    largest, of those not taken yet; it is correct if the IoU reaches the threshold. Labels that are
    no class of `records` are left out. ties: see `best_first`. Raises ValueError if the segments
    have no labels.
    """
    if detections.labels is None:
        raise ValueError(
            "the segments have no labels; data.metric.video_labels=FILE takes them from a "
            "classifier of whole videos"
        )
    number = {name: k for k, name in enumerate(records.classes)}
    label = np.array([number.get(name, -1) for name in detections.labels], np.int64)
    by_class = [np.flatnonzero(label == k) for k in range(len(records.classes))]
    ranked = [own[best_first(detections.scores[own], ties)] for own in by_class]
    best = np.concatenate([np.zeros(0, np.int64), *ranked])
    correct = _true_positives(detections, label, records, best, thresholds)
    result = np.zeros((len(thresholds), len(records.classes)))
    for k, own in enumerate(ranked):
        num_truth = int((records.labels.values == k).sum())
        if len(own) and num_truth:
            result[:, k] = [
                interpolated_ap(correct[own, t], num_truth) for t in range(len(thresholds))
            ]
    return result


class TruthGroups(NamedTuple):
    """The true segments of each video and class that has any."""

    numbers: np.ndarray  # (G,) int64, ascending: video * num_classes + class
    segments: np.ndarray  # (G, M, 2) float64, padded with NaN


def _truth_groups(records: SegmentRecords) -> TruthGroups:
    numbers, group = np.unique(
        records.segments.row_of_value * len(records.classes) + records.labels.values,
        return_inverse=True,
    )
    counts = np.bincount(group, minlength=len(numbers))
    column = np.arange(len(group)) - np.repeat(np.cumsum(counts) - counts, counts)
    by_group = np.argsort(group, kind="stable")
    segments = np.full((len(numbers), max(counts.max(initial=0), 1), 2), np.nan)
    segments[group[by_group], column] = records.segments.values[by_group]
    return TruthGroups(numbers, segments)


def _true_positives(
    detections: SegmentDetections,
    label: np.ndarray,
    records: SegmentRecords,
    ranked: np.ndarray,
    thresholds: np.ndarray,
) -> np.ndarray:
    """Which detections are correct, (P, len(thresholds)) bool.

    label: the class of each. ranked: those that are matched, the best of each class first.
    """
    correct = np.zeros((len(label), len(thresholds)), bool)
    truth = _truth_groups(records)
    group = detections.rows * len(records.classes) + label
    place = np.searchsorted(truth.numbers, group).clip(max=max(len(truth.numbers) - 1, 0))
    known = (detections.rows >= 0) & (label >= 0) & (truth.numbers[place] == group)
    free = np.ones((*truth.segments.shape[:2], len(thresholds)), bool)
    for now in _turns(ranked[known[ranked]], place):
        own = place[now]
        iou = temporal_iou(detections.segments[now][:, None], truth.segments[own])
        iou = np.nan_to_num(iou, nan=-1.0)[..., None]
        candidate = np.where(free[own] & (iou >= thresholds), iou, -1.0)
        best = candidate.argmax(axis=1)  # (n, thresholds)
        hit = np.take_along_axis(candidate, best[:, None], axis=1)[:, 0] >= 0
        correct[now] = hit
        row, threshold = np.nonzero(hit)
        free[own[row], best[row, threshold], threshold] = False
    return correct


def _turns(chosen: np.ndarray, place: np.ndarray) -> Iterator[np.ndarray]:
    """The first detections of all groups, then the second ones, and so on.

    Groups do not affect each other, so that one detection of each may be matched at once. chosen:
    detections, best first; place: the group of every detection.
    """
    chosen = chosen[np.argsort(place[chosen], kind="stable")]
    sizes = np.bincount(place[chosen])
    turn = np.arange(len(chosen)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    by_turn = np.argsort(turn, kind="stable")
    yield from np.split(chosen[by_turn], np.cumsum(np.bincount(turn))[:-1])


class SegmentMAP(SegmentMetric):
    """`mAP` (mean over tIoU) and that at each threshold, `mAP@0.50` and so on, in [0, 1].

    records, merge: see `SegmentMetric`.
    video_labels: a classifier's JSON (see `read_video_labels`) that labels proposals without
        classes: each becomes a segment of every one of the video's `topk` best classes, its score
        multiplied by theirs. None: the segments have labels.
    thresholds: increasing tIoUs. ties: see `best_first`.

    >>> from vidrec.data.segments.records import SegmentRecord
    >>> truth = SegmentRecord("clip", 30.0, 30.0, 30.0, np.array([[2.0, 8.0]]), np.array([0]))
    >>> metric = SegmentMAP(SegmentRecords.pack([truth], ["jump"]))
    >>> segments, scores = np.array([[2.0, 7.0]]), np.array([0.9])
    >>> one = SegmentDetections(np.array([0]), segments, scores, ["jump"])
    >>> result = metric.score(one)  # their IoU is 5 / 6
    >>> round(result["mAP"], 2), result["mAP@0.80"], result["mAP@0.85"]
    (0.7, 1.0, 0.0)
    """

    higher_is_better = True
    key = "mAP"

    def __init__(
        self,
        records: SegmentRecords,
        video_labels: str | None = None,
        topk: int = 2,
        merge: Merge | None = None,
        thresholds: Sequence[float] = tuple(THRESHOLDS.tolist()),
        ties: Ties = "first",
    ) -> None:
        super().__init__(records, merge)
        self.thresholds = checked_thresholds(thresholds)
        self.ties = checked_ties(ties)
        self.video_labels = None if video_labels is None else self._labels(video_labels, topk)

    def _labels(self, path: str, topk: int) -> dict[str, list[tuple[str, float]]]:
        labels = read_video_labels(path, topk)
        missing = [r.name for r in self.records if plain_name(r.name) not in labels]
        if missing:
            some = f"{len(missing)} of {len(self.records)} videos, such as {missing[0]}"
            if len(missing) == len(self.records):
                raise ValueError(f"{path} has no labels of any of the annotated videos: {some}")
            log.warning(f"{path} has no labels of {some}; their segments are left out")
        found = (label for pairs in labels.values() for label, _ in pairs)
        warn_of_unknown_classes(path, found, self.records.classes)
        return labels

    def labelled(self, detections: SegmentDetections) -> SegmentDetections:
        """The proposals with the classes of their videos; those of unknown videos are dropped."""
        if self.video_labels is None:
            return detections
        names = [plain_name(record.name) for record in self.records]
        classes = [self.video_labels.get(name, []) for name in names]
        copies = np.array([len(c) for c in classes] + [0], np.int64)[detections.rows]
        index = np.repeat(np.arange(len(copies)), copies)
        pairs = [pair for row in detections.rows.tolist() if row >= 0 for pair in classes[row]]
        return SegmentDetections(
            detections.rows[index],
            detections.segments[index],
            detections.scores[index] * np.array([score for _, score in pairs], np.float64),
            [label for label, _ in pairs],
        )

    def charts(self, rows: dict[str, np.ndarray]) -> dict[str, Chart]:
        """The average precision of each class, mean over tIoU; none without true segments."""
        if len(self.records.segments.values) == 0:
            return {}
        detections = self.labelled(self.detections(rows))
        each = self._precision(detections).mean(axis=0)
        values = dict(zip(self.records.classes, each.tolist(), strict=True))
        return {"class_ap": Bars("average precision, mean over tIoU", values)}

    def score(self, detections: SegmentDetections) -> dict[str, float]:
        names = [f"mAP@{name}" for name in threshold_names(self.thresholds)]
        if len(self.records.segments.values) == 0:
            log.warning("the annotations have no segments: average precision is not defined")
            return dict.fromkeys(["mAP", *names], math.nan)
        mean = self._precision(self.labelled(detections)).mean(axis=1)
        return {"mAP": float(mean.mean())} | dict(zip(names, mean.tolist(), strict=True))

    def _precision(self, detections: SegmentDetections) -> np.ndarray:
        return segment_average_precision(detections, self.records, self.thresholds, self.ties)
