"""Which detected boxes are true positives, by the rule of PASCAL VOC and AVA."""

from typing import NamedTuple

import numpy as np

from vidrec.ops.box_iou import box_iou


class BoxedActions(NamedTuple):
    """Boxes with one action each. Key frames that are in no record have numbers past them."""

    rows: np.ndarray  # (n,) int64: of the records
    boxes: np.ndarray  # (n, 4) float64
    actions: np.ndarray  # (n,) int64: ids


def true_positives(
    found: BoxedActions, scores: np.ndarray, truth: BoxedActions, iou_threshold: float
) -> np.ndarray:
    """Which detections are correct, (D,) bool: of those matched to a true box the best one.

    A detection is matched to the true box of its key frame and action with which its IoU is
    largest, if that is at least the threshold.
    """
    width = int(max(found.rows.max(initial=0), truth.rows.max(initial=0))) + 1
    cells, true_cells = found.actions * width + found.rows, truth.actions * width + truth.rows
    order = np.argsort(true_cells, kind="stable")
    true_cells = true_cells[order]
    first = np.searchsorted(true_cells, cells, "left")
    count = np.searchsorted(true_cells, cells, "right") - first
    correct = np.zeros(len(cells), dtype=bool)
    some = np.flatnonzero(count)
    if not len(some):
        return correct
    # Those with any true box of their cell, best first: each beside each of these boxes.
    some = some[np.argsort(-scores[some], kind="stable")]
    first, count = first[some], count[some]
    starts = np.cumsum(count) - count
    candidate = np.arange(count.sum()) - np.repeat(starts - first, count)
    iou = box_iou(np.repeat(found.boxes[some], count, axis=0), truth.boxes[order[candidate]])
    best = np.maximum.reduceat(iou, starts)
    is_best = np.flatnonzero(iou == np.repeat(best, count))
    # Of true boxes with the same IoU the first one.
    matched = candidate[is_best[np.searchsorted(is_best, starts)]]
    enough = best >= iou_threshold
    _, winner = np.unique(matched[enough], return_index=True)
    correct[some[enough][winner]] = True
    return correct


def among_best(rows: np.ndarray, scores: np.ndarray, counts: np.ndarray, most: int) -> np.ndarray:
    """Which detections are among the `most` best ones of their key frame, (D,) bool.

    rows, scores: (D,); counts: (D,) bool, which detections are considered. Of equal scores the
    first ones are taken.
    """
    order = np.lexsort((-scores, rows, ~counts))
    rows = rows[order]
    starts = np.flatnonzero(np.concatenate([[True], rows[1:] != rows[:-1]]))
    place = np.arange(len(rows)) - np.repeat(starts, np.diff(starts, append=len(rows)))
    best = np.zeros(len(rows), dtype=bool)
    best[order] = place < most
    return best
