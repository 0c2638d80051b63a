"""The predictions that a metric is computed from, collected batch by batch."""

import numpy as np
from torch import Tensor


class PredictionRows:
    """Named columns of what was predicted since the last `reset`, as numpy arrays.

    All columns have one length: a row for each sample, box or sequence. Metrics inherit this part,
    name their columns and pass those of a batch to `keep`.

    empty: each column without any row, with its type and, as far as it is known, the shape of a
        row. Ranks that have seen no batch return it.

    >>> collected = PredictionRows(index=np.zeros(0, np.int64), scores=np.zeros((0, 2)))
    >>> collected.rows["scores"].shape
    (0, 2)
    """

    def __init__(self, **empty: np.ndarray) -> None:
        self._empty = empty
        self.reset()

    def reset(self) -> None:
        self._batches: dict[str, list[np.ndarray]] = {name: [] for name in self._empty}

    def keep(self, **columns: Tensor) -> None:
        """Append the rows of a batch; its columns may be on any device."""
        assert columns.keys() == self._empty.keys(), f"{list(columns)}, not {list(self._empty)}"
        for name, values in columns.items():
            self._batches[name].append(values.detach().cpu().numpy())

    @property
    def rows(self) -> dict[str, np.ndarray]:
        """The columns by name, batches in the order in which they came."""
        return {
            name: np.concatenate(batches) if batches else self._empty[name]
            for name, batches in self._batches.items()
        }
