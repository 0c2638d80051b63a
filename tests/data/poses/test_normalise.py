import numpy as np
import pytest

from vidrec.data.poses.normalise import PreNormalize2D, PreNormalize3D, rotation_onto


def test_edges_of_the_frame_become_one_and_unsure_joints_the_centre():
    keypoint = np.array([[[[0, 0], [320, 240], [160, 120], [320, 240]]]], np.float16)
    score = np.array([[[1, 0.5, 1, 0.1]]])
    normalised = PreNormalize2D(threshold=0.1)(keypoint, score, (240, 320))
    assert normalised.tolist() == [[[[-1, -1], [1, 1], [0, 0], [0, 0]]]]
    assert keypoint[0, 0, 3, 0] == 320  # the input stays


def test_frames_of_unknown_size_have_that_of_the_configuration():
    keypoint = np.array([[[[1920.0, 0.0]]]])
    assert PreNormalize2D()(keypoint).tolist() == [[[[1, -1]]]]


def test_auto_scales_the_box_of_the_joints_that_are_present():
    keypoint = np.array([[[[10, 20], [30, 60], [900, 900]]]], np.float32)
    score = np.array([[[1, 1, 0]]])
    fitted = PreNormalize2D(mode="auto")
    assert fitted(keypoint, score).tolist() == [[[[-1, -1], [1, 1], [0, 0]]]]
    small = np.array([[[[10, 20], [20, 60]]]], np.float32)
    assert (fitted(small) == small).all()
    assert (fitted(keypoint, 0 * score) == 0).all()


def bodies(frames=5, persons=2, joints=25):
    return np.random.default_rng(3).normal(size=(persons, frames, joints, 3))


def test_the_first_frame_of_the_main_person_is_upright_and_faces_one_way():
    first = PreNormalize3D()(bodies())[0, 0]
    np.testing.assert_allclose(first[1], 0, atol=1e-12)
    # The last rotation is that of the shoulders.
    shoulders = first[8] - first[4]
    np.testing.assert_allclose(shoulders[1:], 0, atol=1e-12)
    assert shoulders[0] > 0
    upright = PreNormalize3D(align_shoulder=False)(bodies())[0, 0]
    spine = upright[1] - upright[0]
    np.testing.assert_allclose(spine[:2], 0, atol=1e-12)
    assert spine[2] > 0


def test_distances_stay():
    skeleton = bodies()
    normalised = PreNormalize3D()(skeleton)
    for points in (skeleton, normalised):
        points -= points[0, 0, 3].copy()
    lengths = (np.linalg.norm(points, axis=-1) for points in (skeleton, normalised))
    np.testing.assert_allclose(*lengths, atol=1e-12)


def test_who_is_present_in_more_frames_comes_first_and_frames_without_them_go():
    skeleton = bodies(frames=4)
    skeleton[0, :2] = 0
    skeleton[1, 3] = 0
    step = PreNormalize3D(align_spine=False, align_shoulder=False, align_center=False)
    assert (step(skeleton) == skeleton[[1, 0], :3]).all()
    skeleton[1, 0] = 0  # of equals the first
    assert (step(skeleton) == skeleton[:, 2:]).all()
    assert step(np.zeros((2, 4, 25, 3))).shape == (2, 4, 25, 3)


def test_absent_joints_stay_zero():
    skeleton = bodies()
    skeleton[1] = 0
    skeleton[0, 2, 7] = 0
    normalised = PreNormalize3D()(skeleton)
    assert (normalised[1] == 0).all()
    assert (normalised[0, 2, 7] == 0).all()


def test_other_layouts_have_their_middle_in_the_last_joint():
    assert (PreNormalize3D(xaxis=(3, 4))(bodies(joints=6))[0, 0, -1] == 0).all()


def test_vectors_turn_onto_an_axis():
    z = np.array([0.0, 0.0, 1.0])
    for vector in np.random.default_rng(0).normal(size=(20, 3)):
        matrix = rotation_onto(vector, z)
        np.testing.assert_allclose(matrix @ vector, z * np.linalg.norm(vector), atol=1e-12)
        np.testing.assert_allclose(matrix @ matrix.T, np.eye(3), atol=1e-12)
    for vector in (0 * z, 2 * z, -z):
        assert (rotation_onto(vector, z) == np.eye(3)).all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: PreNormalize2D(img_shape=(0, 3)), r"img_shape=\[0, 3\] is not"),
        (lambda: PreNormalize2D(mode="best"), "mode='best' is neither fix nor auto"),
        (lambda: PreNormalize2D()(np.zeros((1, 2, 3, 3))), "with 2 coordinates"),
        (
            lambda: PreNormalize2D()(np.zeros((1, 2, 3, 2)), np.zeros((1, 2, 4))),
            r"scores have the shape \(1, 2, 4\)",
        ),
        (lambda: PreNormalize3D(zaxis=(0, 1, 2)), "zaxis=.* is not two joints"),
        (lambda: PreNormalize3D()(np.zeros((3, 2, 25, 3))), "the clip has 3 persons"),
        (lambda: PreNormalize3D()(np.ones((1, 2, 5, 3))), "joint 8, which does not exist"),
    ],
)
def test_what_is_wrong_is_said(call, message):
    with pytest.raises(ValueError, match=message):
        call()
