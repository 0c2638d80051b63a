"""Moments around key frames, and the frames that show them.

tests/golden/detection.json.gz: frame numbers computed with MMAction2 1.2.0.
"""

import gzip
import json
from pathlib import Path

import av
import numpy as np
import pytest

from tests.paths import GOLDEN
from vidrec.data.boxes.key_frames import (
    FrameFolders,
    KeyFrameSampling,
    Movies,
    NumberedFrames,
    check_videos,
    find_videos,
    frame_indices,
)
from vidrec.data.boxes.records import KeyFrame
from vidrec.data.video.decoder import VideoError
from vidrec.data.video.geometry import CropPlan
from vidrec.data.video.writer import write_video

FIGURES = GOLDEN / "detection.json.gz"
NONE = np.zeros((0, 4), np.float32)


def rng(seed=0):
    return np.random.default_rng(seed)


def key_frame(video, timestamp):
    return KeyFrame(video, timestamp, NONE, (), NONE, NONE[:, 0])


def brightness(source, indices):
    """Mean grey of each frame, one pixel each."""
    plan = CropPlan((0, 0, source.width, source.height), (1, 1))
    return source.read(indices, plan).reshape(len(indices), -1).mean(axis=1)


def test_frames_around_key_frames_are_those_of_the_reference():
    with gzip.open(FIGURES, "rt") as file:
        rows = json.load(file)["sampling"]["rows"]
    assert len(rows) > 50
    for clip_len, interval, timestamp, begin, fps, num_frames, expected in rows:
        moments = KeyFrameSampling(clip_len, interval, fps)(timestamp, rng())
        assert frame_indices(moments, begin, fps, num_frames).tolist() == expected


@pytest.mark.parametrize("jitter", [False, True])
def test_sampling_says_how_many_clips_of_which_frames_it_returns(jitter):
    sampling = KeyFrameSampling(8, 5, fps=30, jitter=jitter)
    clip = sampling(10.0, rng())
    assert (sampling.num_views, clip.shape) == (1, (sampling.clip_len,))
    steps = np.diff(clip) * 30
    assert np.abs(steps - sampling.frame_interval).max() < (5 if jitter else 1e-6)


def test_jitter_moves_each_frame_by_less_than_half_an_interval():
    plain = KeyFrameSampling(8, 5)(10.0, rng())
    sampling = KeyFrameSampling(8, 5, jitter=True)
    moved = np.stack([sampling(10.0, rng(seed)) - plain for seed in range(300)]) * 30
    assert set(np.rint(moved).astype(int).reshape(-1)) == {-3, -2, -1, 0, 1, 2}
    assert np.ptp(moved[0]) > 0


def test_a_clock_that_counts_frames():
    moments = KeyFrameSampling(4, 2, fps=1)(7, rng())
    assert moments.tolist() == [3, 5, 7, 9]


def grey_video(path, count=60, rate=15, start=0):
    frames = np.empty((count, 32, 48, 3), np.uint8)
    frames[:] = (4 * np.arange(count)).reshape(-1, 1, 1, 1)
    write_video(path, frames, rate)


def test_movies_show_the_moment_whatever_the_rate_of_the_file(tmp_path):
    """15 frames a second: frame 2 k is on display at second 2 k / 15 and until the next."""
    grey_video(tmp_path / "m.mp4")
    moments = 900 + np.array([0.0, 1.0, 1.05, 2.0, 59 / 15, 4.9, -3.0])
    source, indices = Movies(begin=900).open(str(tmp_path / "m.mp4"), key_frame("m", 901), moments)
    with source:
        np.testing.assert_allclose(
            brightness(source, indices) / 4, [0, 15, 15, 30, 59, 59, 0], atol=0.4
        )


def test_clips_of_kinetics_begin_where_their_names_say(tmp_path):
    path = tmp_path / "abc_000010_000020.mp4"
    grey_video(path)
    record = key_frame("abc_000010_000020", 12)
    source, indices = Movies(begin=None).open(str(path), record, np.array([12.0]))
    np.testing.assert_allclose(brightness(source, indices) / 4, [30], atol=0.4)


def test_numbered_frames(tmp_path):
    grey_video(tmp_path / "v.mp4")
    reader = NumberedFrames(timestamp_start=1)
    moments = np.array([-4.0, 1.0, 8.0, 100.0])
    source, indices = reader.open(str(tmp_path / "v.mp4"), key_frame("v", 1), moments)
    np.testing.assert_allclose(brightness(source, indices) / 4, [0, 0, 7, 59], atol=0.4)


def test_folders_of_frames(tmp_path):
    """File img_00001 is second 900."""
    folder = tmp_path / "video"
    folder.mkdir()
    for number in range(1, 91):
        picture = np.full((8, 8, 3), 2 * number, np.uint8)
        with av.open(str(folder / f"img_{number:05d}.jpg"), "w", format="image2") as file:
            stream = file.add_stream("mjpeg", rate=1, width=8, height=8)
            stream.pix_fmt = "yuvj420p"
            file.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
    reader = FrameFolders(timestamp_start=900)
    for moments in ([902.0, 901.0], [902.5]):
        source, indices = reader.open(str(folder), key_frame("video", 902), np.array(moments))
        expected = [min(2 * (30 * (m - 900) + 1), 180) for m in moments]
        np.testing.assert_allclose(brightness(source, indices), expected, atol=2)
    late, indices = reader.open(str(folder), key_frame("video", 902), np.array([905.0, 880.0]))
    np.testing.assert_allclose(brightness(late, indices), [180, 2], atol=2)


def test_names_may_lack_the_ending(tmp_path):
    (tmp_path / "sub").mkdir()
    for name in ("a.mkv", "sub/b.webm", "c.mp4"):
        (tmp_path / name).touch()
    paths = find_videos(("a", "sub/b", "c.mp4", "gone"), str(tmp_path))
    assert [Path(path).relative_to(tmp_path).as_posix() for path in paths] == [
        "a.mkv",
        "sub/b.webm",
        "c.mp4",
        "gone",
    ]
    with pytest.raises(VideoError, match=r"1 of 4 videos are missing under .*gone.*skip"):
        check_videos(paths, str(tmp_path), must=True)
    check_videos(paths, str(tmp_path), must=False)
    with pytest.raises(VideoError, match=r"1 of 1 videos are missing .*data\.train\.prefix"):
        check_videos(paths[3:], str(tmp_path), must=False)
