"""What networks for localization are trained on: boundaries and a map of IoUs, from segments.

Segments are rows of start and end in [0, 1], 0 the beginning of the sequence and 1 its end. Sums
and differences are computed in their type, float32 in training as in the published code: a label of
one half decides by rounding whether it is positive.
"""

import numpy as np


def covered(low: np.ndarray, high: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """The largest share of each anchor that one of the boxes covers.

    low, high: (T,) ends of the anchors, float64; boxes: (G, 2). Returns (T,) of the boxes' type; 0
    without boxes.
    """
    if len(boxes) == 0:
        return np.zeros(len(low), boxes.dtype)
    begin, end = low.astype(boxes.dtype)[:, None], high.astype(boxes.dtype)[:, None]
    inner = np.minimum(end, boxes[:, 1]) - np.maximum(begin, boxes[:, 0])
    share = np.maximum(inner, 0) / (high - low).astype(boxes.dtype)[:, None]
    return share.max(axis=1)


def temporal_iou(low: np.ndarray, high: np.ndarray, segments: np.ndarray) -> np.ndarray:
    """IoU of the intervals [low, high] (P,) with every segment (G, 2): (P, G) float64."""
    inner = np.minimum(high[:, None], segments[:, 1]) - np.maximum(low[:, None], segments[:, 0])
    inner = np.maximum(inner, 0)
    union = (high - low)[:, None] - inner + segments[:, 1] - segments[:, 0]
    return inner / union


def _around(points: np.ndarray, width: np.ndarray | float) -> np.ndarray:
    return np.stack([points - width / 2, points + width / 2], axis=1)


class BoundaryMatchingLabels:
    """`start`, `end` (T,) and `iou_map` (D, T) for BMN (section 3.4).

    Boundaries are regions of three positions around each start and end. Row d of the map holds the
    IoUs of the proposals that last d + 1 positions, those beyond the end of the sequence too.
    """

    def __init__(self, temporal_dim: int) -> None:
        self.temporal_dim = temporal_dim
        gap = 1.0 / temporal_dim
        position = np.arange(temporal_dim)
        # The anchor of a boundary reaches to the middle of both neighbours.
        self.low, self.high = gap * (position - 0.5), gap * (position + 1.5)
        duration, start = np.indices((temporal_dim, temporal_dim)).reshape(2, -1)
        self.start = start * gap
        self.end = self.start + (duration + 1) * gap

    def __call__(self, segments: np.ndarray) -> dict[str, np.ndarray]:
        size = self.temporal_dim
        width = 3 * (1.0 / size)
        iou = np.zeros(size * size, np.float32)
        for segment in segments:
            one = temporal_iou(self.start, self.end, segment[None])[:, 0]
            np.maximum(iou, one.astype(np.float32), out=iou)
        return {
            "start": covered(self.low, self.high, _around(segments[:, 0], width)),
            "end": covered(self.low, self.high, _around(segments[:, 1], width)),
            "iou_map": iou.reshape(size, size),
        }


class BoundaryLabels:
    """`action`, `start`, `end` (T,) for the temporal evaluation of BSN (section 3.4).

    boundary_ratio: width of a start or an end, as a share of its segment; at least one position.
    """

    def __init__(self, temporal_dim: int, boundary_ratio: float = 0.1) -> None:
        self.temporal_dim = temporal_dim
        self.boundary_ratio = boundary_ratio
        gap = 1.0 / temporal_dim
        self.low, self.high = gap * np.arange(temporal_dim), gap * np.arange(1, temporal_dim + 1)

    def __call__(self, segments: np.ndarray) -> dict[str, np.ndarray]:
        length = segments[:, 1] - segments[:, 0]
        width = np.maximum(1.0 / self.temporal_dim, self.boundary_ratio * length)
        return {
            "action": covered(self.low, self.high, segments),
            "start": covered(self.low, self.high, _around(segments[:, 0], width)),
            "end": covered(self.low, self.high, _around(segments[:, 1], width)),
        }
