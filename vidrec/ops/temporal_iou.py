"""How much segments overlap in time: intersection, union and intersection over union.

Segments are arrays (..., 2) of start and end in one unit, both numpy arrays or both tensors. Their
leading axes are broadcast: `temporal_iou(a[:, None], b)` compares every segment of `a` (A, 2) with
every one of `b` (B, 2).
"""

from typing import TypeVar

import numpy as np
from torch import Tensor

Array = TypeVar("Array", np.ndarray, Tensor)


def temporal_intersection(a: Array, b: Array) -> Array:
    """Length that both segments cover; 0 if they do not overlap."""
    # `clip` takes the minimum and the maximum in a way that numpy and torch have in common.
    return (a[..., 1].clip(max=b[..., 1]) - a[..., 0].clip(min=b[..., 0])).clip(min=0)


def temporal_intersection_and_union(a: Array, b: Array) -> tuple[Array, Array]:
    """Length that both segments cover, and length that at least one of them covers."""
    shared = temporal_intersection(a, b)
    return shared, (a[..., 1] - a[..., 0]) + (b[..., 1] - b[..., 0]) - shared


def temporal_iou(a: Array, b: Array) -> Array:
    """Intersection over union, in [0, 1]; 0 for two segments of no length, NaN where one is NaN.

    >>> a = np.array([[0.0, 4.0], [2.0, 6.0]])
    >>> temporal_iou(a, np.array([[2.0, 6.0], [2.0, 6.0]]))
    array([0.33333333, 1.        ])
    >>> temporal_iou(a[:, None], np.array([[0.0, 2.0], [5.0, 6.0], [8.0, 9.0]]))
    array([[0.5 , 0.  , 0.  ],
           [0.  , 0.25, 0.  ]])
    """
    shared, union = temporal_intersection_and_union(a, b)
    return shared / union.clip(min=1e-30)


def anchor_iou(anchors: np.ndarray, segments: np.ndarray) -> np.ndarray:
    """`temporal_iou` of anchors, float64 and none without length, with segments of any precision.

    The union is summed up in the order of BMN's published labels, whose last digit depends on it.
    """
    shared = temporal_intersection(anchors, segments)
    union = (anchors[..., 1] - anchors[..., 0]) - shared + segments[..., 1] - segments[..., 0]
    return shared / union
