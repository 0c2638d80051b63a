"""Mean average precision of samples with several labels each."""

import numpy as np

from vidrec.metrics.average_precision import average_precision
from vidrec.metrics.score_rows import ScoreRows, check_rows


def mean_average_precision(scores: np.ndarray, label: np.ndarray) -> float:
    """Mean average precision over the classes, each of which ranks the samples.

    scores, label: (n, K), label 1 for each class of the sample. Classes without samples are left
    out.
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

    key: the score that decides which checkpoint is best.

    >>> import torch
    >>> metric = MultiLabel()
    >>> batch = {"index": torch.arange(2), "label": torch.tensor([[1.0, 1.0], [1.0, 0.0]])}
    >>> metric.update({"scores": torch.tensor([[0.2, 0.9], [0.7, 0.1]])}, batch)
    >>> metric.compute(metric.rows)
    {'mAP': 1.0, 'mmit_mAP': 1.0}
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
                f"labels {label.shape} and scores {scores.shape} must have the same shape, "
                "with a 0 or 1 for each class; for single labels use "
                "vidrec.metrics.accuracy.Accuracy"
            )
        if not (label > 0).any():
            raise ValueError("no sample has a label; average precision is not defined")
        return {
            "mAP": mean_average_precision(scores, label),
            "mmit_mAP": mmit_mean_average_precision(scores, label),
        }
