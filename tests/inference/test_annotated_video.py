"""Annotated videos have the frames and the times of their source, with the drawing where it is due.

The source is grey, each frame of a grey level of its own, so that frames can be told apart.
"""

import av
import numpy as np
import pytest

from vidrec.data.video.decoder import VideoError
from vidrec.data.video.writer import VideoWriter
from vidrec.inference.annotated_video import write_annotated
from vidrec.inference.prediction import KeyFrame, Moment, Person, Prediction, ScoredClass, Segment

UNEVEN = [0.0, 0.1, 0.2, 0.5, 0.6, 1.1, 1.2, 1.9]
BOX_COLOUR = (130, 195, 255)
BLUE, ORANGE = (47, 109, 179), (224, 130, 20)  # of the first segments


@pytest.fixture
def video(tmp_path):
    path = tmp_path / "grey.mp4"
    with VideoWriter(path, (200, 120), 10) as writer:
        for number, second in enumerate(UNEVEN):
            writer.write(np.full((120, 200, 3), level(number), np.uint8), second)
    return path


def level(number):
    return 20 + 20 * number


def annotated(video, task, **found):
    """(times, frames (F, H, W, 3)) of the annotated video."""
    target = video.parent / "out" / "annotated.mp4"
    write_annotated(Prediction(str(video), "best.pt", task, "1 clip", **found), target)
    with av.open(str(target)) as container:
        frames = list(container.decode(video=0))
    pixels = np.stack([frame.to_ndarray(format="rgb24") for frame in frames]).astype(int)
    return [frame.time for frame in frames], pixels


def classes(*names):
    return [ScoredClass(0, name, 0.5) for name in names]


def near(pixels, colour, tolerance=40):
    return (np.abs(pixels - np.array(colour)).max(axis=-1) < tolerance).any()


def test_frames_and_their_times_are_those_of_the_source(video):
    times, frames = annotated(video, "recognition", topk=classes("a"))
    assert times == pytest.approx(UNEVEN, abs=1e-3)
    assert frames.shape[1:3] == (360, 600)  # enlarged, so that text can be read
    corner = frames[:, -40:, -40:].mean(axis=(1, 2, 3))
    assert corner == pytest.approx([level(n) for n in range(len(UNEVEN))], abs=4)


def test_labels_follow_the_parts_of_the_video(video):
    """The bar of a label is as long as its score: long in the first part, short in the second."""
    timeline = [
        Moment(0.0, 0.55, [ScoredClass(0, "a", 1.0)]),
        Moment(0.55, 2.0, [ScoredClass(1, "b", 0.1)]),
    ]
    _, frames = annotated(video, "recognition", timeline=timeline)
    blue = (frames[..., 2] - frames[..., 0] > 60).sum(axis=(1, 2))
    assert blue[:4].min() > 4 * blue[4:].max() > 0


def test_boxes_are_where_they_were_found_and_only_around_their_key_frames(video):
    boxes = [(0.25, 0.5, 0.5, 1.0)]
    key_frames = [
        KeyFrame(t, [Person(box, 1.0, classes("sit")) for box in boxes]) for t in (0, 0.5)
    ]
    _, frames = annotated(video, "detection", key_frames=key_frames)
    edge = frames[:, 200:340, 148:153]  # the left edge of the box, below its text
    assert [near(part, BOX_COLOUR) for part in edge] == [t <= 0.75 for t in UNEVEN]
    assert not near(frames[:, :, 320:], BOX_COLOUR)


def test_the_position_moves_along_the_bar_and_current_segments_are_named(video):
    segments = [Segment(0.45, 1.0, 0.9, "jump"), Segment(0.0, 0.05, 0.5, "run")]
    times, frames = annotated(video, "localization", segments=segments)
    white = frames[:, -8].min(axis=-1) > 200
    places = [np.flatnonzero(row).mean() / 600 for row in white]
    assert np.argsort(places).tolist() == list(range(len(UNEVEN)))
    assert places[-1] == pytest.approx(times[-1] / 2.0, abs=0.06)
    panel = frames[:, 280:330, 10:90].reshape(len(times), -1, 3)
    for colour, start, end in ((BLUE, 0.45, 1.0), (ORANGE, 0.0, 0.05)):
        named = [near(part, colour) for part in panel]
        assert named == [start <= t < end for t in UNEVEN]


@pytest.mark.parametrize("task", ["recognition", "detection", "localization"])
def test_a_video_in_which_nothing_was_found_is_the_video(task, video):
    times, _ = annotated(video, task)
    assert times == pytest.approx(UNEVEN, abs=1e-3)


def test_names_of_any_kind_are_drawn(video):
    names = ["", "x" * 3000, "腕相撲 🥋", "<b>$x_1$", "\n\t\x00", "ذراع"]
    person = Person((0.1, 0.1, 0.9, 0.9), 1.0, classes(*names))
    for task, found in {
        "recognition": {"topk": classes(*names)},
        "detection": {"key_frames": [KeyFrame(0.5, [person, person])]},
        "localization": {"segments": [Segment(0.0, 1.0, 0.5, name) for name in names]},
    }.items():
        annotated(video, task, **found)


def test_what_cannot_be_read_leaves_the_file_as_it_was(tmp_path):
    broken, target = tmp_path / "broken.mp4", tmp_path / "annotated.mp4"
    broken.write_bytes(b"no video")
    target.write_bytes(b"before")
    with pytest.raises(VideoError, match=r"broken\.mp4: not a readable video"):
        write_annotated(Prediction(str(broken), "best.pt", "detection", ""), target)
    assert target.read_bytes() == b"before"
    assert {path.name for path in tmp_path.iterdir()} == {"broken.mp4", "annotated.mp4"}
