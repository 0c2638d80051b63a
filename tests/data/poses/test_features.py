import numpy as np
import pytest

from vidrec.data.poses.features import GenSkeFeat
from vidrec.data.poses.joints import Joints

CHAIN = Joints(["a", "b"], edges=[[1, 0]], bones=[[0, 0], [1, 0]])
KEYPOINT = np.array([[[[1, 2], [4, 6]], [[2, 2], [9, 9]]]], np.float32)
SCORE = np.array([[[1.0, 0.5], [0.6, 0.2]]], np.float32)


def features(name, *arrays):
    return GenSkeFeat(CHAIN, [name])(*arrays).tolist()


def test_bones_and_motion_are_differences_and_scores_are_means():
    def scored(rows):
        return pytest.approx(np.array(rows, np.float32), abs=1e-6)

    def of(name):
        return GenSkeFeat(CHAIN, [name])(KEYPOINT, SCORE)[0]

    assert of("b") == scored([[[0, 0, 1], [3, 4, 0.75]], [[0, 0, 0.6], [7, 7, 0.4]]])
    assert of("jm") == scored([[[1, 0, 0.8], [5, 3, 0.35]], [[0, 0, 0], [0, 0, 0]]])
    assert of("bm") == scored([[[0, 0, 0.8], [4, 3, 0.575]], [[0, 0, 0], [0, 0, 0]]])


def test_the_third_coordinate_is_no_score():
    keypoint = np.concatenate([KEYPOINT, SCORE[..., None]], axis=-1)
    bone = GenSkeFeat(CHAIN, ["b"])(keypoint)
    assert bone[0, 0, 1].tolist() == [3, 4, -0.5]


def test_features_come_in_the_order_asked_for():
    both = GenSkeFeat(CHAIN, ["bm", "j"])(KEYPOINT)
    assert both[..., :2].tolist() == features("bm", KEYPOINT)
    assert both[..., 2:].tolist() == KEYPOINT.tolist()


def test_a_single_frame_has_no_motion():
    assert features("jm", KEYPOINT[:, :1]) == np.zeros((1, 1, 2, 2)).tolist()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: GenSkeFeat(CHAIN, ["jb"]), "feats has 'jb'; "),
        (lambda: GenSkeFeat(CHAIN, "jm"), "feats='jm' is not a list"),
        (lambda: GenSkeFeat(CHAIN, []), r"feats=\[\] is not a list"),
        (lambda: GenSkeFeat(Joints(["a"], []), ["b"]), "needs joints with bones"),
        (lambda: GenSkeFeat(CHAIN)(np.zeros((1, 1, 3, 2))), "3 joints, the layout has 2"),
        (lambda: GenSkeFeat(CHAIN)(np.zeros((1, 1, 2, 3)), SCORE[:, :1]), "with 2 coordinates"),
    ],
)
def test_what_is_wrong_is_said(call, message):
    with pytest.raises(ValueError, match=message):
        call()
