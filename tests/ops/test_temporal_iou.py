import numpy as np
import pytest
import torch

from vidrec.ops.temporal_iou import (
    anchor_iou,
    temporal_intersection,
    temporal_intersection_and_union,
    temporal_iou,
)

# a, b, length of the intersection, length of the union
BY_HAND = [
    ((0, 4), (2, 6), 2, 6),
    ((2, 6), (0, 4), 2, 6),
    ((0, 8), (2, 4), 2, 8),  # one inside the other
    ((1, 3), (1, 3), 2, 2),
    ((0, 1), (1, 2), 0, 2),  # they touch
    ((0, 1), (5, 8), 0, 4),  # the gap between them is not covered
    ((2, 2), (0, 4), 0, 4),  # no length
]


def arrays(kind):
    a, b, shared, union = (np.array(column, np.float64) for column in zip(*BY_HAND, strict=True))
    return (
        (a, b, shared, union) if kind == "numpy" else map(torch.from_numpy, (a, b, shared, union))
    )


@pytest.mark.parametrize("kind", ["numpy", "torch"])
def test_cases_by_hand(kind):
    a, b, shared, union = arrays(kind)
    assert temporal_intersection(a, b).tolist() == shared.tolist()
    assert [x.tolist() for x in temporal_intersection_and_union(a, b)] == [
        shared.tolist(),
        union.tolist(),
    ]
    assert temporal_iou(a, b).tolist() == (shared / union).tolist()


@pytest.mark.parametrize("kind", ["numpy", "torch"])
def test_all_pairs_by_broadcasting(kind):
    a, b, _, _ = arrays(kind)
    pairs = temporal_iou(a[:, None], b)
    assert tuple(pairs.shape) == (len(BY_HAND), len(BY_HAND))
    assert pairs.diagonal().tolist() == temporal_iou(a, b).tolist()
    assert pairs[3, 5] == 0
    assert pairs[2, 0] == 0.5  # 2 ... 6 of 0 ... 8


@pytest.mark.parametrize("make", [np.array, torch.tensor])
def test_segments_without_length_overlap_nothing_and_padding_stays_nan(make):
    nothing, padding = make([3.0, 3.0]), make([float("nan")] * 2)
    assert float(temporal_iou(nothing, nothing)) == 0
    assert np.isnan(float(temporal_iou(make([0.0, 4.0]), padding)))


def test_anchors_meet_segments_of_another_precision():
    anchors = np.array([[0.0, 0.4], [0.5, 0.9]])
    segments = np.array([[0.2, 0.6], [0.5, 0.9]], np.float32)
    iou = anchor_iou(anchors[:, None], segments)
    assert iou.dtype == np.float64
    np.testing.assert_allclose(iou, [[0.2 / 0.6, 0.0], [0.1 / 0.7, 1.0]], rtol=1e-6)
