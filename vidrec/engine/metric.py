"""What evaluation asks of a metric."""

from collections.abc import Mapping
from typing import Protocol

import numpy as np
from torch import Tensor

Rows = dict[str, np.ndarray]  # columns of one length; `index` is the row of dataset.records


class Metric(Protocol):
    """Collects rows batch by batch, and computes its scores once, from the rows of all ranks."""

    key: str  # the score that decides which checkpoint is best
    higher_is_better: bool

    def reset(self) -> None:
        """Forget all rows."""

    def update(self, predictions: Mapping[str, Tensor], batch: Mapping[str, Tensor]) -> None:
        """Collect the rows of a batch, from what `net.predict(batch)` returned."""

    @property
    def rows(self) -> Rows:
        """All rows since `reset`."""

    def compute(self, rows: Rows) -> dict[str, float]:
        """The scores of all samples; rows: of every rank, sorted by `index`."""


class Unscored:
    """Collects the rows of a metric without scoring them: the samples have no labels."""

    key = ""
    higher_is_better = True

    def __init__(self, metric: Metric) -> None:
        self.metric = metric

    def reset(self) -> None:
        self.metric.reset()

    def update(self, predictions: Mapping[str, Tensor], batch: Mapping[str, Tensor]) -> None:
        self.metric.update(predictions, batch)

    @property
    def rows(self) -> Rows:
        return self.metric.rows

    def compute(self, rows: Rows) -> dict[str, float]:
        """No scores."""
        return {}
