import numpy as np
import pytest
import torch
import torchvision

from vidrec.ops.box_iou import box_iou


@pytest.mark.parametrize("make", [np.array, torch.tensor])
def test_cases_by_hand(make):
    box = make([0.0, 0.0, 4.0, 2.0])
    others = make(
        [
            [0.0, 0.0, 4.0, 2.0],
            [2.0, 1.0, 6.0, 3.0],  # a corner of 2 x 1, in a union of 14
            [1.0, 0.0, 2.0, 2.0],  # inside
            [4.0, 0.0, 8.0, 2.0],  # they touch
            [5.0, 5.0, 6.0, 6.0],  # apart in both directions
            [1.0, 1.0, 1.0, 2.0],  # no area
        ]
    )
    np.testing.assert_allclose(box_iou(box, others), [1, 2 / 14, 2 / 8, 0, 0, 0], rtol=1e-6)
    assert float(box_iou(others[5], others[5])) == 0


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_all_pairs_are_those_of_torchvision_bit_for_bit(dtype):
    generator = torch.Generator().manual_seed(0)
    a, b = torch.rand(2, 60, 4, generator=generator, dtype=dtype)
    a[:, 2:] += a[:, :2]
    b[:, 2:] += b[:, :2]
    expected = torchvision.ops.box_iou(a, b)
    assert torch.equal(box_iou(a[:, None], b), expected)
    np.testing.assert_array_equal(box_iou(a.numpy()[:, None], b.numpy()), expected.numpy())
