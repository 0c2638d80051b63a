"""Mean average precision of boxes with actions, as the AVA challenge computes it.

The evaluator of the challenge (Gu et al., CVPR 2018, section 4) is that of PASCAL VOC for each key
frame: all classes of the label map count, a class that is never detected has 0, detections in key
frames without any true box are false positives, and excluded key frames do not count.
"""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from torch import Tensor

from vidrec.data.boxes.keys import EXCLUDED
from vidrec.data.boxes.records import BoxRecords
from vidrec.metrics.ava_csv import BoxDetections, read_detections, write_detections
from vidrec.metrics.ava_ground_truth import (
    as_decimals,
    rows_of_key_frames,
    true_actions,
)
from vidrec.metrics.average_precision import interpolated_ap
from vidrec.metrics.box_matching import BoxedActions, among_best, true_positives
from vidrec.metrics.charts import Bars, Chart
from vidrec.metrics.prediction_rows import PredictionRows

log = logging.getLogger(__name__)


class Judged(NamedTuple):
    """Detections that count, in their order."""

    rows: np.ndarray  # (D,) int64
    actions: np.ndarray  # (D,) int64
    scores: np.ndarray  # (D,) float64
    correct: np.ndarray  # (D,) bool


class AVAMeanAP(PredictionRows):
    """`mAP@0.5` over the classes that are evaluated, in [0, 1], and the means of groups of them.

    records: the ground truth of all key frames, whichever of them a rank has seen.
    score_threshold: actions with a score above it are detections.
    groups: name -> first and last id of classes that also get a mean of their own.
    max_per_frame: actions of a key frame that count, those with the highest scores; None for all.
        (The server of the AVA challenge took 50, published scores of AVA's validation set all.)
    compat: score as MMAction2 does: classes that are never detected and detections in key frames
        without ground truth do not count, true boxes of excluded key frames count as missed, and
        detected boxes without area as false positives.

    Raises ValueError if an option is out of its range or no class is evaluated.

    >>> import tempfile
    >>> from vidrec.data.boxes.annotations import read_ava
    >>> folder = tempfile.TemporaryDirectory()
    >>> def file(name, text):
    ...     return Path(folder.name, name), Path(folder.name, name).write_text(text)
    >>> truth, _ = file("truth.csv", "clip,902,0.1,0.1,0.5,0.9,12,0")
    >>> labels, _ = file("labels.pbtxt", 'item {name: "stand" id: 12}')
    >>> found, _ = file("found.csv", "clip,902,0.1,0.2,0.5,0.9,12,0.8")
    >>> AVAMeanAP(read_ava(str(truth), str(labels))).score_file(found)
    {'mAP@0.5': 1.0}
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
        groups = dict(groups or {})
        if not 0 < iou_threshold <= 1:
            raise ValueError(f"iou_threshold={iou_threshold} is outside (0, 1]")
        if max_per_frame is not None and max_per_frame < 1:
            raise ValueError(f"max_per_frame={max_per_frame} must be at least 1; null means all")
        if bad := [name for name, ids in groups.items() if len(ids) != 2]:
            raise ValueError(f"groups.{bad[0]}={list(groups[bad[0]])} is not a first and a last id")
        if not records.classes:
            raise ValueError("no class is evaluated: the label map has none of the learned ones")
        if len(records) and records.num_whole_frames == len(records):
            log.warning(
                "no key frame has a proposal, each is scored with the whole frame as its only box: "
                "set data.val.records.proposal_file (`vidrec persons` writes such files)"
            )
        super().__init__(
            index=np.zeros(0, np.int64),
            boxes=np.zeros((0, 4), np.float32),
            scores=np.zeros((0, records.num_classes), np.float32),
        )
        self.records = records
        self.iou_threshold = iou_threshold
        self.score_threshold = score_threshold
        self.groups = groups
        self.max_per_frame = max_per_frame
        self.compat = compat
        self.key = f"mAP@{iou_threshold:g}"
        self.actions = np.array(sorted(records.classes))

    def update(self, predictions: Mapping[str, Tensor], batch: Mapping[str, Tensor]) -> None:
        """Keep `scores` (P, K) of the `proposals` (P, 4) in the batch's rows `sample` (P,).

        The rows are those of boxes: `index` is the key frame, `boxes` are normalised to [0, 1].
        """
        self.keep(
            index=batch["index"].cpu()[predictions["sample"].cpu()],
            boxes=predictions["proposals"].float(),
            scores=predictions["scores"].float(),
        )

    def compute(self, rows: dict[str, np.ndarray]) -> dict[str, float]:
        """rows: of all ranks, each key frame once. Raises ValueError if scores are not finite."""
        return self.summary(self.average_precisions(self.detections(rows)))

    def detections(self, rows: dict[str, np.ndarray]) -> BoxDetections:
        """Every action of every box whose score is above the threshold, in the order of `rows`."""
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
            as_decimals(rows["boxes"])[box],
            self.actions[action],
            scores[box, action].astype(np.float64),
        )

    def average_precisions(self, detections: BoxDetections) -> dict[int, float]:
        """id -> average precision of each class that is evaluated; NaN where it never occurs."""
        truth = true_actions(self.records, self.actions)
        judged = self._judge(detections, truth)
        # Best first; what ties stays in the order of the key frames and their boxes.
        order = np.lexsort((-judged.scores, judged.actions))
        found, correct = judged.actions[order], judged.correct[order]
        occurs = Counter(truth.actions.tolist())
        if self.compat:
            occurs.update(self.records.excluded_actions)
        result = {}
        for action in self.actions.tolist():
            own = slice(*np.searchsorted(found, [action, action + 1]).tolist())
            if not occurs[action] or (self.compat and own.start == own.stop):
                result[action] = float("nan")
                continue
            result[action] = interpolated_ap(correct[own], occurs[action])
        return result

    def frame_precisions(self, rows: dict[str, np.ndarray]) -> np.ndarray:
        """The average precision in each key frame by itself, all actions in one order.

        Returns one number a record, NaN for those without ground truth.
        """
        truth = true_actions(self.records, self.actions)
        judged = self._judge(self.detections(rows), truth)
        order = np.lexsort((-judged.scores, judged.rows))
        frames, correct = judged.rows[order], judged.correct[order]
        num_true = np.bincount(truth.rows, minlength=len(self.records))
        ends = np.searchsorted(frames, np.arange(len(self.records) + 1))
        return np.array(
            [
                interpolated_ap(correct[ends[i] : ends[i + 1]], count) if count else np.nan
                for i, count in enumerate(num_true.tolist())
            ]
        )

    def _judge(self, detections: BoxDetections, truth: BoxedActions) -> Judged:
        """The detections that count, and which of them are true positives."""
        rows = rows_of_key_frames(self.records, detections.names)[detections.frames]
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
        correct = true_positives(found, scores, truth, self.iou_threshold)
        return Judged(found.rows, found.actions, scores, correct)

    def summary(self, precisions: Mapping[int, float]) -> dict[str, float]:
        """The means over the classes that occur; NaN if no true box is annotated at all."""
        if not len(self.records.boxes.values):
            log.warning("the annotations have no boxes: average precision is not defined")
            return {self.key: float("nan")}
        scores = {self.key: _mean(list(precisions.values()))}
        for name, (first, last) in self.groups.items():
            scores[name] = _mean([precisions[i] for i in precisions if first <= i <= last])
        return {name: value for name, value in scores.items() if not np.isnan(value)} or {
            self.key: 0.0
        }

    def charts(self, rows: dict[str, np.ndarray]) -> dict[str, Chart]:
        """The average precision of each class."""
        precisions = self.average_precisions(self.detections(rows))
        values = {self.records.classes[action]: value for action, value in precisions.items()}
        return {"class_ap": Bars(f"average precision at IoU {self.iou_threshold:g}", values)}

    def dump(self, rows: dict[str, np.ndarray], path: str | Path) -> None:
        """Write the detections as a CSV file of the AVA challenge."""
        write_detections(self.detections(rows), path)

    def score_file(self, path: str | Path) -> dict[str, float]:
        """The scores of the detections in a CSV file, whoever wrote it."""
        detections = read_detections(path)
        rows = rows_of_key_frames(self.records, detections.names)
        if len(rows) and (rows >= len(self.records)).all():
            raise ValueError(
                f"{path} has none of the {len(self.records):,} annotated key frames; the first are "
                f"{detections.names[0]!r} and {self.records.name(0)!r}"
            )
        return self.summary(self.average_precisions(detections))


def _mean(values: list[float]) -> float:
    """The mean of what is defined; NaN of nothing."""
    defined = [value for value in values if not np.isnan(value)]
    return float(np.mean(defined)) if defined else float("nan")
