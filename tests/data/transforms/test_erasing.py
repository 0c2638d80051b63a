"""Erased boxes by the pixels that they change."""

import numpy as np
import pytest

from vidrec.data.transforms.erasing import RandomErasing


def test_one_box_is_erased_in_all_frames():
    step = RandomErasing(erase_prob=1.0, fill_color=(7, 8, 9))
    frames = np.full((3, 40, 60, 3), 255, np.uint8)
    shares, ratios = [], []
    for seed in range(300):
        erased = step(frames, np.random.default_rng(seed))
        changed = (erased != 255).any(-1)
        assert (changed == changed[:1]).all()
        rows, columns = np.flatnonzero(changed[0].any(1)), np.flatnonzero(changed[0].any(0))
        height, width = np.ptp(rows) + 1, np.ptp(columns) + 1
        assert changed[0].sum() == height * width
        assert set(map(tuple, erased[changed].tolist())) == {(7, 8, 9)}
        shares.append(changed[0].mean())
        ratios.append(height / width)
    assert frames.min() == 255  # the original is left alone
    assert 0.015 < min(shares) < 0.05
    assert 0.28 < max(shares) < 0.35
    assert min(ratios) < 0.5 < 2 < max(ratios)


def test_random_pixels_are_the_same_in_all_frames():
    frames = np.zeros((2, 32, 32, 3), np.uint8)
    step = RandomErasing(1.0, 0.3, 0.3, mode="rand")
    erased = step(frames, np.random.default_rng(0))
    assert np.array_equal(erased[0], erased[1])
    values = erased[erased > 0]
    assert len(np.unique(values)) > 150
    assert values.mean() == pytest.approx(128, abs=8)
    normal = RandomErasing(1.0, 0.3, 0.3, mode="rand", fill_color=100, fill_std=5)
    values = normal(frames, np.random.default_rng(0))
    values = values[values > 0]
    assert values.mean() == pytest.approx(99.5, abs=1)
    assert values.std() == pytest.approx(5, abs=0.5)


def test_erasing_happens_with_its_probability():
    frames = np.zeros((1, 8, 8, 3), np.uint8)
    step, rng = RandomErasing(0.25), np.random.default_rng(0)
    share = np.mean([step(frames, rng).any() for _ in range(2000)])
    assert share == pytest.approx(0.25, abs=0.03)


def test_wrong_arguments_are_named():
    with pytest.raises(ValueError, match="mode='pixel'"):
        RandomErasing(mode="pixel")
    with pytest.raises(ValueError, match=r"min_area_ratio=0\.5"):
        RandomErasing(min_area_ratio=0.5)
