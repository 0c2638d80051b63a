"""Mean average precision of samples with several labels each."""

import numpy as np

from vidrec.metrics.prediction_rows import ScoreRows, check_rows


def average_precision(scores: np.ndarray, positive: np.ndarray) -> np.ndarray:
    """Area under the step-wise precision-recall curve of each row.

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


def mean_average_precision(scores: np.ndarray, label: np.ndarray) -> float:
    """Mean average precision over the classes, each of which ranks the samples.

    scores, label: (n, K), label 1 for each class that the sample has. Classes without a sample are
    left out.
    """
    return _mean(average_precision(scores.T, label.T > 0))


def mmit_mean_average_precision(scores: np.ndarray, label: np.ndarray) -> float:
    """Mean average precision over the samples, each of which ranks the classes.

    The measure of Multi-Moments in Time (Monfort et al., 2019). scores, label: (n, K). Samples
    without a label are left out; in MMAction2 one of them makes the mean NaN.
    """
    return _mean(average_precision(scores, label > 0))


def _mean(values: np.ndarray) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else float("nan")


class MultiLabel(ScoreRows):
    """`mAP` (mean over classes) and `mmit_mAP` (mean over samples), in [0, 1].

    key: the number that decides which checkpoint is best.
    """

    higher_is_better = True

    def __init__(self, key: str = "mmit_mAP") -> None:
        super().__init__()
        if key not in ("mAP", "mmit_mAP"):
            raise ValueError(f"key={key!r} is not computed; this metric computes mAP, mmit_mAP")
        self.key = key

    def compute(self, rows: dict[str, np.ndarray]) -> dict[str, float]:
        """rows: of all ranks, index (n,), scores (n, K), label (n, K); each index once."""
        check_rows(rows)
        scores, label = rows["scores"].astype(np.float64), rows["label"]
        if label.shape != scores.shape:
            raise ValueError(
                f"labels {label.shape} and scores {scores.shape} must have one shape, "
                "a 0 or 1 for each class; for one label use vidrec.metrics.accuracy.Accuracy"
            )
        if not (label > 0).any():
            raise ValueError("no sample has a label; precision is not defined")
        return {
            "mAP": mean_average_precision(scores, label),
            "mmit_mAP": mmit_mean_average_precision(scores, label),
        }
