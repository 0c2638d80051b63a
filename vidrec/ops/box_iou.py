"""How much boxes overlap."""

from typing import TypeVar

import numpy as np
from torch import Tensor

Array = TypeVar("Array", np.ndarray, Tensor)


def box_iou(a: Array, b: Array) -> Array:
    """Intersection over union of boxes (..., 4), in [0, 1]: 0 for two boxes without area.

    Boxes are x1, y1, x2, y2 in one unit, both numpy arrays or both tensors. Leading axes are
    broadcast: `box_iou(a[:, None], b)` compares every box of `a` (A, 4) with every one of `b`
    (B, 4).

    >>> a = np.array([[0.0, 0.0, 2.0, 2.0]])
    >>> box_iou(a, np.array([[0.0, 0.0, 2.0, 1.0], [1.0, 1.0, 3.0, 3.0], [5.0, 5.0, 6.0, 6.0]]))
    array([0.5       , 0.14285714, 0.        ])
    """
    width, height = (
        (a[..., high].clip(max=b[..., high]) - a[..., low].clip(min=b[..., low])).clip(min=0)
        for low, high in ((0, 2), (1, 3))
    )
    shared = width * height
    union = _area(a) + _area(b) - shared
    return shared / union.clip(min=1e-30)


def _area(boxes: Array) -> Array:
    return (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])
