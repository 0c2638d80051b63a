import numpy as np
import pytest

from vidrec.data.poses.decompress import DecompressPose


def rows(scores, joints=2):
    """Row k has x = k, y = 10 k and everywhere the k-th score."""
    number = np.arange(len(scores), dtype=float)[:, None]
    columns = [number, 10 * number, np.array(scores, float)[:, None]]
    return np.stack([np.broadcast_to(column, (len(scores), joints)) for column in columns], -1)


def test_the_kth_row_of_a_frame_is_person_k():
    frames = np.array([0, 2, 2, 5])
    keypoint, score = DecompressPose()(rows([0.5, 0.25, 1, 0.75]), frames, 7)
    assert (keypoint.dtype, score.dtype) == (np.float16, np.float16)
    assert keypoint.shape == (2, 3, 2, 2)  # frames without persons are left out
    assert keypoint[:, :, 0, 0].tolist() == [[0, 1, 3], [0, 2, 0]]
    assert keypoint[:, :, 1, 1].tolist() == [[0, 10, 30], [0, 20, 0]]
    assert score[:, :, 0].tolist() == [[0.5, 0.25, 0.75], [0, 1, 0]]


def test_empty_frames_may_stay():
    keypoint, score = DecompressPose(squeeze=False)(rows([1, 1]), np.array([1, 4]), 6)
    assert score[0, :, 0].tolist() == [0, 1, 0, 0, 1, 0]
    assert keypoint.shape == (1, 6, 2, 2)


def test_persons_are_sorted_by_score_only_if_there_are_too_many():
    frames = np.array([0, 0, 0, 1, 1])
    scores = [0.25, 1, 0.5, 0.25, 0.75]
    _, score = DecompressPose(max_person=2)(rows(scores), frames, 2)
    assert score[:, :, 0].tolist() == [[1, 0.75], [0.5, 0.25]]
    _, score = DecompressPose(max_person=3)(rows(scores), frames, 2)
    assert score[:, :, 0].tolist() == [[0.25, 0.25], [1, 0.75], [0.5, 0]]


def test_equal_scores_keep_their_order_and_persons_without_one_come_before_nobody():
    keypoint, _ = DecompressPose(max_person=2)(rows([1, 1, 1, 0]), np.array([0, 0, 0, 1]), 2)
    assert keypoint[:, :, 0, 0].tolist() == [[0, 3], [1, 0]]


def test_rows_may_be_chosen():
    chosen = np.array([0, 2])
    keypoint, _ = DecompressPose()(rows([1, 1, 1]), np.array([0, 0, 1]), 2, chosen)
    assert keypoint[:, :, 0, 0].tolist() == [[0, 2]]


@pytest.mark.parametrize(
    ("keypoint", "frames", "message"),
    [
        (rows([1, 1])[..., :2], [0, 1], "not .rows, joints, 3."),
        (rows([1, 1]), [0], "for 2 rows"),
        (rows([]), [], "no persons"),
        (rows([1, 1]), [1, 0], "frame 0 of row 1 comes after frame 1"),
        (rows([1, 1]), [0, 9], "reaches from 0 to 9, but the video has 5 frames"),
        (rows([1, 1]), [-1, 2], "reaches from -1"),
    ],
)
def test_what_is_wrong_is_said(keypoint, frames, message):
    with pytest.raises(ValueError, match=message):
        DecompressPose()(keypoint, np.array(frames, dtype=int), 5)
    with pytest.raises(ValueError, match="max_person=0 is below 1"):
        DecompressPose(max_person=0)
