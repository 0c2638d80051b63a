"""Mean average precision of boxes with actions, as the AVA challenge scores them.

The evaluator of the challenge (Gu et al., CVPR 2018, section 4) is that of PASCAL VOC for each key
frame: all classes of the label map count, a class that is never detected has 0, detections in key
frames without any true box are wrong, and key frames that are excluded do not count.
"""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from vidrec.data.boxes.records import BoxRecords, parse_key
from vidrec.metrics.ava_csv import BoxDetections, read_detections, write_detections
from vidrec.metrics.charts import Bars, Chart
from vidrec.metrics.segment_map import interpolated_ap
from vidrec.ops.box_iou import box_iou

log = logging.getLogger(__name__)

EXCLUDED = -1


class BoxedActions(NamedTuple):
    """Boxes with one action each. Key frames that are in no record have numbers past them."""

    rows: np.ndarray  # (n,) int64: of the records
    boxes: np.ndarray  # (n, 4) float64
    actions: np.ndarray  # (n,) int64: ids


class Judged(NamedTuple):
    """Detections that count."""

    rows: np.ndarray  # (D,) int64
    actions: np.ndarray  # (D,) int64
    scores: np.ndarray  # (D,) float64
    right: np.ndarray  # (D,) bool


class AVAMeanAP:
    """`mAP@0.5` over the classes that are evaluated, in [0, 1], and the mean of groups of them.

    records: the truth about all key frames, whichever of them a rank has seen.
    score_threshold: actions whose score is not above it are no detections.
    groups: name -> first and last id of the classes that also get a mean of their own.
    max_per_frame: how many actions of a key frame count, the likeliest ones; None for all. (The
        server of the AVA challenge took 50, published scores of AVA's validation set take all.)
    compat: score as MMAction2 does: classes that are never detected and detections in key frames
        without truth do not count, true boxes of excluded key frames count as missed, and detected
        boxes without area count as wrong.
    """

    higher_is_better = True

    def __init__(
        self,
        records: BoxRecords,
        iou_threshold: float = 0.5,
        score_threshold: float = 0.002,
        groups: Mapping[str, Sequence[int]] | None = None,
        max_per_frame: int | None = None,
        compat: bool = False,
    ) -> None:
        if not 0 < iou_threshold <= 1:
            raise ValueError(f"iou_threshold={iou_threshold} is outside (0, 1]")
        if max_per_frame is not None and max_per_frame < 1:
            raise ValueError(f"max_per_frame={max_per_frame} leaves nothing; null means all")
        if bad := [name for name, ids in (groups or {}).items() if len(ids) != 2]:
            raise ValueError(
                f"groups.{bad[0]}={list((groups or {})[bad[0]])} is not a first and a last id"
            )
        if not records.classes:
            raise ValueError("no class is evaluated: the label map has none of the learned ones")
        if len(records) and (records.proposals == [0, 0, 1, 1]).all():
            log.warning(
                "no key frame has a proposal, each is scored with the whole frame as its one box: "
                "set data.val.records.proposal_file (`vidrec persons` writes such files)"
            )
        self.records = records
        self.iou_threshold = iou_threshold
        self.score_threshold = score_threshold
        self.groups = dict(groups or {})
        self.max_per_frame = max_per_frame
        self.compat = compat
        self.key = f"mAP@{iou_threshold:g}"
        self.actions = np.array(sorted(records.classes))
        self.reset()

    def reset(self) -> None:
        self._parts: dict[str, list[np.ndarray]] = {"index": [], "boxes": [], "scores": []}

    def update(self, predictions: dict[str, Any], batch: dict[str, Any]) -> None:
        """Keep `scores` (P, K) of the `proposals` (P, 4) in the batch's rows `sample` (P,)."""
        sample = predictions["sample"].cpu()
        self._parts["index"].append(batch["index"].cpu()[sample].numpy())
        self._parts["boxes"].append(predictions["proposals"].float().cpu().numpy())
        self._parts["scores"].append(predictions["scores"].float().cpu().numpy())

    @property
    def rows(self) -> dict[str, np.ndarray]:
        """A row for each box: index (B,) int64 of the key frame, boxes (B, 4), scores (B, K)."""
        if not self._parts["index"]:
            shape = (0, self.records.num_classes)
            empty = np.zeros((0, 4), np.float32), np.zeros(shape, np.float32)
            return {"index": np.zeros(0, np.int64), "boxes": empty[0], "scores": empty[1]}
        return {name: np.concatenate(parts) for name, parts in self._parts.items()}

    def compute(self, rows: dict[str, np.ndarray]) -> dict[str, float]:
        """rows: of all ranks, each key frame once. ValueError for scores that are no numbers."""
        return self.summary(self.average_precisions(self.detections(rows)))

    def detections(self, rows: dict[str, np.ndarray]) -> BoxDetections:
        """Every action of every box that is likely enough, key frame by key frame."""
        scores = rows["scores"]
        if not np.isfinite(scores).all():
            bad = int((~np.isfinite(scores)).any(axis=1).sum())
            raise ValueError(
                f"{bad} boxes have scores that are not finite; the weights have diverged, or "
                "runtime.precision=fp16 overflows"
            )
        columns = [self.records.columns[action] for action in self.actions.tolist()]
        scores = scores[:, columns]
        box, action = np.nonzero(scores > self.score_threshold)
        names = [self.records.name(row) for row in range(len(self.records))]
        return BoxDetections(
            names,
            rows["index"][box],
            _decimal(rows["boxes"])[box],
            self.actions[action],
            scores[box, action].astype(np.float64),
        )

    def average_precisions(self, detections: BoxDetections) -> dict[int, float]:
        """id -> average precision of each class that is evaluated; NaN where it never occurs."""
        judged = self._judge(detections)
        # Best first; what ties stays in the order of the key frames and their boxes.
        order = np.lexsort((-judged.scores, judged.actions))
        found, right = judged.actions[order], judged.right[order]
        occurs = Counter(self._truth().actions.tolist())
        if self.compat:
            occurs.update(self.records.excluded_actions)
        result = {}
        for action in self.actions.tolist():
            own = slice(*np.searchsorted(found, [action, action + 1]).tolist())
            if not occurs[action] or (self.compat and own.start == own.stop):
                result[action] = float("nan")
                continue
            result[action] = interpolated_ap(right[own], occurs[action])
        return result

    def frame_precisions(self, rows: dict[str, np.ndarray]) -> np.ndarray:
        """The average precision in each key frame by itself, all actions in one order.

        Returns one number a record, NaN where nothing is true.
        """
        judged = self._judge(self.detections(rows))
        order = np.lexsort((-judged.scores, judged.rows))
        frames, right = judged.rows[order], judged.right[order]
        num_true = np.bincount(self._truth().rows, minlength=len(self.records))
        ends = np.searchsorted(frames, np.arange(len(self.records) + 1))
        return np.array(
            [
                interpolated_ap(right[ends[i] : ends[i + 1]], count) if count else np.nan
                for i, count in enumerate(num_true.tolist())
            ]
        )

    def _judge(self, detections: BoxDetections) -> Judged:
        """Those that count, in their order, and which of them are right."""
        truth = self._truth()
        rows = self._rows_of(detections.names)[detections.frames]
        kept = np.isin(detections.actions, self.actions) & (rows != EXCLUDED)
        if self.compat:
            kept &= np.isin(rows, truth.rows)
        else:
            corners = detections.boxes
            kept &= (corners[:, 2] > corners[:, 0]) & (corners[:, 3] > corners[:, 1])
        if self.max_per_frame is not None:
            kept &= among_best(rows, detections.scores, kept, self.max_per_frame)
        found = BoxedActions(rows[kept], detections.boxes[kept], detections.actions[kept])
        scores = detections.scores[kept]
        right = true_positives(found, scores, truth, self.iou_threshold)
        return Judged(found.rows, found.actions, scores, right)

    def summary(self, precisions: Mapping[int, float]) -> dict[str, float]:
        """The means over the classes that occur."""
        scores = {self.key: _mean(list(precisions.values()))}
        for name, (first, last) in self.groups.items():
            scores[name] = _mean([precisions[i] for i in precisions if first <= i <= last])
        return {name: value for name, value in scores.items() if not np.isnan(value)} or {
            self.key: 0.0
        }

    def _truth(self) -> BoxedActions:
        """Every true action that is evaluated."""
        records = self.records
        box = np.repeat(np.arange(len(records.boxes)), np.diff(records.label_ends))
        frame = np.repeat(np.arange(len(records)), np.diff(records.box_ends))
        of_column = np.full(records.num_classes, -1)
        for action, column in records.columns.items():
            of_column[column] = action
        actions = of_column[records.labels]
        kept = np.isin(actions, self.actions)
        return BoxedActions(frame[box][kept], _decimal(records.boxes)[box][kept], actions[kept])

    def _rows_of(self, names: list[str]) -> np.ndarray:
        """Rows of the records by name; EXCLUDED ones, and numbers past them for unknown frames."""
        records = self.records
        known = {
            (records.videos[video], timestamp): row
            for row, (video, timestamp) in enumerate(
                zip(records.video.tolist(), records.timestamps.tolist(), strict=True)
            )
        }
        rows = np.empty(len(names), np.int64)
        for i, name in enumerate(names):
            frame = parse_key(name)
            if frame is None:
                raise ValueError(f"{name!r} is not a key frame, VIDEO,TIMESTAMP")
            excluded = frame in records.excluded
            rows[i] = EXCLUDED if excluded else known.get(frame, len(known) + i)
        return rows

    def charts(self, rows: dict[str, np.ndarray]) -> dict[str, Chart]:
        """The average precision of each class."""
        precisions = self.average_precisions(self.detections(rows))
        values = {self.records.classes[action]: value for action, value in precisions.items()}
        return {"class_ap": Bars(f"average precision at IoU {self.iou_threshold:g} (%)", values)}

    def dump(self, rows: dict[str, np.ndarray], path: str | Path) -> None:
        """Write the detections as the csv of the AVA challenge."""
        write_detections(self.detections(rows), path)

    def score_file(self, path: str | Path) -> dict[str, float]:
        """What `compute` says, of the detections in a csv."""
        detections = read_detections(path)
        rows = self._rows_of(detections.names)
        if len(rows) and (rows >= len(self.records)).all():
            raise ValueError(
                f"{path} has none of the {len(self.records):,} annotated key frames; the first are "
                f"{detections.names[0]!r} and {self.records.name(0)!r}"
            )
        return self.summary(self.average_precisions(detections))


def _decimal(boxes: np.ndarray) -> np.ndarray:
    """Boxes of 32 bits as the decimals that they were read from, in 64 bits.

    So an IoU at the threshold is the one of the numbers in the files.
    """
    return boxes.astype(np.float64).round(7)


def among_best(rows: np.ndarray, scores: np.ndarray, counts: np.ndarray, most: int) -> np.ndarray:
    """Which detections are among the `most` likeliest of their key frame, of those that count.

    rows, scores, counts: (D,), the last bool. Of equal scores the first ones are taken.
    """
    order = np.lexsort((-scores, rows, ~counts))
    rows = rows[order]
    starts = np.flatnonzero(np.concatenate([[True], rows[1:] != rows[:-1]]))
    place = np.arange(len(rows)) - np.repeat(starts, np.diff(starts, append=len(rows)))
    best = np.zeros(len(rows), dtype=bool)
    best[order] = place < most
    return best


def _mean(values: list[float]) -> float:
    """The mean of what is defined; NaN of nothing."""
    defined = [value for value in values if not np.isnan(value)]
    return float(np.mean(defined)) if defined else float("nan")


def true_positives(
    found: BoxedActions, scores: np.ndarray, truth: BoxedActions, iou_threshold: float
) -> np.ndarray:
    """Which detections are right, (D,) bool: the likeliest of those that meet a true box.

    A detection meets the true box of its key frame and action that it overlaps most, if enough.
    """
    width = int(max(found.rows.max(initial=0), truth.rows.max(initial=0))) + 1
    cells, true_cells = found.actions * width + found.rows, truth.actions * width + truth.rows
    order = np.argsort(true_cells, kind="stable")
    true_cells = true_cells[order]
    first = np.searchsorted(true_cells, cells, "left")
    count = np.searchsorted(true_cells, cells, "right") - first
    right = np.zeros(len(cells), dtype=bool)
    some = np.flatnonzero(count)
    if not len(some):
        return right
    # Those with any true box of their cell, best first: each beside each of these boxes.
    some = some[np.argsort(-scores[some], kind="stable")]
    first, count = first[some], count[some]
    starts = np.cumsum(count) - count
    candidate = np.arange(count.sum()) - np.repeat(starts - first, count)
    overlaps = box_iou(np.repeat(found.boxes[some], count, axis=0), truth.boxes[order[candidate]])
    best = np.maximum.reduceat(overlaps, starts)
    is_best = np.flatnonzero(overlaps == np.repeat(best, count))
    # Of true boxes that it overlaps equally the first one.
    met = candidate[is_best[np.searchsorted(is_best, starts)]]
    enough = best >= iou_threshold
    _, winner = np.unique(met[enough], return_index=True)
    right[some[enough][winner]] = True
    return right
