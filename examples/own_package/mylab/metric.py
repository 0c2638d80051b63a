"""A metric: rows of all samples to scores."""

from collections.abc import Mapping

import numpy as np
from torch import Tensor

Rows = dict[str, np.ndarray]


class WorstClass:
    """The accuracy of the class that is recognised worst.

    Rows are collected batch by batch, gathered from all ranks, and scored once.
    """

    key = "worst_class"  # the score that decides which checkpoint is best
    higher_is_better = True

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self._rows: list[Rows] = []

    def update(self, predictions: Mapping[str, Tensor], batch: Mapping[str, Tensor]) -> None:
        """`predictions["scores"]` (N, K), and `index` (N,) and `label` (N,) of the batch."""
        columns = {
            "scores": predictions["scores"],
            "index": batch["index"],
            "label": batch["label"],
        }
        self._rows.append({name: column.cpu().numpy() for name, column in columns.items()})

    @property
    def rows(self) -> Rows:
        """Columns of one length; `index` is the row of the dataset."""
        return {name: np.concatenate([r[name] for r in self._rows]) for name in self._rows[0]}

    def compute(self, rows: Rows) -> dict[str, float]:
        """The scores; rows: of all samples and all ranks, sorted by `index`."""
        right = rows["scores"].argmax(axis=1) == rows["label"]
        classes = np.unique(rows["label"])
        return {
            "worst_class": min(float(right[rows["label"] == k].mean()) for k in classes),
            "top1": float(right.mean()),
        }
