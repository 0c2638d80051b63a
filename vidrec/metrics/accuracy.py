"""Accuracy of samples with one label each: top-k, mean over classes, confusion matrix."""

from collections.abc import Sequence
from typing import Literal

import numpy as np

from vidrec.metrics.score_rows import ScoreRows, check_rows


def top_k_accuracy(
    scores: np.ndarray, label: np.ndarray, topk: Sequence[int] = (1, 5)
) -> list[float]:
    """Share of samples whose label is among the k highest scores, for each k.

    scores: (n, K), label: (n,) integers. Ties are broken by numpy's argsort, as in MMAction2; its
    order of equal scores depends on the processor.

    >>> top_k_accuracy(np.array([[0.1, 0.7, 0.2], [0.5, 0.2, 0.3]]), np.array([1, 2]), (1, 2))
    [0.5, 1.0]
    """
    num_classes = scores.shape[1]
    if wrong := [k for k in topk if not 1 <= k <= num_classes]:
        raise ValueError(f"top-{wrong[0]} does not exist with {num_classes} classes")
    best = np.argsort(scores, axis=1)[:, ::-1][:, : max(topk)]
    hit = best == label[:, None]
    return [float(hit[:, :k].any(axis=1).mean()) for k in topk]


def confusion_matrix(
    predicted: np.ndarray,
    label: np.ndarray,
    num_classes: int,
    normalize: Literal["true", "pred", "all"] | None = None,
) -> np.ndarray:
    """Samples by true class (rows) and predicted class (columns).

    predicted, label: (n,) integers. Returns (K, K) counts, int64, or shares, float64: of each row
    (`true`), of each column (`pred`) or of all samples (`all`). Shares of no samples are 0.

    >>> confusion_matrix(np.array([0, 1, 1]), np.array([0, 0, 1]), 2)
    array([[1, 1],
           [0, 1]])
    """
    if normalize not in (None, "true", "pred", "all"):
        raise ValueError(f"normalize={normalize!r} is not one of None, 'true', 'pred', 'all'")
    for name, values in (("label", label), ("predicted class", predicted)):
        if values.size and not 0 <= values.min() <= values.max() < num_classes:
            wrong = values[(values < 0) | (values >= num_classes)][0]
            raise ValueError(f"{name} {wrong} is not one of the {num_classes} classes")
    flat = np.bincount(label * num_classes + predicted, minlength=num_classes**2)
    matrix = flat.reshape(num_classes, num_classes)
    if normalize is None:
        return matrix
    axis = {"true": 1, "pred": 0, "all": None}[normalize]
    total = matrix.sum(axis=axis, keepdims=True)
    return matrix / np.maximum(total, 1)


def class_accuracy(matrix: np.ndarray) -> np.ndarray:
    """Recall of each class, (K,); NaN for a class without samples.

    matrix: (K, K) counts of `confusion_matrix`.
    """
    total = matrix.sum(axis=1)
    return np.where(total > 0, np.diag(matrix) / np.maximum(total, 1), np.nan)


def mean_class_accuracy(
    scores: np.ndarray, label: np.ndarray, absent_as_zero: bool = False
) -> float:
    """Mean recall of the classes that have samples.

    scores: (n, K), label: (n,) integers. `absent_as_zero` also counts classes that were predicted
    but have no sample, as 0: MMAction2's definition, which differs where a class has no samples.

    >>> scores = np.array([[0.9, 0.1, 0.0], [0.2, 0.8, 0.0], [0.7, 0.3, 0.0]])
    >>> mean_class_accuracy(scores, np.array([0, 0, 1]))
    0.25
    """
    matrix = confusion_matrix(scores.argmax(axis=1), label, scores.shape[1])
    accuracy = class_accuracy(matrix)
    if absent_as_zero:
        accuracy[np.isnan(accuracy) & (matrix.sum(axis=0) > 0)] = 0
    return float(np.nanmean(accuracy))


class Accuracy(ScoreRows):
    """`top1`, `top5`, ... and `mean_class`, in [0, 1].

    topk: which k; those beyond the number of classes are left out, as they would always be 1.
    mean_class: also the mean accuracy of the classes, in which rare classes count like others.
    key: the score that decides which checkpoint is best.
    absent_as_zero: see `mean_class_accuracy`.

    >>> import torch
    >>> metric = Accuracy(topk=(1, 2))
    >>> scores = torch.tensor([[0.1, 0.7, 0.2], [0.5, 0.2, 0.3]])
    >>> metric.update({"scores": scores}, {"index": torch.arange(2), "label": torch.tensor([1, 2])})
    >>> metric.compute(metric.rows)
    {'top1': 0.5, 'top2': 1.0, 'mean_class': 0.5}
    """

    higher_is_better = True

    def __init__(
        self,
        topk: Sequence[int] = (1, 5),
        mean_class: bool = True,
        key: str = "top1",
        absent_as_zero: bool = False,
    ) -> None:
        super().__init__()
        names = [f"top{k}" for k in topk] + ["mean_class"] * mean_class
        if not topk or min(topk) < 1:
            raise ValueError(f"topk={list(topk)} must name at least one k, each at least 1")
        if key not in names:
            raise ValueError(
                f"key={key!r} is not computed; this metric computes {', '.join(names)}"
            )
        self.topk = sorted(set(topk))
        self.mean_class = mean_class
        self.key = key
        self.absent_as_zero = absent_as_zero

    def compute(self, rows: dict[str, np.ndarray]) -> dict[str, float]:
        """rows: of all ranks, index (n,), scores (n, K), label (n,); each index once."""
        check_rows(rows)
        scores, label = rows["scores"].astype(np.float64), rows["label"]
        if label.ndim != 1:
            raise ValueError(
                f"labels of shape {label.shape} allow several classes for a sample; "
                "use vidrec.metrics.multilabel.MultiLabel"
            )
        num_classes = scores.shape[1]
        if not 0 <= label.min() <= label.max() < num_classes:
            raise ValueError(
                f"labels range from {label.min()} to {label.max()}, "
                f"but the network scores {num_classes} classes"
            )
        topk = [k for k in self.topk if k <= num_classes]
        values = top_k_accuracy(scores, label, topk) if topk else []
        result = {f"top{k}": value for k, value in zip(topk, values, strict=True)}
        if self.mean_class:
            result["mean_class"] = mean_class_accuracy(scores, label, self.absent_as_zero)
        if self.key not in result:
            raise ValueError(f"key={self.key!r} does not exist with {num_classes} classes")
        return result
