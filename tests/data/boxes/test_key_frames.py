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
from vidrec.data.boxes.annotations import read_ava
from vidrec.data.boxes.dataset import BoxDataset
from vidrec.data.boxes.key_frames import (
    FrameFolders,
    KeyFrameSampling,
    Movies,
    NumberedFrames,
    check_index,
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


def write_pause(path, sound=False):
    """Frames at 0, 0.1, ..., 0.9 and 3 seconds; the sound goes on until 5."""
    with av.open(str(path), "w") as file:
        stream = file.add_stream("mpeg4", rate=10, width=32, height=32)
        stream.pix_fmt = "yuv420p"
        audio = file.add_stream("pcm_s16le", rate=8000) if sound else None
        for time in [*range(10), 30]:
            frame = av.VideoFrame.from_ndarray(np.full((32, 32, 3), 8 * time, np.uint8), "rgb24")
            frame.pts = time
            file.mux(stream.encode(frame))
        file.mux(stream.encode())
        if audio is not None:
            samples = av.AudioFrame.from_ndarray(np.zeros((1, 40000), np.int16), layout="mono")
            samples.rate = 8000
            file.mux([*audio.encode(samples), *audio.encode()])


FRAME_NUMBERS = NumberedFrames(timestamp_start=1)


@pytest.mark.parametrize(
    ("reader", "inside", "outside", "message"),
    [
        (Movies(), [-0.06, 0, 4.03], [300, 4.08, -0.07], "goes from 0 to 4 .4.00 s from begin=0"),
        (Movies(begin=900), [900, 902, 904], [2, 0.5, 905], "goes from 900 to 904 "),
        (FRAME_NUMBERS, [0, 1, 60, 61], [-1, 62, 900], "goes from 1 to 61 .60 frames from"),
        (NumberedFrames(), [59, 60], [61], "goes from 0 to 60 .60 frames from"),
    ],
)
def test_a_key_frame_outside_of_its_video_is_refused(tmp_path, reader, inside, outside, message):
    """60 frames in 4 seconds; the neighbours of a key frame may lie outside, but not itself."""
    path = str(tmp_path / "v.mp4")
    grey_video(path)
    for time in inside:
        reader.check(path, key_frame("v", time))
        source, indices = reader.open(path, key_frame("v", time), time + np.array([-9.0, 0, 9]))
        source.close()
        assert len(indices) == 3
    for time in outside:
        text = rf"v\.mp4: the key frame 'v,\S+' is outside of the video, which {message}"
        for moments in (np.array([time]), np.array([1.0, 2.0])):
            with pytest.raises(ValueError, match=text):
                reader.open(path, key_frame("v", time), moments)
        with pytest.raises(ValueError, match=text):
            reader.check(path, key_frame("v", time))


def test_the_header_of_a_movie_is_not_believed(tmp_path):
    """Sound that goes on is no picture, and a pause between two frames is no end."""
    for name in ("v.mkv", "sound.mkv"):
        write_pause(tmp_path / name, sound=name == "sound.mkv")
        for time in (0.5, 2.0, 3.15):
            record = key_frame("v", time)
            source, _ = Movies().open(str(tmp_path / name), record, np.array([time]))
            source.close()
        with pytest.raises(ValueError, match=r"goes from 0 to 3\.1 "):
            Movies().open(str(tmp_path / name), key_frame("v", 4.0), np.array([1.0]))


def frame_folder(path, count):
    """Files whose first one alone is a picture."""
    path.mkdir()
    for number in range(1, count + 1):
        (path / f"img_{number:05d}.jpg").touch()
    with av.open(str(path / "img_00001.jpg"), "w", format="image2") as file:
        stream = file.add_stream("mjpeg", rate=1, width=8, height=8)
        stream.pix_fmt = "yuvj420p"
        file.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((8, 8, 3), np.uint8), "rgb24")))


def test_the_published_key_frames_of_ava_are_inside_of_their_folders(tmp_path):
    """15 minutes from second 900 on; the first annotated second is 902, the last 1798."""
    frame_folder(tmp_path / "v", 900)
    reader = FrameFolders(fps=1)
    for second in (902, 1798, 1799, 1800):
        reader.check(str(tmp_path / "v"), key_frame("v", second))
        check_index("v", key_frame("v", second), 900, 30, 27000)
    for second in (898, 1802, 0):
        with pytest.raises(ValueError, match=r"goes from 900 to 1800 \(900 frames from"):
            reader.check(str(tmp_path / "v"), key_frame("v", second))
        with pytest.raises(ValueError, match=r"goes from 900 to 1800 \(27,000 frames from"):
            check_index("v", key_frame("v", second), 900, 30, 27000)


def records_of(videos, lines, tmp_path):
    text = "".join(f"{video},{time},0,0,1,1,12,0\n" for video, time in lines)
    (tmp_path / "a.csv").write_text(text)
    records = read_ava(str(tmp_path / "a.csv"), timestamp_start=0, timestamp_end=1e6)
    assert records.videos == tuple(videos)
    return records


@pytest.mark.parametrize("policy", ["raise", "skip", "replace"])
def test_a_wrong_clock_is_told_at_the_start_whatever_happens_to_bad_videos(tmp_path, policy):
    frame_folder(tmp_path / "good", 3)
    frame_folder(tmp_path / "short", 3)
    reader, sampling = FrameFolders(timestamp_start=0, fps=1), KeyFrameSampling(1, 1, fps=1)
    # Of many key frames the last is the one that lies outside.
    lines = [("good", 0), ("good", 2), *(("short", time) for time in (0, 1, 2, 5))]
    records = records_of(["good", "short"], lines, tmp_path)
    with pytest.raises(ValueError, match=r"short: the key frame 'short,0005' .*3 frames"):
        BoxDataset(records, reader, sampling, {}, str(tmp_path), on_bad_video=policy)


def test_key_frames_that_are_not_looked_at_at_the_start_are_when_they_are_read(tmp_path):
    frame_folder(tmp_path / "v000", 3)
    names = [f"v{number:03d}" for number in range(200)]
    for name in names[1:]:
        (tmp_path / name).symlink_to("v000")
    lines = [(name, 7 if name == "v001" else 1) for name in names]
    reader, sampling = FrameFolders(timestamp_start=0, fps=1), KeyFrameSampling(1, 1, fps=1)
    records = records_of(names, lines, tmp_path)
    data = BoxDataset(records, reader, sampling, {}, str(tmp_path), on_bad_video="skip")
    with pytest.raises(ValueError, match="v001: the key frame 'v001,0007' is outside"):
        data[1]


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
