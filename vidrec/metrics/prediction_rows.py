"""Collecting one row of scores per sample until all ranks have theirs."""

from typing import Any

import numpy as np
from torch import Tensor


class ScoreRows:
    """The scores and labels of the samples seen since the last `reset`, kept as numpy arrays."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self._parts: dict[str, list[np.ndarray]] = {"index": [], "scores": [], "label": []}

    def update(self, predictions: dict[str, Any], batch: dict[str, Any]) -> None:
        """Keep `predictions["scores"]` (N, K) with the batch's `index` (N,) and `label`."""
        scores: Tensor = predictions["scores"]
        self._parts["scores"].append(scores.detach().float().cpu().numpy())
        self._parts["index"].append(batch["index"].cpu().numpy())
        self._parts["label"].append(batch["label"].cpu().numpy())

    @property
    def rows(self) -> dict[str, np.ndarray]:
        """index (n,) int64, scores (n, K) float32, label (n,) int64 or (n, K) float32.

        A rank that has seen nothing does not know K: its `scores` are (0, 0).
        """
        if not self._parts["index"]:
            return {
                "index": np.zeros(0, np.int64),
                "scores": np.zeros((0, 0), np.float32),
                "label": np.zeros(0, np.int64),
            }
        return {name: np.concatenate(parts) for name, parts in self._parts.items()}


def check_rows(rows: dict[str, np.ndarray]) -> None:
    """Raise ValueError unless every sample is there once, with finite scores."""
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
            "in evaluation a sample may come once (on_bad_video=replace is for training)"
        )
    if not (finite := np.isfinite(scores).all(axis=1)).all():
        raise ValueError(
            f"{(~finite).sum()} samples have scores that are not finite, the first is row "
            f"{index[~finite][0]}; the weights have diverged, or runtime.precision=fp16 overflows"
        )
