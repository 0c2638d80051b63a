"""Labels against reference figures and by hand.

tests/golden/localization.json.gz was computed with MMAction2 1.2.0.
"""

import numpy as np
import pytest

from tests.paths import read_golden
from vidrec.data.segments.boundary_labels import BoundaryLabels, BoundaryMatchingLabels

GOLDEN = read_golden("localization.json.gz")


@pytest.mark.parametrize("case", range(4))
def test_labels_of_bmn_are_the_published_ones(case):
    golden = GOLDEN["bmn_labels"]
    made = BoundaryMatchingLabels(100)(np.array(golden["gts"][case], np.float32))
    np.testing.assert_array_equal(made["start"], np.array(golden["start"][case], np.float32))
    np.testing.assert_array_equal(made["end"], np.array(golden["end"][case], np.float32))
    for row, values in golden["conf_rows"].items():
        expected = np.array(values[case], np.float32)
        np.testing.assert_array_equal(made["iou_map"][int(row)], expected)
    total = made["iou_map"].sum(dtype=np.float64)
    assert total == pytest.approx(golden["conf_sum"][case], rel=1e-12)
    assert (made["iou_map"] > 0.9).sum() == golden["conf_gt_0_9"][case]


@pytest.mark.parametrize("case", range(2))
def test_labels_of_tem_are_the_published_ones(case):
    golden = GOLDEN["tem_labels"]
    made = BoundaryLabels(100, 0.1)(np.array(golden["gts"][case], np.float32))
    for name in ("action", "start", "end"):
        np.testing.assert_array_equal(made[name], np.array(golden[name][case], np.float32))


def test_a_sequence_without_segments():
    for labels in (BoundaryMatchingLabels(6), BoundaryLabels(6)):
        made = labels(np.zeros((0, 2), np.float32))
        assert all(not values.any() for values in made.values())
