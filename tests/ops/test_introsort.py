"""Orders of numpy 2.4.6 without vector instructions (NPY_DISABLE_CPU_FEATURES="X86_V3 X86_V4")."""

import zlib

import numpy as np
import pytest

from vidrec.ops.introsort import introsort_order


def ragged(size, distinct):
    return (np.arange(size) * 7919 % 104729 % distinct) / distinct


def killer(size):
    """Medians of three are small, until numpy turns to heapsort; some values are equal."""
    values, half = np.zeros(size), size // 2
    for i in range(1, half + 1, 2):
        values[i - 1], values[i] = i, half + i
    values[half:] = 2 * np.arange(1, half + 1)
    return values // 3


@pytest.mark.parametrize(
    ("values", "crc32"),
    [
        (ragged(16, 4), 53996644),
        (ragged(17, 4), 3960388306),
        (ragged(100, 10), 2796273789),
        (ragged(1000, 50), 2099526801),
        (killer(1000), 3283262115),
    ],
    ids=["16", "17", "100", "1000", "killer"],
)
def test_equal_values_are_left_in_numpy_s_order(values, crc32):
    order = introsort_order(values)
    assert (np.diff(values[order]) >= 0).all()
    assert zlib.crc32(order.astype("<i8").tobytes()) == crc32


def test_without_equal_values_there_is_one_order():
    values = np.random.default_rng(0).permutation(3000) / 7
    np.testing.assert_array_equal(introsort_order(values), np.argsort(values))
    assert introsort_order(np.zeros(0)).tolist() == []
