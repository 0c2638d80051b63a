"""Oracle: a full decode from the first frame to the last by plain PyAV, with their times."""

from fractions import Fraction

import av
import numpy as np
import pytest

from vidrec.data.video import timestamps
from vidrec.data.video.decoder import VideoError
from vidrec.data.video.geometry import CropPlan
from vidrec.data.video.timestamps import TimestampDecoder, seconds_to_pts

WIDTH, HEIGHT = 64, 48
# name: container, codec, frames a second, encoder options
FILES = {
    "long_gop.mp4": ("mp4", "libx264", 30, {"g": "250", "bf": "3"}),
    "milliseconds.mkv": ("matroska", "libx264", 24, {"g": "24", "bf": "2"}),
    "film.mp4": ("mp4", "libx264", Fraction(24000, 1001), {"g": "12"}),
    "late.ts": ("mpegts", "libx264", 25, {"g": "20", "bf": "2"}),
    "mpeg4.avi": ("avi", "mpeg4", 25, {"g": "12", "bf": "0"}),
}
SECONDS = 4


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("movies")
    rng = np.random.default_rng(0)
    for name, (container, codec, rate, options) in FILES.items():
        with av.open(str(folder / name), "w", format=container) as file:
            stream = file.add_stream(codec, rate=rate, width=WIDTH, height=HEIGHT, options=options)
            stream.pix_fmt = "yuv420p"
            stream.bit_rate = 8_000_000  # or frames would be copies of the one before
            for number in range(int(SECONDS * rate)):
                picture = rng.integers(0, 60, (HEIGHT, WIDTH, 3)).astype(np.uint8)
                picture[:, : WIDTH // 2] += np.uint8(40 + number)
                for packet in stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")):
                    file.mux(packet)
            for packet in stream.encode():
                file.mux(packet)
    return folder


def all_frames(path):
    """(seconds from the beginning of the file, frame) of a decode from the start."""
    with av.open(str(path)) as container:
        begin = (container.start_time or 0) / av.time_base
        return [(f.time - begin, f.to_ndarray(format="gray")) for f in container.decode(video=0)]


def read(path, seconds):
    with TimestampDecoder(str(path), np.array(seconds), accurate=True) as source:
        plan = CropPlan((0, 0, source.width, source.height), (source.height, source.width))
        return source.read(range(len(seconds)), plan).mean(axis=-1)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("first", [0.0, 0.51, 1.9, 3.2])
def test_the_frame_on_display_is_the_last_one_up_to_the_moment(folder, name, first):
    frames = all_frames(folder / name)
    rate = float(FILES[name][2])
    # Between two frames, so that no rounding of the container's clock decides.
    seconds = [first + (0.3 + 5 * i) / rate for i in range(4)]
    shown = read(folder / name, seconds)
    for second, picture in zip(seconds, shown, strict=True):
        place = max(i for i, (time, _) in enumerate(frames) if time <= second or i == 0)
        errors = [np.abs(picture - frame).mean() for _, frame in frames]
        assert int(np.argmin(errors)) == place


@pytest.mark.parametrize("name", FILES)
def test_the_moment_of_a_frame_shows_that_frame(folder, name):
    """Times of containers are rounded: the rounding must not show the frame before."""
    frames = all_frames(folder / name)
    rate = Fraction(FILES[name][2])
    numbers = [1, 7, 8, 31, 62, 90]
    shown = read(folder / name, [float(n / rate) for n in numbers])
    for number, picture in zip(numbers, shown, strict=True):
        errors = [np.abs(picture - frame).mean() for _, frame in frames]
        assert int(np.argmin(errors)) == number


def test_before_the_first_and_after_the_last_frame(folder):
    frames = all_frames(folder / "long_gop.mp4")
    shown = read(folder / "long_gop.mp4", [-5.0, 100.0])
    for picture, place in zip(shown, (0, len(frames) - 1), strict=True):
        errors = [np.abs(picture - frame).mean() for _, frame in frames]
        assert int(np.argmin(errors)) == place


def test_a_two_hour_movie_is_not_read_from_the_start(folder, monkeypatch):
    """Only packets from the keyframe before the first moment on are decoded."""
    counts = []
    plain = timestamps._decode

    def counted(video, *arguments, **options):
        demux, number = video.demux, 0

        def counting():
            nonlocal number
            for packet in demux():
                number += 1
                yield packet

        video.demux = counting
        found = plain(video, *arguments, **options)
        counts.append(number)
        return found

    monkeypatch.setattr(timestamps, "_decode", counted)
    read(folder / "film.mp4", [3.0])
    assert len(counts) == 1
    assert counts[0] < 20


@pytest.mark.parametrize(
    ("seconds", "base", "start", "pts"),
    [
        (902, Fraction(1, 30000), 0.0, 27_060_000),
        (1 / 3, Fraction(1, 1000), 0.0, 333),
        (2 / 3, Fraction(1, 1000), 0.0, 667),
        (10, Fraction(1, 90000), 1.4, 1_026_000),
        (1.99, Fraction(1, 25), 0.0, 49),  # not 50: that frame comes 10 ms later
    ],
)
def test_seconds_to_time_stamps(seconds, base, start, pts):
    assert seconds_to_pts(seconds, base, start) == pts


def test_what_is_no_movie_is_told(tmp_path):
    (tmp_path / "text.mp4").write_text("nothing")
    with pytest.raises(VideoError, match=r"text\.mp4: not a readable video"):
        TimestampDecoder(str(tmp_path / "text.mp4"), np.array([1.0]))
    with pytest.raises(VideoError, match=r"gone\.mp4: the file does not exist"):
        TimestampDecoder(str(tmp_path / "gone.mp4"), np.array([1.0]))
