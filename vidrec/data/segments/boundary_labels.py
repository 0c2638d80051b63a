"""Training targets of localization networks: boundaries and a map of IoUs, from segments.

Segments are rows of start and end, normalised to [0, 1] over the sequence. Sums and differences are
computed in their type, float32 in training as in the published code: for a label of one half,
rounding decides whether it is positive.
"""

from collections.abc import Mapping

import numpy as np

from vidrec.ops.temporal_iou import anchor_iou, temporal_intersection


def covered(anchors: np.ndarray, segments: np.ndarray) -> np.ndarray:
    """The largest fraction of each anchor that is covered by one of the segments.

    anchors: (T, 2) float64, start and end; segments: (G, 2). Returns (T,) of the segments' type; 0
    without segments.
    """
    if len(segments) == 0:
        return np.zeros(len(anchors), segments.dtype)
    length = (anchors[:, 1] - anchors[:, 0]).astype(segments.dtype)
    shared = temporal_intersection(anchors.astype(segments.dtype)[:, None], segments)
    return (shared / length[:, None]).max(axis=1)


def clear_padding(labels: Mapping[str, np.ndarray], num_real: int) -> None:
    """Set the labels of positions from `num_real` on to 0, in place.

    A segment may end where the padding begins, so that this position remains an end, and proposals
    up to it remain in the map.
    """
    for name, first in (("action", num_real), ("start", num_real), ("end", num_real + 1)):
        if name in labels:
            labels[name][..., first:] = 0
    if "iou_map" in labels:
        duration, start = np.indices(labels["iou_map"].shape)
        labels["iou_map"][start + duration + 1 > num_real] = 0


def _around(points: np.ndarray, width: np.ndarray | float) -> np.ndarray:
    return np.stack([points - width / 2, points + width / 2], axis=1)


class BoundaryMatchingLabels:
    """`start`, `end` (T,) and `iou_map` (D, T) for BMN (section 3.4).

    Boundaries are regions of three positions around each start and end. Row d of the map contains
    the IoUs of proposals that last d + 1 positions, including those that pass the end.
    """

    def __init__(self, temporal_dim: int) -> None:
        self.temporal_dim = temporal_dim
        gap = 1.0 / temporal_dim
        position = np.arange(temporal_dim)
        # The anchor of a boundary extends to the centre of both neighbours.
        self.anchors = np.stack([gap * (position - 0.5), gap * (position + 1.5)], axis=1)
        duration, first = np.indices((temporal_dim, temporal_dim)).reshape(2, -1)
        start = first * gap
        self.proposals = np.stack([start, start + (duration + 1) * gap], axis=1)

    def __call__(self, segments: np.ndarray) -> dict[str, np.ndarray]:
        size = self.temporal_dim
        width = 3 * (1.0 / size)
        iou = np.zeros(size * size, np.float32)
        for segment in segments:
            np.maximum(iou, anchor_iou(self.proposals, segment).astype(np.float32), out=iou)
        return {
            "start": covered(self.anchors, _around(segments[:, 0], width)),
            "end": covered(self.anchors, _around(segments[:, 1], width)),
            "iou_map": iou.reshape(size, size),
        }


class BoundaryLabels:
    """`action`, `start`, `end` (T,) for the temporal evaluation of BSN (section 3.4).

    boundary_ratio: width of a start or an end as a fraction of its segment; at least one position.
    """

    def __init__(self, temporal_dim: int, boundary_ratio: float = 0.1) -> None:
        self.temporal_dim = temporal_dim
        self.boundary_ratio = boundary_ratio
        gap = 1.0 / temporal_dim
        edges = gap * np.arange(temporal_dim + 1)
        self.anchors = np.stack([edges[:-1], edges[1:]], axis=1)

    def __call__(self, segments: np.ndarray) -> dict[str, np.ndarray]:
        length = segments[:, 1] - segments[:, 0]
        width = np.maximum(1.0 / self.temporal_dim, self.boundary_ratio * length)
        return {
            "action": covered(self.anchors, segments),
            "start": covered(self.anchors, _around(segments[:, 0], width)),
            "end": covered(self.anchors, _around(segments[:, 1], width)),
        }
