import os
import pickle

import numpy as np
import pytest

from vidrec.data.poses.joints import Joints
from vidrec.data.poses.published import read_published

PAIR = Joints(["a", "b"], edges=[[1, 0]])


def annotation(name, **changes):
    made = {
        "frame_dir": name,
        "label": 3,
        "img_shape": (1080, 1920),
        "original_shape": (1080, 1920),
        "total_frames": 4,
        "keypoint": np.arange(16, dtype=np.float16).reshape(1, 4, 2, 2),
        "keypoint_score": np.full((1, 4, 2), 0.5, np.float16),
    }
    return {key: value for key, value in (made | changes).items() if value is not None}


@pytest.fixture
def written(tmp_path):
    def write(content):
        path = tmp_path / "poses.pkl"
        path.write_bytes(pickle.dumps(content))
        return str(path)

    return write


@pytest.fixture
def dataset(written):
    def write(*annotations, split=None):
        return written({"split": split or {"train": ["x"]}, "annotations": list(annotations)})

    return write


def test_the_clips_of_a_split_in_its_order(dataset):
    clips = [annotation("x"), annotation("y", label=np.int64(0)), annotation("z")]
    path = dataset(*clips, split={"train": ["y", "x"], "val": ["z"]})
    found = read_published(path, PAIR, split="train", num_classes=4)
    assert [(clip.name, clip.label) for clip in found] == [("y", 0), ("x", 3)]
    assert found[0].size == (1080, 1920)
    assert found[0].keypoint.dtype == np.float16
    assert type(found[0].keypoint) is type(found[0].score) is np.ndarray  # not the reader's class
    assert (found[0].keypoint == clips[1]["keypoint"]).all()
    assert (found[0].score == 0.5).all()
    assert [clip.name for clip in read_published(path, PAIR)] == ["x", "y", "z"]


def test_three_coordinates_have_neither_score_nor_size(dataset):
    solid = annotation("x", keypoint=np.ones((2, 4, 2, 3)), keypoint_score=None, img_shape=None)
    (clip,) = read_published(dataset(solid), PAIR)
    assert clip.score is None
    assert clip.size is None


def changed(array, index, value):
    array = array.copy()
    array[index] = value
    return array


KEYPOINT, SCORE = annotation("x")["keypoint"], annotation("x")["keypoint_score"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"keypoint": np.ones((1, 4, 3, 2))}, "clip 'x': keypoint has 3 joints, the layout has 2"),
        ({"keypoint": np.ones((0, 4, 2, 2))}, "clip 'x': keypoint has no persons"),
        ({"keypoint": np.ones((1, 0, 2, 2))}, "clip 'x': keypoint has no frames"),
        ({"keypoint": np.ones((4, 2, 2))}, "clip 'x': keypoint is float64 of shape"),
        ({"keypoint": [1]}, "clip 'x': keypoint is a list, not an array"),
        ({"total_frames": np.ones(2)}, "clip 'x': total_frames is float64 of shape"),
        ({"total_frames": 5}, "clip 'x': total_frames is 5, but keypoint has 4 frames"),
        (
            {"keypoint": changed(KEYPOINT, (0, 2, 1, 0), np.nan)},
            "clip 'x', frame 2: keypoint of person 0, joint 1 is not finite",
        ),
        (
            {"keypoint_score": changed(SCORE, (0, 3, 0), np.inf)},
            "clip 'x', frame 3: keypoint_score of person 0, joint 0 is not finite",
        ),
        (
            {"keypoint_score": changed(SCORE, (0, 1, 1), 1.5)},
            r"clip 'x', frame 1: the score of person 0, joint 1 is 1.5, outside \[0, 1\]",
        ),
        ({"keypoint_score": -SCORE}, "the score of person 0, joint 0 is -0.5"),
        ({"keypoint_score": SCORE[:, :3]}, r"clip 'x': keypoint_score is float16 of shape"),
        ({"keypoint": np.ones((1, 4, 2, 3))}, "keypoint_score is of 2D key points"),
        ({"label": 4}, "clip 'x': label 4 is not a class; classes are 0 to 3"),
        ({"label": -1}, "clip 'x': label -1 is not a class"),
        ({"label": "run"}, "clip 'x': label 'run' is not a class number"),
        ({"img_shape": (0, 2)}, "clip 'x': img_shape is"),
        ({"label": None}, "annotation 0 has no 'label'"),
    ],
)
def test_the_file_the_clip_and_the_frame_are_named(dataset, changes, message):
    path = dataset(annotation("x", **changes))
    with pytest.raises(ValueError, match=f"^{path}: {message}|^{path}: .*{message}"):
        read_published(path, PAIR, split="train", num_classes=4)


def test_scores_a_little_beyond_one_may_be_admitted(dataset):
    path = dataset(annotation("x", keypoint_score=SCORE + 0.55))
    assert read_published(path, PAIR, max_score=1.1)[0].score.max() > 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([1], "is not a dictionary"),
        ({"split": {}}, "is not a dictionary"),
        ({"annotations": [1]}, "annotation 0 is a int, not a dictionary"),
        ({"annotations": 2 * [annotation("x")]}, "the clip 'x' is annotated twice"),
        ({"annotations": [annotation("x")]}, "has no splits"),
        (
            {"annotations": [annotation("x")], "split": {"xsub_train": ["x"]}},
            "has no split 'train'; did you mean|has no split 'train'; there are",
        ),
        ({"annotations": [annotation("x")], "split": {"train": []}}, "is not a list of clips"),
        (
            {"annotations": [annotation("x")], "split": {"train": ["x", "a", "b"]}},
            "split 'train' has 2 clips without an annotation, the first is 'a'",
        ),
    ],
)
def test_what_is_wrong_with_a_file_is_said(written, content, message):
    with pytest.raises(ValueError, match=message):
        read_published(written(content), PAIR, split="train")


def test_code_in_a_file_is_refused(written):
    with pytest.raises(ValueError, match=r"contains .*system, which is not data"):
        read_published(written({"annotations": [os.system]}), PAIR)


def test_damaged_and_missing_files(tmp_path, dataset):
    damaged = tmp_path / "cut.pkl"
    with open(dataset(annotation("x")), "rb") as whole:
        damaged.write_bytes(whole.read()[:200])
    with pytest.raises(ValueError, match=r"cut.pkl is not a pickle of key points"):
        read_published(str(damaged), PAIR)
    with pytest.raises(FileNotFoundError, match="does not exist"):
        read_published(str(tmp_path / "no.pkl"), PAIR)
