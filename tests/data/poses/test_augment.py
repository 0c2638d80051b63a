import numpy as np
import pytest

from vidrec.data.poses.augment import (
    RandomGaussianNoise,
    RandomRot,
    RandomScale,
    plane_rotation,
    space_rotation,
)


def skeleton(channels=3, persons=2, frames=40):
    return np.random.default_rng(1).uniform(1, 3, (persons, frames, 25, channels))


@pytest.mark.parametrize("channels", [2, 3])
def test_a_rotation_keeps_lengths_and_is_the_same_for_all_frames(channels):
    keypoint = skeleton(channels)
    turned = RandomRot(0.3)(keypoint, np.random.default_rng(0))
    np.testing.assert_allclose(*(np.linalg.norm(k, axis=-1) for k in (turned, keypoint)))
    flat = [k.reshape(-1, channels) for k in (keypoint, turned)]
    matrix = np.linalg.lstsq(*flat, rcond=None)[0].T
    np.testing.assert_allclose(flat[0] @ matrix.T, flat[1], atol=1e-12)
    assert np.linalg.det(matrix) == pytest.approx(1)
    assert abs(turned - keypoint).max() > 1e-3
    if channels == 2:
        assert abs(np.arctan2(matrix[1, 0], matrix[0, 0])) <= 0.3


def test_angles_about_the_axes():
    quarter = np.pi / 2
    np.testing.assert_allclose(plane_rotation(quarter) @ [1, 0], [0, 1], atol=1e-15)
    turns = {0: ([0, 1, 0], [0, 0, -1]), 1: ([0, 0, 1], [-1, 0, 0]), 2: ([1, 0, 0], [0, -1, 0])}
    for axis, (before, after) in turns.items():
        matrix = space_rotation(quarter * np.eye(3)[axis])
        np.testing.assert_allclose(matrix @ before, after, atol=1e-15)
    x, y, z = (space_rotation(a * np.eye(3)[i]) for i, a in enumerate((0.1, 0.2, 0.3)))
    np.testing.assert_allclose(space_rotation(np.array([0.1, 0.2, 0.3])), z @ y @ x)


def test_each_coordinate_is_stretched_by_its_own_factor():
    keypoint = skeleton()
    factors = RandomScale((0.2, 0.0, 0.1))(keypoint, np.random.default_rng(0)) / keypoint
    assert np.ptp(factors, axis=(0, 1, 2)).max() < 1e-12
    assert factors[0, 0, 0, 1] == 1
    assert (abs(factors[0, 0, 0] - 1) <= [0.2, 0, 0.1]).all()
    assert abs(RandomScale(0.2)(keypoint, np.random.default_rng(0)) / keypoint - 1).max() <= 0.2


def test_noise_is_a_fraction_of_the_box_of_each_person():
    keypoint = skeleton(frames=400)
    keypoint[1] *= 10
    step = RandomGaussianNoise(0.05)
    distance = np.linalg.norm(step(keypoint, np.random.default_rng(0)) - keypoint, axis=-1)
    relative = distance / step.diagonal(keypoint)[..., None]
    assert np.sqrt((relative**2).mean(axis=(1, 2))) == pytest.approx([0.05, 0.05], rel=0.03)
    corners = keypoint[1, 3].max(axis=0) - keypoint[1, 3].min(axis=0)
    assert step.diagonal(keypoint)[1, 3] == pytest.approx(np.linalg.norm(corners))


def test_noise_of_the_video_may_be_shared():
    keypoint = skeleton()
    step = RandomGaussianNoise(0.05, base="video", shared=True)
    assert np.ptp(step.diagonal(keypoint)) == 0
    moved = step(keypoint, np.random.default_rng(0)) - keypoint
    np.testing.assert_allclose(moved, np.broadcast_to(moved[:1, :1], moved.shape), atol=1e-12)
    assert np.linalg.norm(moved[0, 0], axis=-1).min() > 0


@pytest.mark.parametrize("base", ["frame", "video"])
def test_absent_persons_stay_absent(base):
    keypoint = skeleton()
    keypoint[1] = 0
    step = RandomGaussianNoise(0.05, base=base)
    moved = step(keypoint, np.random.default_rng(0))
    assert (moved[1] == 0).all()
    assert (moved[0] != keypoint[0]).all()
    assert (step(0 * keypoint, np.random.default_rng(0)) == 0).all()


@pytest.mark.parametrize("step", [RandomRot(), RandomScale(), RandomGaussianNoise()])
def test_one_generator_gives_one_result_of_the_same_type(step):
    keypoint = skeleton().astype(np.float32)
    results = [step(keypoint, np.random.default_rng(seed)) for seed in (5, 5, 6)]
    assert results[0].dtype == np.float32
    assert (results[0] == results[1]).all()
    assert (results[0] != results[2]).any()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: RandomRot(-1), "theta=-1 is negative"),
        (lambda: RandomScale((0.1, -0.1)), "is negative"),
        (
            lambda: RandomScale((0.1, 0.1))(skeleton(), np.random.default_rng(0)),
            "2 numbers for 3 coordinates",
        ),
        (lambda: RandomGaussianNoise(-1), "sigma=-1 is negative"),
        (lambda: RandomGaussianNoise(base="clip"), "base='clip' is neither"),
        (lambda: RandomGaussianNoise(shared=True), "shared=true needs base='video'"),
    ],
)
def test_what_is_wrong_is_said(call, message):
    with pytest.raises(ValueError, match=message):
        call()
