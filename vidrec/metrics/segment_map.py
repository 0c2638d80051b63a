"""Mean average precision of labelled segments at tIoU 0.5:0.05:0.95 (ActivityNet detection)."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from vidrec.data.segments.annotations import SegmentRecords
from vidrec.metrics.average_recall import THRESHOLDS
from vidrec.metrics.charts import Bars, Chart
from vidrec.metrics.segment_results import Detections, Merge, SegmentResults, plain_name
from vidrec.ops.temporal_iou import temporal_iou


def detection_average_precision(
    detections: Detections, records: SegmentRecords, thresholds: np.ndarray = THRESHOLDS
) -> np.ndarray:
    """Interpolated average precision of each class, (len(thresholds), K).

    In order of its score a detection takes the segment of its class and video that it overlaps
    most, of those not taken yet; it is right where their IoU reaches the threshold. Labels that are
    no class of `records` are left out.
    """
    if detections.labels is None:
        raise ValueError(
            "the segments have no labels; data.metric.video_labels=FILE takes them from a "
            "classifier of whole videos"
        )
    number = {name: k for k, name in enumerate(records.classes)}
    label = np.array([number.get(name, -1) for name in detections.labels], np.int64)
    # Among equal scores the first counts, whatever the machine.
    by_score = np.argsort(-detections.scores, kind="stable")
    right = np.zeros((len(label), len(thresholds)), bool)
    _match(detections, label, records, by_score, thresholds, right)
    result = np.zeros((len(thresholds), len(records.classes)))
    for k in range(len(records.classes)):
        own = by_score[label[by_score] == k]
        num_truth = int((records.labels == k).sum())
        if len(own) and num_truth:
            result[:, k] = [
                interpolated_ap(right[own, t], num_truth) for t in range(len(thresholds))
            ]
    return result


def _match(
    detections: Detections,
    label: np.ndarray,
    records: SegmentRecords,
    by_score: np.ndarray,
    thresholds: np.ndarray,
    right: np.ndarray,
) -> None:
    """Mark the detections that are right, (P, len(thresholds)).

    Videos and classes do not disturb each other: the first detections of all of them are matched at
    once, then the second ones, and so on.
    """
    num_classes = len(records.classes)
    truth_group, truth_of = np.unique(
        records.segment_rows * num_classes + records.labels, return_inverse=True
    )
    num_groups = len(truth_group)
    counts = np.bincount(truth_of, minlength=num_groups)
    column = np.arange(len(truth_of)) - np.repeat(np.cumsum(counts) - counts, counts)
    by_group = np.argsort(truth_of, kind="stable")
    truth = np.full((num_groups, max(counts.max(initial=0), 1), 2), np.nan)
    truth[truth_of[by_group], column] = records.segments[by_group]
    group = detections.rows * num_classes + label
    place = np.searchsorted(truth_group, group).clip(max=max(num_groups - 1, 0))
    known = (detections.rows >= 0) & (label >= 0) & (truth_group[place] == group)
    chosen = by_score[known[by_score]]
    chosen = chosen[np.argsort(place[chosen], kind="stable")]
    sizes = np.bincount(place[chosen], minlength=num_groups)
    turn = np.arange(len(chosen)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    free = np.ones((num_groups, truth.shape[1], len(thresholds)), bool)
    by_turn = np.argsort(turn, kind="stable")
    ends = np.cumsum(np.bincount(turn))
    for now in np.split(chosen[by_turn], ends[:-1]):
        own = place[now]
        iou = np.nan_to_num(temporal_iou(detections.segments[now][:, None], truth[own]), nan=-1.0)
        candidate = np.where(free[own] & (iou[..., None] >= thresholds), iou[..., None], -1.0)
        best = candidate.argmax(axis=1)  # (n, thresholds)
        hit = np.take_along_axis(candidate, best[:, None], axis=1)[:, 0] >= 0
        right[now] = hit
        row, threshold = np.nonzero(hit)
        free[own[row], best[row, threshold], threshold] = False


def interpolated_ap(right: np.ndarray, num_truth: int) -> float:
    """Area under the precision-recall curve, each precision the largest at no less recall.

    right: (n,) bool, best detections first.
    """
    found = right.cumsum()
    precision = found / np.arange(1, len(right) + 1)
    recall = found / num_truth
    precision = np.maximum.accumulate(precision[::-1])[::-1]
    steps = np.diff(recall, prepend=0.0)
    return float((steps * precision)[steps != 0].sum())


def read_video_labels(path: str | Path, topk: int) -> dict[str, list[tuple[str, float]]]:
    """The best classes of each video from a classifier's JSON, by the names in results.

    Either `{"results": {video: [{label, score}, ...]}}`, or `{"results": {video: [score, ...]},
    "class": [name, ...]}`.
    """
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
        names = content.get("class")
        labels = {}
        for video, found in content["results"].items():
            if names is not None:
                order = np.argsort(-np.asarray(found, np.float64), kind="stable")[:topk]
                pairs = [(names[k], float(found[k])) for k in order]
            else:
                pairs = [(entry["label"], float(entry["score"])) for entry in found]
                pairs = sorted(pairs, key=lambda pair: -pair[1])[:topk]
            labels[plain_name(video)] = pairs
        return labels
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise ValueError(f"{path} is not a file of video-level labels: {error!r}") from None


class SegmentMAP(SegmentResults):
    """`mAP` (mean over tIoU) and `mAP@0.50`, `mAP@0.75`, `mAP@0.95`, in [0, 1].

    records, merge: see `SegmentResults`.
    video_labels: a classifier's JSON (see `read_video_labels`) that labels proposals without
        classes: each becomes a segment of every one of the video's `topk` best classes, its score
        multiplied by theirs. None: the segments have labels.
    """

    higher_is_better = True
    key = "mAP"

    def __init__(
        self,
        records: SegmentRecords,
        video_labels: str | None = None,
        topk: int = 2,
        merge: Merge | None = None,
    ) -> None:
        super().__init__(records, merge)
        self.video_labels = None if video_labels is None else read_video_labels(video_labels, topk)

    def labelled(self, detections: Detections) -> Detections:
        """The proposals with the classes of their videos; those of unknown videos are lost."""
        if self.video_labels is None:
            return detections
        names = [plain_name(record.name) for record in self.records]
        classes = [self.video_labels.get(name, []) for name in names]
        copies = np.array([len(c) for c in classes] + [0], np.int64)[detections.rows]
        index = np.repeat(np.arange(len(copies)), copies)
        pairs: list[Any] = [pair for row in detections.rows if row >= 0 for pair in classes[row]]
        return Detections(
            detections.rows[index],
            detections.segments[index],
            detections.scores[index] * np.array([score for _, score in pairs], np.float64),
            [label for label, _ in pairs],
        )

    def charts(self, rows: dict[str, np.ndarray]) -> dict[str, Chart]:
        """The average precision of each class, mean over tIoU."""
        detections = self.labelled(self.detections(rows))
        each = detection_average_precision(detections, self.records).mean(axis=0)
        values = dict(zip(self.records.classes, each.tolist(), strict=True))
        return {"class_ap": Bars("average precision, mean over tIoU (%)", values)}

    def score(self, detections: Detections) -> dict[str, float]:
        precision = detection_average_precision(self.labelled(detections), self.records)
        mean = precision.mean(axis=1)
        named = dict(zip((f"{t:.2f}" for t in THRESHOLDS), mean.tolist(), strict=True))
        picked = {f"mAP@{t}": named[t] for t in ("0.50", "0.75", "0.95")}
        return {"mAP": float(mean.mean()), **picked}
