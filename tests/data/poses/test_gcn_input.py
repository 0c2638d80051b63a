import numpy as np
import pytest

from vidrec.data.poses.frames import take_frames
from vidrec.data.poses.gcn_input import FormatGCNInput

# Entry m, t, j, c is 1000 m + 100 t + 10 j + c.
NUMBERED = sum(
    scale * axis for scale, axis in zip((1000, 100, 10, 1), np.indices((3, 6, 2, 2)), strict=True)
)


def test_clips_come_first_and_later_persons_go():
    batch = FormatGCNInput(num_person=2)(NUMBERED, num_clips=3)
    assert batch.shape == (3, 2, 2, 2, 2)
    assert batch.dtype == np.float32
    assert batch[2, 1, 0, 1, 1] == 1411  # person 1, frame 4


def test_missing_persons_are_zero_or_the_only_one_again():
    one = NUMBERED[1:2]
    padded = FormatGCNInput(num_person=3)(one)
    assert (padded[0, 0] == one[0]).all()
    assert (padded[0, 1:] == 0).all()
    assert (FormatGCNInput(num_person=3, mode="loop")(one)[0] == one).all()
    two = FormatGCNInput(num_person=3, mode="loop")(NUMBERED[:2])
    assert (two[0, 2] == 0).all()


def test_the_score_becomes_the_last_channel():
    batch = FormatGCNInput()(NUMBERED, NUMBERED[..., 0] + 0.5)
    assert batch[0, 1, 2, 1].tolist() == [1210, 1211, 1210.5]


def test_frames_are_taken_in_order_and_again():
    keypoint, score = take_frames(NUMBERED, NUMBERED[..., 0], np.array([[5, 0], [0, 1]]))
    assert keypoint[1, :, 0, 0].tolist() == [1500, 1000, 1000, 1100]
    assert score[1, :, 1].tolist() == [1510, 1010, 1010, 1110]
    assert take_frames(NUMBERED, None, np.array([0]))[1] is None


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: FormatGCNInput(num_person=0), "num_person=0 is below 1"),
        (lambda: FormatGCNInput(mode="same"), "mode='same' is neither zero nor loop"),
        (lambda: FormatGCNInput()(NUMBERED, num_clips=4), "6 frames are not 4 clips"),
        (lambda: FormatGCNInput()(NUMBERED[0]), r"shape \(6, 2, 2\)"),
        (lambda: take_frames(NUMBERED, None, np.array([6])), "key points have 6 frames"),
    ],
)
def test_what_is_wrong_is_said(call, message):
    with pytest.raises(ValueError, match=message):
        call()
