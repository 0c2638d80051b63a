"""Average precision: the area under a precision-recall curve, in its two usual definitions."""

import numpy as np


def average_precision(scores: np.ndarray, positive: np.ndarray) -> np.ndarray:
    """Area under the step-wise precision-recall curve of each row, as for multi-label samples.

    scores: (R, M), positive: (R, M) bool. Returns (R,) in [0, 1]; NaN for a row without positives.
    AP = sum over the distinct scores of (recall - recall before) x precision: equal scores enter
    the curve together, so that their order does not matter.
    """
    order = np.argsort(-scores, axis=1)
    ranked = np.take_along_axis(scores, order, axis=1)
    found = np.take_along_axis(positive, order, axis=1).cumsum(axis=1, dtype=np.float64)
    precision = found / np.arange(1, scores.shape[1] + 1)
    # Only the last of equal scores is a point of the curve.
    is_point = np.ones(scores.shape, dtype=bool)
    is_point[:, :-1] = ranked[:, :-1] != ranked[:, 1:]
    before = np.zeros_like(found)
    points = np.where(is_point, found, 0)
    before[:, 1:] = np.maximum.accumulate(points, axis=1)[:, :-1]
    total = found[:, -1]
    area = np.where(is_point, (found - before) * precision, 0).sum(axis=1)
    return np.where(total > 0, area / np.maximum(total, 1), np.nan)


def interpolated_ap(correct: np.ndarray, num_truth: int) -> float:
    """Area under the interpolated precision-recall curve of detections, as in PASCAL VOC.

    Each precision is the largest at no less recall. correct: (n,) bool, best detections first;
    num_truth: how many there are to find, at least 1.

    >>> interpolated_ap(np.array([True, False, True, True]), 3)
    0.8333333333333333
    """
    found = correct.cumsum()
    precision = found / np.arange(1, len(correct) + 1)
    recall = found / num_truth
    precision = np.maximum.accumulate(precision[::-1])[::-1]
    steps = np.diff(recall, prepend=0.0)
    return float((steps * precision)[steps != 0].sum())
