import numpy as np
import pytest

from tests.data.poses.layouts import COCO
from vidrec.data.poses.joints import Joints
from vidrec.data.poses.spatial import PoseCompact, apply_plan, mirror
from vidrec.data.transforms.geometric import (
    CenterCrop,
    Flip,
    RandomResizedCrop,
    Resize,
    TenCrop,
)
from vidrec.data.transforms.pipeline import Pipeline

PAIR = Joints(["left", "right"], edges=[[0, 1]], left=[0], right=[1])
BOX = np.array([[[[10, 20], [50, 40]]]], np.float32)  # 40 wide, 20 high


def planned(width, height, *steps, seed=0):
    named = {str(number): step for number, step in enumerate(steps)}
    return Pipeline(named).plan(width, height, np.random.default_rng(seed))


def test_the_box_around_all_frames_is_enlarged():
    keypoint, size = PoseCompact()(BOX, (100, 200))
    assert size == (25, 50)  # from 5, 17.5 to 55, 42.5, cut to whole pixels
    assert keypoint.tolist() == [[[[5, 3], [45, 23]]]]
    keypoint, size = PoseCompact(hw_ratio=1)(BOX, (100, 200))
    assert size == (50, 50)
    assert keypoint.tolist() == [[[[5, 15], [45, 35]]]]
    assert PoseCompact(hw_ratio=(0.25, 0.4))(BOX, (100, 200))[1] == (25, 62)


def test_the_box_may_reach_beyond_the_frame_or_not():
    assert PoseCompact(padding=1)(BOX, (45, 55))[1] == (40, 80)
    keypoint, size = PoseCompact(padding=1, allow_imgpad=False)(BOX, (45, 55))
    assert size == (35, 55)
    assert keypoint.tolist() == [[[[10, 10], [50, 30]]]]
    outside = BOX + 500
    kept, size = PoseCompact(allow_imgpad=False)(outside, (45, 55))
    assert size == (45, 55)
    assert (kept == outside).all()


def test_absent_joints_do_not_count_and_stay_zero():
    keypoint = np.concatenate([BOX, np.zeros((1, 1, 1, 2)), np.full((1, 1, 1, 2), np.nan)], axis=2)
    compact, size = PoseCompact()(keypoint, (100, 200))
    assert size == (25, 50)
    assert compact[0, 0].tolist() == [[5, 3], [45, 23], [0, 0], [0, 0]]
    assert PoseCompact()(np.zeros((1, 2, 3, 2)), (100, 200))[1] == (100, 200)


def test_small_boxes_stay():
    keypoint, size = PoseCompact(threshold=21)(BOX, (100, 200))
    assert size == (100, 200)
    assert (keypoint == BOX).all()


def test_mirrored_twice_is_the_same():
    keypoint = np.random.default_rng(0).uniform(1, 60, (2, 3, 17, 2))
    keypoint[1, 1, 4] = 0
    once = mirror(keypoint, 64, COCO)
    np.testing.assert_allclose(once[0, 0, 1], [64 - keypoint[0, 0, 2, 0], keypoint[0, 0, 2, 1]])
    assert (once[1, 1, 3] == 0).all()
    np.testing.assert_allclose(mirror(once, 64, COCO), keypoint)


def test_steps_move_key_points_as_they_move_frames():
    """Oracle: single steps of the reference, one after another."""
    keypoint = np.random.default_rng(0).uniform(1, 60, (1, 2, 2, 2))
    score = np.array([[[0.1, 0.9], [0.2, 0.8]]])
    crop = RandomResizedCrop((0.56, 1.0))
    plan = planned(128, 64, Resize((-1, 32)), crop, Resize((28, 14), False), Flip(1.0), seed=7)
    left, top, width, height = crop.box(64, 32, np.random.default_rng(7))
    expected = keypoint / 2 - [left, top]
    expected = expected * [28 / width, 14 / height]
    expected[..., 0] = 28 - expected[..., 0]
    moved, swapped = apply_plan(plan, keypoint, score, PAIR)
    np.testing.assert_allclose(moved, expected[:, :, ::-1], atol=1e-12)
    assert swapped.tolist() == score[:, :, ::-1].tolist()


def test_zeros_stay_until_a_crop():
    zeros = np.zeros((1, 1, 2, 2), np.float32)
    scaled, _ = apply_plan(planned(60, 40, Resize((-1, 20)), Flip(1.0)), zeros, None, PAIR)
    assert (scaled == 0).all()
    assert scaled.dtype == np.float32
    cropped, _ = apply_plan(planned(60, 40, CenterCrop(20)), zeros, None, PAIR)
    assert (cropped == [-20, -10]).all()


def test_upside_down_nobody_changes_sides():
    plan = planned(60, 40, Flip(1.0, direction="vertical"))
    moved, score = apply_plan(plan, BOX[..., :2, :], np.ones((1, 1, 2)), PAIR)
    assert moved.tolist() == [[[[10, 20], [50, 0]]]]
    assert score.tolist() == [[[1, 1]]]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: PoseCompact(padding=-1), "padding=-1 is negative"),
        (lambda: PoseCompact(hw_ratio=(2, 1)), "hw_ratio=.* is not a positive number or"),
        (lambda: PoseCompact(hw_ratio=0), "hw_ratio=0 is not"),
        (lambda: PoseCompact()(np.zeros((1, 2, 3, 3)), (4, 4)), "with 2 coordinates"),
        (lambda: mirror(BOX, 60, COCO), "2 joints, the layout has 17"),
        (
            lambda: apply_plan(planned(60, 40, TenCrop(20)), BOX, None, PAIR),
            "the plan cuts 10 views",
        ),
    ],
)
def test_what_is_wrong_is_said(call, message):
    with pytest.raises(ValueError, match=message):
        call()
