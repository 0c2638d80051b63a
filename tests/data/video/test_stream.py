"""Oracles: `VideoReader`, `TimestampDecoder` and a full decode by plain PyAV."""

import gc
import itertools
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from vidrec.data.video import stream
from vidrec.data.video.clip_buffer import ClipBuffer, clips_of_frames, clips_of_moments
from vidrec.data.video.decoder import VideoError
from vidrec.data.video.geometry import CropPlan
from vidrec.data.video.pyav import VideoReader
from vidrec.data.video.stream import FrameStream
from vidrec.data.video.timestamps import TimestampDecoder

WIDTH, HEIGHT, NUM_FRAMES = 64, 48, 60
ENCODINGS = {
    "long_gop.mp4": ("mp4", "libx264", {"g": "250", "bf": "3"}),
    "open_gop.mkv": ("matroska", "libx264", {"g": "12", "x264-params": "open-gop=1"}),
    "closed_gop.mkv": ("matroska", "libx264", {"g": "12", "bf": "2"}),
    "transport.ts": ("mpegts", "libx264", {"g": "12", "bf": "2"}),
    "raw.h264": ("h264", "libx264", {"g": "12", "bf": "2"}),
    "reordered.avi": ("avi", "mpeg4", {"g": "12", "bf": "2"}),
}


def write(
    path,
    container="mp4",
    codec="libx264",
    options=None,
    times=None,
    container_options=None,
    scale=1,
):
    """Moving noise; frame i at `times[i]` / 25 seconds."""
    rng = np.random.default_rng(0)
    texture = np.kron(rng.integers(0, 255, (6, 16, 3)), np.ones((8, 8, 1))).astype(np.uint8)
    with av.open(str(path), "w", format=container, options=container_options or {}) as file:
        stream = file.add_stream(codec, 25, options=options or {})
        stream.width, stream.height, stream.pix_fmt = WIDTH * scale, HEIGHT * scale, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 25)
        for number in range(NUM_FRAMES):
            picture = np.ascontiguousarray(np.roll(texture, 3 * number, axis=1)[:, :WIDTH])
            picture = picture.repeat(scale, axis=0).repeat(scale, axis=1)
            frame = av.VideoFrame.from_ndarray(picture, "rgb24").reformat(format="yuv420p")
            frame.pts, frame.time_base = times[number] if times else number, Fraction(1, 25)
            file.mux(stream.encode(frame))
        file.mux(stream.encode())
    return str(path)


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("videos")
    return {name: write(folder / name, *how) for name, how in ENCODINGS.items()}


def plan_of(source):
    """A part of the frame, scaled and mirrored."""
    return CropPlan((8, 4, source.width - 16, source.height - 8), (33, 31), flip=True)


def times_of(path):
    """Seconds from the start of the file of all frames, by a plain decode."""
    with av.open(path) as container:
        start = (container.start_time or 0) / av.time_base
        return [frame.time - start for frame in container.decode(video=0)]


@pytest.mark.parametrize("name", ENCODINGS)
def test_frames_of_a_stream_are_those_of_the_reader_by_number(videos, name):
    with VideoReader(accurate=True).open(videos[name]) as source:
        expected = source.read(range(source.num_frames), plan_of(source))
    requests = [[0, 9, 3], [0, 1], [1, 30, 30], [20, 25], [26, 59]]
    with FrameStream(videos[name]) as source:
        assert (source.width, source.height, source.num_frames) == (WIDTH, HEIGHT, NUM_FRAMES)
        clips = list(clips_of_frames(source, plan_of(source), requests))
        assert source.num_damaged == 0
    for clip, request in zip(clips, requests, strict=True):
        np.testing.assert_array_equal(clip, expected[request])


@pytest.mark.parametrize("name", ["long_gop.mp4", "closed_gop.mkv", "transport.ts"])
def test_frames_of_moments_are_those_of_the_timestamp_decoder(videos, name):
    requests = [[-1.0, 0.0, 0.05], [0.32, 0.3599, 0.3606], [0.36, 1.0, 1.61], [2.2, 2.39, 9.0]]
    with FrameStream(videos[name]) as source:
        clips = list(clips_of_moments(source, plan_of(source), requests))
    for clip, moments in zip(clips, requests, strict=True):
        with TimestampDecoder(videos[name], np.array(moments), accurate=True) as source:
            np.testing.assert_array_equal(clip, source.read(range(3), plan_of(source)))


def test_times_are_those_of_the_file_and_the_duration_ends_the_last_frame(tmp_path, videos):
    rng = np.random.default_rng(2)
    times = np.cumsum(rng.integers(1, 9, NUM_FRAMES)).tolist()
    path = write(tmp_path / "vfr.mp4", times=times)
    with FrameStream(path) as source:
        assert [frame.time for frame in source] == pytest.approx(times_of(path))
    with FrameStream(videos["transport.ts"]) as source:  # its clock starts at 1.4 s
        assert [frame.time for frame in source] == pytest.approx(np.arange(NUM_FRAMES) / 25)
        assert source.duration == pytest.approx(NUM_FRAMES / 25)
    with FrameStream(videos["raw.h264"]) as source:  # without time stamps
        assert [frame.time for frame in source] == pytest.approx(np.arange(NUM_FRAMES) / 25)
    with FrameStream(videos["raw.h264"]) as source:
        clips = clips_of_moments(source, plan_of(source), [[0.5]])
        with pytest.raises(VideoError, match=r"raw\.h264: the frames have no time stamps"):
            next(clips)


def test_frames_before_an_edit_list_do_not_count(tmp_path):
    path = write(
        tmp_path / "edited.mp4",
        options={"g": "250", "bf": "2"},
        times=list(range(-7, NUM_FRAMES - 7)),
        container_options={"use_editlist": "1", "avoid_negative_ts": "disabled"},
    )
    with VideoReader(accurate=True).open(path) as source:
        assert source.num_frames == NUM_FRAMES - 7
        expected = source.read(range(source.num_frames), plan_of(source))
    with FrameStream(path) as source:
        clips = list(clips_of_frames(source, plan_of(source), [list(range(NUM_FRAMES - 7))]))
        assert source.num_damaged == 0
    np.testing.assert_array_equal(clips[0], expected)


def test_frames_that_change_their_size_are_cut_like_the_first(videos, tmp_path):
    large = write(tmp_path / "large.h264", "h264", scale=2)
    joined = tmp_path / "joined.h264"
    joined.write_bytes(Path(videos["raw.h264"]).read_bytes() + Path(large).read_bytes())
    with VideoReader(accurate=True).open(str(joined)) as source:
        expected = source.read(range(120), plan_of(source))
    with FrameStream(str(joined)) as source:
        clips = list(clips_of_frames(source, plan_of(source), [range(70), range(50, 120)]))
    np.testing.assert_array_equal(clips[0], expected[:70])
    np.testing.assert_array_equal(clips[1], expected[50:])


def test_a_clock_that_is_set_back_goes_on(videos, tmp_path):
    """Two recordings that were joined: the clock of the second starts again."""
    joined = tmp_path / "joined.ts"
    joined.write_bytes(2 * Path(videos["transport.ts"]).read_bytes())
    with FrameStream(str(joined)) as source:
        assert [frame.time for frame in source] == pytest.approx(np.arange(120) / 25)


def test_what_depends_on_damage_is_left_out_and_counted(tmp_path):
    """What is given is what the reader reads, and what is left out is what it refuses."""
    path = write(tmp_path / "damaged.mp4", options={"g": "12", "bf": "2"})
    data = bytearray((tmp_path / "damaged.mp4").read_bytes())
    with av.open(path) as container:
        packets = [p for p in container.demux(video=0) if p.size]
        packet = next(packet for packet in packets if packet.pts > packets[30].pts)
        data[packet.pos + 8 : packet.pos + packet.size] = b"\x5a" * (packet.size - 8)
    (tmp_path / "damaged.mp4").write_bytes(data)
    with FrameStream(path) as source:
        given = [frame.number for frame in source]
        lost = sorted(set(range(NUM_FRAMES)) - set(given))
        assert source.num_damaged == len(lost) > 0
    with VideoReader(accurate=True).open(path) as source:
        expected = source.read([lost[0] - 1, *given], plan_of(source))
        for index in lost:
            with pytest.raises(VideoError, match=f"frame {index} of 60"):
                source.read([index], plan_of(source))
    with FrameStream(path) as source:
        (clip,) = clips_of_frames(source, plan_of(source), [[lost[0], *given]])
    np.testing.assert_array_equal(clip, expected)


def test_frames_that_never_come_are_counted(videos, monkeypatch):
    decode = stream.decode_in_order
    monkeypatch.setattr(
        stream, "decode_in_order", lambda *arguments: itertools.islice(decode(*arguments), 40)
    )
    with FrameStream(videos["long_gop.mp4"]) as source:
        assert len(list(source)) == 40
        assert source.num_damaged == NUM_FRAMES - 40


def test_an_opened_container_is_read_as_it_comes(videos):
    with FrameStream(av.open(videos["long_gop.mp4"]), "camera") as source:
        assert (source.name, source.num_frames, source.width) == ("camera", None, WIDTH)
        assert [frame.number for frame in source] == list(range(NUM_FRAMES))


def test_unreadable_files_are_named(tmp_path):
    (tmp_path / "no.mp4").write_bytes(b"no video at all")
    for path, reason in (("no.mp4", "not a readable video"), ("none.mp4", "does not exist")):
        with pytest.raises(VideoError, match=reason):
            FrameStream(str(tmp_path / path))


def numbered(length):
    """A buffer's frames that are their own numbers."""
    return ((i, i) for i in range(length))


def test_frames_are_dropped_when_no_clip_needs_them():
    for length in (1000, 10_000):
        requests = [list(range(start, start + 32, 4)) for start in range(0, length - 32, 10)]
        cuts = []
        buffer = ClipBuffer(requests, lambda i, cuts=cuts: cuts.append(i) or np.array([i]))
        found = [clip.tolist() for i, frame in numbered(length) for clip in buffer.push(i, frame)]
        found += [clip.tolist() for clip in buffer.finish()]
        assert found == [[[i] for i in request] for request in requests]
        assert cuts == sorted({i for request in requests for i in request})
        assert buffer.most_held <= 8 * 4  # at most four clips overlap


def test_places_between_frames_show_the_one_before_and_outside_the_first_or_last():
    buffer = ClipBuffer([[-3, 0.9], [2.0, 1.5, 2.0], [7, 99]], lambda i: np.array([i]))
    clips = [clip for place in (0.5, 1.5, 2.5) for clip in buffer.push(place, int(place))]
    clips += buffer.finish()
    assert [clip[:, 0].tolist() for clip in clips] == [[0, 0], [1, 1, 1], [2, 2]]


def test_clips_that_go_back_are_refused():
    buffer = ClipBuffer([[3], [2]], lambda i: np.array([i]))
    with pytest.raises(
        ValueError, match="a clip that begins at 2 comes after one that begins at 3"
    ):
        [list(buffer.push(place, frame)) for place, frame in numbered(9)]


@pytest.mark.slow
def test_frames_are_released_as_soon_as_they_were_cut(videos):
    gc.collect()
    gc.disable()
    try:
        with FrameStream(videos["long_gop.mp4"]) as stream:
            plan = CropPlan((0, 0, stream.width, stream.height), (33, 31))
            requests = [[number] for number in range(NUM_FRAMES)]
            for _ in clips_of_frames(stream, plan, requests):
                alive = sum(type(thing) is av.VideoFrame for thing in gc.get_objects())
                assert alive < 10
    finally:
        gc.enable()
