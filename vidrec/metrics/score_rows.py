"""Class scores of samples with their labels: the rows of the metrics of recognition."""

from collections.abc import Mapping

import numpy as np
from torch import Tensor

from vidrec.metrics.prediction_rows import PredictionRows


class ScoreRows(PredictionRows):
    """`index` (n,) int64, `scores` (n, K) float32, `label` (n,) int64 or (n, K) float32.

    A rank that has seen no sample does not know K: its `scores` are (0, 0).
    """

    def __init__(self) -> None:
        super().__init__(
            index=np.zeros(0, np.int64),
            scores=np.zeros((0, 0), np.float32),
            label=np.zeros(0, np.int64),
        )

    def update(self, predictions: Mapping[str, Tensor], batch: Mapping[str, Tensor]) -> None:
        """Keep `predictions["scores"]` (N, K) with the batch's `index` (N,) and `label`."""
        scores = predictions["scores"].float()
        self.keep(index=batch["index"], scores=scores, label=batch["label"])


def check_rows(rows: Mapping[str, np.ndarray]) -> None:
    """Raises ValueError unless there is exactly one row of finite scores for each sample."""
    index, scores, label = rows["index"], rows["scores"], rows["label"]
    if len(index) == 0:
        raise ValueError(
            "no sample was scored; is the list empty, "
            "or was every video unreadable (data.on_bad_video=skip)?"
        )
    if not len(index) == len(scores) == len(label):
        raise ValueError(
            f"{len(index)} indices, {len(scores)} rows of scores and {len(label)} labels "
            "do not belong together"
        )
    values, counts = np.unique(index, return_counts=True)
    if (repeated := values[counts > 1]).size:
        raise ValueError(
            f"{repeated.size} samples were scored more than once, the first is row {repeated[0]}; "
            "evaluation scores a sample once (on_bad_video=replace is for training)"
        )
    if not (finite := np.isfinite(scores).all(axis=1)).all():
        raise ValueError(
            f"{(~finite).sum()} samples have scores that are not finite, the first is row "
            f"{index[~finite][0]}; the weights have diverged, or runtime.precision=fp16 overflows"
        )
