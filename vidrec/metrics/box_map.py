"""Mean average precision of boxes with actions, as the AVA challenge scores them.

The evaluator of the challenge (Gu et al., CVPR 2018, section 4) is that of PASCAL VOC for each key
frame: all classes of the label map count, a class that is never detected has 0, detections in key
frames without any true box are wrong, and key frames that are excluded do not count.
"""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from vidrec.data.box_records import BoxRecords, parse_key
from vidrec.metrics.ava_csv import BoxDetections, read_detections, write_detections
from vidrec.metrics.charts import Bars, Chart
from vidrec.metrics.detection_map import interpolated_ap

# Ids of AVA's classes by what they are.
GROUPS = {
    "person_movement": range(1, 15),
    "object_manipulation": range(15, 64),
    "person_interaction": range(64, 81),
}


class BoxMap:
    """`mAP@0.5` over the classes that are evaluated, in [0, 1]; for AVA also of its three groups.

    records: the truth about all key frames, whichever of them a rank has seen.
    score_threshold: actions with a lower score are not detections.
    compat: score as MMAction2 does: classes that are never detected and detections in key frames
        without truth do not count, and true boxes of excluded key frames count as missed.
    """

    higher_is_better = True

    def __init__(
        self,
        records: BoxRecords,
        iou_threshold: float = 0.5,
        score_threshold: float = 0.002,
        compat: bool = False,
    ) -> None:
        if not 0 < iou_threshold <= 1:
            raise ValueError(f"iou_threshold={iou_threshold} is outside (0, 1]")
        if not records.classes:
            raise ValueError("no class is evaluated: the label map has none of the learned ones")
        self.records = records
        self.iou_threshold = iou_threshold
        self.score_threshold = score_threshold
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
            rows["boxes"][box].astype(np.float64),
            self.actions[action],
            scores[box, action].astype(np.float64),
        )

    def average_precisions(self, detections: BoxDetections) -> dict[int, float]:
        """id -> average precision of each class that is evaluated; NaN where it never occurs."""
        frames, boxes, actions = self._truth()
        rows = self._rows_of(detections.names)[detections.frames]
        kept = np.isin(detections.actions, self.actions) & (rows != EXCLUDED)
        valid = (detections.boxes[:, 2:] > detections.boxes[:, :2]).all(axis=1)
        if self.compat:
            kept &= np.isin(rows, frames)
        kept &= valid
        rows, found, scores = rows[kept], detections.actions[kept], detections.scores[kept]
        # Best first; what ties stays in the order of the key frames and their boxes.
        order = np.lexsort((-scores, found))
        rows, found = rows[order], found[order]
        right = true_positives(
            rows, detections.boxes[kept][order], found, frames, boxes, actions, self.iou_threshold
        )
        occurs = Counter(actions.tolist())
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

    def summary(self, precisions: Mapping[int, float]) -> dict[str, float]:
        """The means over the classes that occur."""
        scores = {self.key: _mean(list(precisions.values()))}
        if self.records.num_classes == 81 and self.records.columns.keys() >= {1, 80}:
            for name, ids in GROUPS.items():
                scores[name] = _mean([precisions[i] for i in precisions if i in ids])
        return {name: value for name, value in scores.items() if not np.isnan(value)} or {
            self.key: 0.0
        }

    def _truth(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """frames (T,), boxes (T, 4) float64 and ids (T,) of every true action that is evaluated."""
        records = self.records
        box = np.repeat(np.arange(len(records.boxes)), np.diff(records.label_ends))
        frame = np.repeat(np.arange(len(records)), np.diff(records.box_ends))
        of_column = np.full(records.num_classes, -1)
        for action, column in records.columns.items():
            of_column[column] = action
        actions = of_column[records.labels]
        kept = np.isin(actions, self.actions)
        return frame[box][kept], records.boxes[box][kept].astype(np.float64), actions[kept]

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


EXCLUDED = -1


def _mean(values: list[float]) -> float:
    """The mean of what is defined; NaN of nothing."""
    defined = [value for value in values if not np.isnan(value)]
    return float(np.mean(defined)) if defined else float("nan")


def true_positives(
    rows: np.ndarray,
    boxes: np.ndarray,
    actions: np.ndarray,
    true_rows: np.ndarray,
    true_boxes: np.ndarray,
    true_actions: np.ndarray,
    iou_threshold: float,
) -> np.ndarray:
    """Which detections are right, (D,) bool: those that are the first to meet a true box.

    rows, boxes, actions: (D,), (D, 4), (D,) of the detections, best first within a class; the same
    of the truth. A detection meets the true box of its key frame and class that it overlaps most.
    """
    width = int(max(rows.max(initial=0), true_rows.max(initial=0))) + 1
    cells, true_cells = actions * width + rows, true_actions * width + true_rows
    order = np.argsort(true_cells, kind="stable")
    true_cells, true_boxes = true_cells[order], true_boxes[order]
    first = np.searchsorted(true_cells, cells, "left")
    count = np.searchsorted(true_cells, cells, "right") - first
    # Every detection with every true box of its cell, as one long list of pairs.
    some = np.flatnonzero(count)
    starts = np.concatenate([[0], np.cumsum(count[some])])[:-1].astype(np.int64)
    detection = np.repeat(some, count[some])
    truth = np.arange(len(detection)) - np.repeat(starts - first[some], count[some])
    overlaps = paired_iou(boxes[detection], true_boxes[truth])
    right = np.zeros(len(rows), dtype=bool)
    if not len(some):
        return right
    best = np.maximum.reduceat(overlaps, starts)
    is_best = np.flatnonzero(overlaps == np.repeat(best, count[some]))
    # Of true boxes that overlap it equally the first one.
    _, place = np.unique(detection[is_best], return_index=True)
    met = truth[is_best[place]]
    close = best >= iou_threshold
    _, winner = np.unique(met[close], return_index=True)
    right[some[close][winner]] = True
    return right


def paired_iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Intersection over union of boxes (n, 4) with boxes (n, 4), pair by pair."""
    overlap = np.minimum(a[:, 2:], b[:, 2:]) - np.maximum(a[:, :2], b[:, :2])
    shared = overlap.clip(min=0).prod(axis=1)
    areas = (a[:, 2:] - a[:, :2]).prod(axis=1) + (b[:, 2:] - b[:, :2]).prod(axis=1)
    union = areas - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
