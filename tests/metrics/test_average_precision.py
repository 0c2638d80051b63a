import numpy as np
import pytest

from vidrec.metrics.average_precision import average_precision, interpolated_ap


def by_definition(scores, positive):
    """Each threshold adds a rectangle: the recall gained there times the precision there."""
    area, recall = 0.0, 0.0
    for threshold in sorted(set(scores), reverse=True):
        chosen = scores >= threshold
        precision = positive[chosen].mean()
        area += (positive[chosen].sum() / positive.sum() - recall) * precision
        recall = positive[chosen].sum() / positive.sum()
    return area


def test_average_precision_equals_its_definition_with_ties_in_any_order():
    rng = np.random.default_rng(0)
    scores = rng.integers(0, 6, (30, 15)) / 5
    positive = rng.random((30, 15)) < 0.3
    positive[:, 0] |= ~positive.any(axis=1)
    got = average_precision(scores, positive)
    expected = [by_definition(s, p) for s, p in zip(scores, positive, strict=True)]
    assert np.abs(got - expected).max() < 1e-12
    order = rng.permutation(15)
    assert np.abs(average_precision(scores[:, order], positive[:, order]) - got).max() < 1e-12


def test_average_precision_by_hand():
    scores = np.array(
        [[0.9, 0.8, 0.7, 0.6], [0.9, 0.8, 0.7, 0.6], [0.5, 0.5, 0.5, 0.5], [1, 2, 3, 4]]
    )
    positive = np.array([[1, 1, 0, 0], [0, 1, 0, 1], [1, 0, 0, 0], [0, 0, 0, 0]], dtype=bool)
    got = average_precision(scores, positive)
    assert got[:3].tolist() == [1.0, (1 / 2 + 2 / 4) / 2, 1 / 4]
    assert np.isnan(got[3])


def test_interpolated_average_precision_by_hand():
    # Right, wrong, right of three: precision 1 up to 1/3, 2/3 up to 2/3, nothing beyond.
    assert interpolated_ap(np.array([True, False, True]), 3) == pytest.approx((1 + 2 / 3) / 3)
    assert interpolated_ap(np.array([False, False]), 3) == 0
