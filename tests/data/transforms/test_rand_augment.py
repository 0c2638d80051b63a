"""Operations against Pillow's and numpy's own."""

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance, ImageOps

from vidrec.data.transforms.rand_augment import OPERATIONS, RandAugment

RNG = np.random.default_rng(0)
# Smooth, so that interpolation and rounding make little difference.
SMALL = RNG.integers(0, 256, (2, 6, 8, 3), dtype=np.uint8)
FRAMES = np.stack([np.asarray(Image.fromarray(f).resize((64, 48), Image.BICUBIC)) for f in SMALL])


def apply(name, level, sign):
    video = torch.from_numpy(FRAMES.copy()).permute(0, 3, 1, 2)
    return OPERATIONS[name](video, level, sign, 128).permute(0, 2, 3, 1).numpy()


def shifted(coefficients):
    def change(image):
        return image.transform(
            image.size,
            Image.Transform.AFFINE,
            coefficients,
            Image.Resampling.BILINEAR,
            fillcolor=(128, 128, 128),
        )

    return change


PILLOW = {
    "brightness": lambda image: ImageEnhance.Brightness(image).enhance(1.45),
    "contrast": lambda image: ImageEnhance.Contrast(image).enhance(1.45),
    "saturation": lambda image: ImageEnhance.Color(image).enhance(1.45),
    "sharpness": lambda image: ImageEnhance.Sharpness(image).enhance(1.45),
    "autocontrast": ImageOps.autocontrast,
    "equalize": ImageOps.equalize,
    "invert": ImageOps.invert,
    "rotate": lambda image: image.rotate(-15, Image.Resampling.BILINEAR, fillcolor=(128, 128, 128)),
    "posterize": lambda image: ImageOps.posterize(image, 2),
    "solarize": lambda image: ImageOps.solarize(image, 128),
    "shear_x": shifted((1, 0.15, 0, 0, 1, 0)),
    "shear_y": shifted((1, 0, 0, 0.15, 1, 0)),
    "translate_x": shifted((1, 0, -0.225 * 64, 0, 1, 0)),
    "translate_y": shifted((1, 0, 0, 0, 1, -0.225 * 48)),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_operations_at_half_strength_are_pillows(name):
    expected = np.stack([np.asarray(PILLOW[name](Image.fromarray(frame))) for frame in FRAMES])
    difference = np.abs(apply(name, 0.5, 1.0).astype(int) - expected.astype(int))
    # A pixel at the border between the picture and the outside may be either.
    assert (difference > 3).mean() < 0.035


NEVER_NOTHING = ("autocontrast", "equalize", "invert", "posterize", "solarize")


@pytest.mark.parametrize("name", [name for name in OPERATIONS if name not in NEVER_NOTHING])
def test_strength_zero_changes_nothing(name):
    difference = np.abs(apply(name, 0.0, -1.0).astype(int) - FRAMES.astype(int))
    assert (difference > 1).mean() < 0.002


def test_all_frames_of_a_clip_get_the_same():
    step = RandAugment(magnitude=7, num_layers=4)
    frames = np.repeat(FRAMES[:1], 3, axis=0)
    changed = 0
    for seed in range(20):
        result = step(frames, np.random.default_rng(seed))
        assert result.dtype == np.uint8
        assert result.shape == frames.shape
        assert np.array_equal(result[0], result[1])
        assert np.array_equal(result[0], result[2])
        again = step(frames, np.random.default_rng(seed))
        assert np.array_equal(result, again)
        changed += not np.array_equal(result, frames)
    assert 15 <= changed <= 20


def test_operations_are_distinct_and_applied_with_their_probability(monkeypatch):
    calls = []

    def spy(name):
        def operation(video, level, sign, fill):
            calls.append((name, level, sign))
            return video

        return operation

    for name in OPERATIONS:
        monkeypatch.setitem(OPERATIONS, name, spy(name))
    step = RandAugment(magnitude=7, num_layers=4, prob=0.5, magnitude_std=0.5)
    rng = np.random.default_rng(0)
    sizes = []
    for _ in range(1500):
        before = len(calls)
        step(FRAMES[:1, :2, :2], rng)
        names = [name for name, _, _ in calls[before:]]
        assert len(set(names)) == len(names)
        sizes.append(len(names))
    assert np.mean(sizes) == pytest.approx(2, abs=0.1)
    names, levels, signs = zip(*calls, strict=True)
    counts = [names.count(name) for name in OPERATIONS]
    assert min(counts) > 0.75 * len(calls) / len(OPERATIONS)
    assert np.mean(levels) == pytest.approx(0.7, abs=0.005)
    assert np.std(levels) == pytest.approx(0.05, abs=0.005)
    assert np.mean(signs) == pytest.approx(0, abs=0.05)


def test_frames_that_are_not_rgb_are_refused():
    with pytest.raises(ValueError, match="2 channels"):
        RandAugment()(FRAMES[..., :2], np.random.default_rng(0))


def test_wrong_arguments_are_named():
    with pytest.raises(ValueError, match="num_layers=15"):
        RandAugment(num_layers=15)
    with pytest.raises(ValueError, match="magnitude=11"):
        RandAugment(magnitude=11)
