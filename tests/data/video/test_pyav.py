"""Oracle: a full decode from the first frame to the last by plain PyAV."""

import ctypes
import gc
import math
import os
import struct
from collections.abc import Callable, Iterator
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch

from vidrec.data.video.decoder import VideoError
from vidrec.data.video.geometry import CropPlan
from vidrec.data.video.pyav import VideoReader
from vidrec.data.video.timestamps import TimestampDecoder

WIDTH, HEIGHT, NUM_FRAMES = 96, 64, 70

# name: container, codec, pixel format, encoder options
ENCODINGS = {
    "long_gop.mp4": ("mp4", "libx264", "yuv420p", {"g": "250", "bf": "3"}),
    "short_gop.mp4": ("mp4", "libx264", "yuv420p", {"g": "12", "bf": "3", "b-pyramid": "none"}),
    "open_gop.mkv": ("matroska", "libx264", "yuv420p", {"g": "12", "x264-params": "open-gop=1"}),
    "intra_refresh.mp4": ("mp4", "libx264", "yuv420p", {"g": "20", "intra-refresh": "1"}),
    "intra.mp4": ("mp4", "libx264", "yuv420p", {"g": "1"}),
    "ten_bit.mp4": ("mp4", "libx264", "yuv420p10le", {"g": "12"}),
    "yuv444.mp4": ("mp4", "libx264", "yuv444p", {"g": "12"}),
    "gray.mp4": ("mp4", "libx264", "gray", {"g": "12"}),
    "hevc.mp4": ("mp4", "libx265", "yuv420p", {"x265-params": "keyint=12:open-gop=1:log-level=0"}),
    "transport.ts": ("mpegts", "libx264", "yuv420p", {"g": "12", "bf": "2"}),
    "raw.h264": ("h264", "libx264", "yuv420p", {"g": "12", "bf": "2"}),
    "plain.avi": ("avi", "mpeg4", "yuv420p", {"g": "12", "bf": "0"}),
    "reordered.avi": ("avi", "mpeg4", "yuv420p", {"g": "12", "bf": "2"}),
    "mjpeg.avi": ("avi", "mjpeg", "yuvj420p", {}),
    "alpha.webm": ("webm", "libvpx-vp9", "yuva420p", {"g": "12", "deadline": "realtime"}),
}


def pictures(seed: int = 0, noise: float = 8) -> list[np.ndarray]:
    """Soft random texture that moves, with noise: every frame differs from every other."""
    rng = np.random.default_rng(seed)
    coarse = torch.from_numpy(rng.uniform(0, 255, (1, 3, 12, 16)))
    texture = torch.nn.functional.interpolate(coarse, (HEIGHT, 2 * WIDTH), mode="bilinear")
    texture = texture[0].permute(1, 2, 0).numpy()
    frames = []
    for number in range(NUM_FRAMES):
        frame = np.roll(texture, 2 * number, axis=1)[:, :WIDTH] + rng.normal(
            0, noise, (HEIGHT, WIDTH, 3)
        )
        frames.append(np.clip(frame, 0, 255).astype(np.uint8))
    return frames


def write_video(  # noqa: PLR0913 - containers, codecs and times are what the tests vary
    path: Path,
    frames: list[np.ndarray],
    container: str = "mp4",
    codec: str = "libx264",
    pixel_format: str = "yuv420p",
    options: dict[str, str] | None = None,
    times: list[int] | None = None,
    container_options: dict[str, str] | None = None,
) -> Path:
    with av.open(str(path), "w", format=container, options=container_options or {}) as file:
        stream = file.add_stream(codec, 25, options=options or {})
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = pixel_format
        stream.codec_context.time_base = Fraction(1, 25)
        for number, picture in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(picture, "rgb24").reformat(format=pixel_format)
            frame.pts = times[number] if times else number
            frame.time_base = Fraction(1, 25)
            file.mux(stream.encode(frame))
        file.mux(stream.encode())
    return path


def decode_all(path: Path) -> np.ndarray:
    """Every frame that comes out, upright, (F, H, W, 3)."""
    images = []
    with av.open(str(path)) as container:
        for packet in container.demux(container.streams.video[0]):
            with suppress(av.error.InvalidDataError):
                for frame in packet.decode():
                    turns = round(frame.rotation / 90)
                    images.append(np.rot90(frame.to_ndarray(format="rgb24"), turns))
    return np.stack(images)


def whole(source: object) -> CropPlan:
    return CropPlan((0, 0, source.width, source.height), (source.height, source.width))


def read(reader: VideoReader, path: Path | bytes, indices: list[int]) -> np.ndarray:
    with reader.open(path if isinstance(path, bytes) else str(path)) as source:
        return source.read(indices, whole(source))


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The path of an encoding, written on first use."""
    folder = tmp_path_factory.mktemp("videos")

    def path_of(name: str) -> Path:
        path = folder / name
        if not path.exists():
            container, codec, pixel_format, options = ENCODINGS[name]
            write_video(path, pictures(), container, codec, pixel_format, options)
        return path

    return path_of


@pytest.fixture
def no_open_files_left() -> Iterator[None]:
    before = len(os.listdir("/proc/self/fd"))
    yield
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize("name", ENCODINGS)
def test_any_frames_equal_those_of_a_full_decode(videos, name, no_open_files_left):
    path = videos(name)
    expected = decode_all(path)
    rng = np.random.default_rng(1)
    reader = VideoReader()  # the first open lists the packets and keeps them, later ones seek
    with reader.open(str(path)) as source:
        assert source.num_frames == len(expected) == NUM_FRAMES
        assert (source.width, source.height) == (WIDTH, HEIGHT)
        assert source.fps == pytest.approx(25)
    forgetful = VideoReader(table_frames=0)
    choices = [[0], [NUM_FRAMES - 1], list(range(NUM_FRAMES))[::-1], [30, 3, 30, 68, 3]]
    choices += [sorted(rng.choice(NUM_FRAMES, 6, replace=False)) for _ in range(4)]
    choices += [list(range(20, 50, 2)), [5, 6, 7, 8]]
    for indices in choices:
        for used in (reader, forgetful):
            np.testing.assert_array_equal(read(used, path, indices), expected[indices])


def test_frame_i_shows_i(tmp_path):
    frames = [np.full((48, 64, 3), 3 * i, np.uint8) for i in range(80)]
    path = write_video(tmp_path / "counting.mp4", frames, options={"g": "30", "bf": "3"})
    indices = [79, 0, 40, 41, 7, 40]
    levels = read(VideoReader(), path, indices).mean(axis=(1, 2, 3)) / 3
    assert np.round(levels).astype(int).tolist() == indices


def test_variable_frame_rate(tmp_path):
    rng = np.random.default_rng(2)
    times = np.cumsum(rng.integers(1, 9, NUM_FRAMES)).tolist()
    path = write_video(tmp_path / "vfr.mp4", pictures(), times=times, options={"g": "12"})
    indices = [60, 1, 33, 34]
    np.testing.assert_array_equal(read(VideoReader(), path, indices), decode_all(path)[indices])


def test_frames_before_an_edit_list_do_not_count(tmp_path):
    """The first frames have negative times: needed for decoding, not shown."""
    path = write_video(
        tmp_path / "edited.mp4",
        pictures(),
        times=list(range(-7, NUM_FRAMES - 7)),
        options={"g": "250", "bf": "2"},
        container_options={"use_editlist": "1", "avoid_negative_ts": "disabled"},
    )
    expected = decode_all(path)
    assert len(expected) == NUM_FRAMES - 7
    with VideoReader().open(str(path)) as source:
        assert source.num_frames == len(expected)
        indices = [0, 1, 40, len(expected) - 1]
        np.testing.assert_array_equal(source.read(indices, whole(source)), expected[indices])


def test_packed_frames_in_avi(videos, tmp_path):
    """DivX puts a B-frame behind the frame it refers to and a stand-in into the next packet."""
    with av.open(str(videos("reordered.avi"))) as source:
        stream = source.streams.video[0]
        packets = [bytes(packet) for packet in source.demux(stream) if packet.size]
        start = packets[0].index(b"\0\0\1\xb6")
    kinds = [packet[packet.index(b"\0\0\1\xb6") + 4] >> 6 for packet in packets]
    packets[0] = packets[0][:start] + b"\0\0\1\xb2DivX503b1393p" + packets[0][start:]
    packed, skip = [], False
    for number, packet in enumerate(packets):
        if skip:
            packed.append(b"\0\0\1\xb6\x50\x00\x7f\xff")
            skip = False
        elif kinds[number + 1 : number + 2] == [2] and kinds[number] == 1:
            packed.append(packet + packets[number + 1])
            skip = True
        else:
            packed.append(packet)
    path = tmp_path / "packed.avi"
    with av.open(str(path), "w") as target:
        copy = target.add_stream("mpeg4", 25)
        copy.width, copy.height, copy.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for number, data in enumerate([packed[0], b"\x7f", *packed[1:]]):
            packet = av.Packet(data)
            packet.stream, packet.time_base = copy, Fraction(1, 25)
            packet.pts = packet.dts = number
            packet.is_keyframe = number == 0
            target.mux(packet)
    expected = decode_all(path)
    with VideoReader().open(str(path)) as source:
        assert source.num_frames == len(expected)
        indices = [0, 1, 2, 30, len(expected) - 1]
        np.testing.assert_array_equal(source.read(indices, whole(source)), expected[indices])


def test_bytes_in_memory_read_like_the_file(videos):
    path = videos("long_gop.mp4")
    np.testing.assert_array_equal(
        read(VideoReader(), path.read_bytes(), [3, 50]), read(VideoReader(), path, [3, 50])
    )


# a, b, c, d of the display matrix: stored pixel (p, q) is shown at (a p + c q, b p + d q).
UPRIGHT = {
    "as stored": (1, 0, 0, 1),
    "90 degrees": (0, 1, -1, 0),
    "180 degrees": (-1, 0, 0, -1),
    "270 degrees": (0, -1, 1, 0),
    "mirrored": (-1, 0, 0, 1),
    "mirrored, 90 degrees": (0, 1, 1, 0),
    "mirrored, 180 degrees": (1, 0, 0, -1),
    "mirrored, 270 degrees": (0, -1, -1, 0),
}


def write_matrix(path: Path, matrix: tuple[float, float, float, float]) -> None:
    """Overwrite the display matrix in the header of the only track."""
    a, b, c, d = (round(value * (1 << 16)) for value in matrix)
    data = bytearray(path.read_bytes())
    start = data.index(b"tkhd") + 44
    data[start : start + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(data)


def shown_by(matrix: tuple[int, int, int, int], images: np.ndarray) -> np.ndarray:
    """Stored (F, H, W, 3), each pixel moved to where the matrix says."""
    a, b, c, d = matrix
    q, p = np.indices(images.shape[1:3])
    x, y = a * p + c * q, b * p + d * q
    x, y = x - x.min(), y - y.min()
    shown = np.zeros((len(images), y.max() + 1, x.max() + 1, 3), np.uint8)
    shown[:, y, x] = images
    return shown


@pytest.mark.parametrize("matrix", UPRIGHT.values(), ids=UPRIGHT)
@pytest.mark.parametrize("accurate", [False, True])
def test_rotated_and_mirrored_videos_are_upright(tmp_path, matrix, accurate):
    path = write_video(tmp_path / "turned.mp4", pictures(noise=0)[:4], options={"crf": "1"})
    expected = shown_by(matrix, decode_all(path))
    write_matrix(path, matrix)
    with VideoReader(accurate).open(str(path)) as source:
        assert (source.height, source.width) == expected.shape[1:3]
        np.testing.assert_array_equal(source.read([0, 2], whole(source)), expected[[0, 2]])
        part = source.read([1], CropPlan((10, 4, 20, 30), (30, 20), flip=True))[0]
        np.testing.assert_array_equal(part, expected[1, 4:34, 10:30][:, ::-1])
        part = source.read([1], CropPlan((10, 4, 20, 30), (30, 20), flip_vertical=True))[0]
        np.testing.assert_array_equal(part, expected[1, 4:34, 10:30][::-1])
        scaled = source.read([1], CropPlan((10, 4, 40, 50), (25, 20), flip=True))[0]
    reference = antialiased(expected[1, 4:54, 10:50][:, ::-1], (25, 20))
    assert np.abs(scaled - reference).mean() < 8  # another box is 40 away
    seconds = np.array([0.0, 0.08])
    with TimestampDecoder(str(path), seconds, accurate) as source:
        np.testing.assert_array_equal(source.read([0, 1], whole(source)), expected[[0, 2]])


def test_display_matrices_of_other_angles_are_refused(tmp_path):
    path = write_video(tmp_path / "tilted.mp4", pictures()[:2])
    stored = decode_all(path)
    write_matrix(path, (math.cos(0.01), math.sin(0.01), -math.sin(0.01), math.cos(0.01)))
    np.testing.assert_array_equal(read(VideoReader(), path, [1])[0], stored[1])  # 0.6 degrees
    write_matrix(path, (0.5, 0, 0, 2))  # players scale by it neither
    np.testing.assert_array_equal(read(VideoReader(), path, [1])[0], stored[1])
    write_matrix(path, (0.866, 0.5, -0.5, 0.866))
    refusal = pytest.raises(VideoError, match=r"tilted\.mp4: .*rotate it by 30 degrees.*ffmpeg -i")
    with refusal:
        read(VideoReader(), path, [1])
    with refusal:
        TimestampDecoder(str(path), np.array([0.0]))


def antialiased(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    from PIL import Image

    resized = Image.fromarray(np.ascontiguousarray(image)).resize(
        size[::-1], Image.Resampling.BILINEAR
    )
    return np.asarray(resized).astype(float)


@pytest.mark.parametrize("accurate", [False, True])
@pytest.mark.parametrize("name", ["long_gop.mp4", "ten_bit.mp4"])
def test_unscaled_boxes_are_cut_to_the_pixel(videos, name, accurate):
    expected = decode_all(videos(name))[[9]]
    with VideoReader(accurate).open(str(videos(name))) as source:
        for left, top, width, height in [(0, 0, 96, 64), (7, 5, 31, 33), (95, 63, 1, 1)]:
            part = source.read([9], CropPlan((left, top, width, height), (height, width)))
            np.testing.assert_array_equal(
                part, expected[:, top : top + height, left : left + width]
            )


@pytest.mark.parametrize("box", [(0, 0, 96, 64), (7, 5, 61, 43), (13, 0, 83, 64)])
@pytest.mark.parametrize("size", [(32, 40), (100, 120), (45, 31)])
def test_accurate_scaling_is_that_of_an_independent_library(videos, box, size):
    left, top, width, height = box
    image = decode_all(videos("long_gop.mp4"))[9]
    with VideoReader(accurate=True).open(str(videos("long_gop.mp4"))) as source:
        scaled = source.read([9], CropPlan(box, size))[0]
    reference = antialiased(image[top : top + height, left : left + width], size)
    assert np.abs(scaled - reference).max() <= 1


def test_accurate_boxes_of_resize_then_crop_are_exact(videos):
    """A crop of whole pixels after resizing lies between the pixels of the source."""
    image = decode_all(videos("long_gop.mp4"))[9]
    reference = antialiased(image, (40, 60))[3:35, 7:39]
    scale = 96 / 60
    plan = CropPlan((7 * scale, 3 * scale, 32 * scale, 32 * scale), (32, 32))
    with VideoReader(accurate=True).open(str(videos("long_gop.mp4"))) as source:
        assert np.abs(source.read([9], plan)[0] - reference).max() <= 1


@pytest.mark.parametrize(
    "box", [(0, 0, 96, 64), (6, 4, 62, 44), (7, 5, 61, 43), (12.7, 0.4, 83, 63)]
)
@pytest.mark.parametrize("size", [(32, 40), (100, 120)])
def test_fast_scaling_stays_near_the_exact_one(tmp_path, box, size):
    """Smooth pictures: a box off by a pixel would cost some grey levels, off by two a multiple."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    image = np.stack([2 * x + 10, 3 * y + 20, x + y + 40], axis=-1).astype(np.uint8)
    path = write_video(tmp_path / "ramp.mp4", [image] * 2, options={"crf": "1"})
    with VideoReader().open(str(path)) as source:
        fast = source.read([0], CropPlan(box, size))[0].astype(float)
    rows = box[1] + (np.arange(size[0]) + 0.5) * box[3] / size[0] - 0.5
    columns = box[0] + (np.arange(size[1]) + 0.5) * box[2] / size[1] - 0.5
    exact = np.stack(np.broadcast_arrays(2 * columns + 10, 3 * rows[:, None] + 20), axis=-1)
    # The slopes are 2 and 3 grey levels a pixel.
    assert np.abs(fast[..., :2] - exact)[3:-3, 3:-3].max() < 8


@pytest.mark.parametrize("accurate", [False, True])
def test_mirrored_is_the_mirror_of_plain(videos, accurate):
    box, size = (7, 5, 61, 43), (32, 40)
    with VideoReader(accurate).open(str(videos("long_gop.mp4"))) as source:
        plain = source.read([4, 9], CropPlan(box, size))
        flipped = source.read([4, 9], CropPlan(box, size, flip=True))
        upside_down = source.read([4, 9], CropPlan(box, size, flip_vertical=True))
        both = source.read([4, 9], CropPlan(box, size, flip=True, flip_vertical=True))
    np.testing.assert_array_equal(flipped, plain[:, :, ::-1])
    np.testing.assert_array_equal(upside_down, plain[:, ::-1])
    np.testing.assert_array_equal(both, plain[:, ::-1, ::-1])


def test_several_plans_from_one_decode_equal_separate_reads(videos):
    plans = [CropPlan((7, 5, 61, 43), (32, 40), flip=True), CropPlan((0, 0, 96, 64), (64, 96))]
    with VideoReader().open(str(videos("long_gop.mp4"))) as source:
        together = source.read_many([30, 2, 30], plans)
        for plan, frames in zip(plans, together, strict=True):
            assert frames.flags.c_contiguous
            np.testing.assert_array_equal(frames, source.read([30, 2, 30], plan))


def test_out_is_filled_in_place_and_checked(videos):
    with VideoReader().open(str(videos("long_gop.mp4"))) as source:
        out = np.zeros((2, 64, 96, 3), np.uint8)
        assert source.read([1, 2], whole(source), out) is out
        np.testing.assert_array_equal(out, source.read([1, 2], whole(source)))
        with pytest.raises(ValueError, match="C-contiguous uint8"):
            source.read([1], whole(source), out)


def test_a_frame_past_the_end_is_refused(videos):
    with (
        VideoReader().open(str(videos("long_gop.mp4"))) as source,
        pytest.raises(IndexError, match=r"long_gop\.mp4: no frame 70, it has 70"),
    ):
        source.read([3, 70], whole(source))


def test_a_replaced_file_is_read_anew(tmp_path):
    path = write_video(tmp_path / "a.mp4", pictures(0))
    reader = VideoReader()
    read(reader, path, [3])
    write_video(path, pictures(1)[:20])
    os.utime(path, ns=(1, 1))
    np.testing.assert_array_equal(read(reader, path, [3, 19]), decode_all(path)[[3, 19]])


def test_remembered_tables_are_bounded(videos):
    reader = VideoReader(table_frames=2 * NUM_FRAMES)
    names = ["long_gop.mp4", "short_gop.mp4", "intra.mp4"]
    for name in [*names, names[1]]:
        reader.open(str(videos(name))).close()
    assert [Path(path).name for path in reader._tables] == ["intra.mp4", "short_gop.mp4"]


def break_file(videos: Callable[[str], Path], kind: str, path: Path) -> None:
    data = videos("long_gop.mp4").read_bytes()
    match kind:
        case "empty":
            path.write_bytes(b"")
        case "garbage":
            path.write_bytes(np.random.default_rng(0).bytes(5000))
        case "cut off":  # the index is at the end
            path.write_bytes(data[: len(data) * 3 // 4])
        case "cut off behind the index":
            write_video(path, pictures(), container_options={"movflags": "+faststart"})
            path.write_bytes(path.read_bytes()[:-2000])
        case "audio only":
            with av.open(str(path), "w") as container:
                stream = container.add_stream("aac", 16000, layout="mono")
                frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
                frame.sample_rate = 16000
                container.mux(stream.encode(frame))
                container.mux(stream.encode())
        case "folder":
            path.mkdir()


BROKEN = {
    "missing": "does not exist",
    "empty": "empty",
    "garbage": "not a readable video",
    "cut off": "not a readable video",
    "cut off behind the index": "truncated",
    "audio only": "no video stream",
    "folder": "folder",
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_file_is_named_with_the_reason(videos, tmp_path, kind, no_open_files_left):
    path = tmp_path / "broken.mp4"
    break_file(videos, kind, path)
    with pytest.raises(VideoError, match=BROKEN[kind]) as error:
        read(VideoReader(), path, [0])
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("data", [b"", b"no video", bytes(3000)])
def test_bytes_that_are_no_video_are_refused(data):
    with pytest.raises(VideoError, match="video in memory"):
        read(VideoReader(), data, [0])


@pytest.mark.parametrize("name", ["short_gop.mp4", "hevc.mp4", "plain.avi"])
def test_damage_is_refused_and_leaves_other_frames_as_they_were(videos, tmp_path, name):
    """The packet of a frame in the middle is overwritten."""
    intact = decode_all(videos(name))
    with av.open(str(videos(name))) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
        keyframes = sorted(packet.pts for packet in packets if packet.is_keyframe)
        damaged = next(packet for packet in packets if packet.pts > packets[30].pts)
        times = sorted(packet.pts for packet in packets)
    data = bytearray(videos(name).read_bytes())
    data[damaged.pos + 8 : damaged.pos + damaged.size] = bytes([0x5A]) * (damaged.size - 8)
    path = tmp_path / name
    path.write_bytes(data)
    group = np.searchsorted(keyframes, times, side="right")
    row = times.index(damaged.pts)
    refused = []
    for index in range(NUM_FRAMES):
        try:
            frame = read(VideoReader(), path, [index])[0]
        except VideoError:
            refused.append(index)
        else:
            np.testing.assert_array_equal(frame, intact[index])
    assert row in refused
    assert {group[index] for index in refused} == {group[row]}


def readable(reader: VideoReader, path: Path, indices: list[int]) -> np.ndarray | str:
    """The frames, or what is said instead."""
    try:
        return read(reader, path, indices)
    except VideoError as error:
        return str(error).removeprefix(f"{path}: ")


@pytest.mark.parametrize(
    ("name", "number", "harmed"),
    [
        ("short_gop.mp4", 16, range(13, 24)),  # others refer to it, also some displayed before it
        ("short_gop.mp4", 29, [29]),  # no other refers to it
        ("plain.avi", 30, range(30, 36)),
    ],
)
def test_a_frame_near_damage_is_readable_or_not_whatever_else_is_asked_for(
    videos, tmp_path, name, number, harmed
):
    """Alone, in pairs and in larger sets; and the damaged frame is the one that is blamed."""
    intact = decode_all(videos(name))
    with av.open(str(videos(name))) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
    damaged = sorted(packets, key=lambda packet: packet.pts)[number]
    data = bytearray(videos(name).read_bytes())
    data[damaged.pos + 8 : damaged.pos + damaged.size] = b"\x5a" * (damaged.size - 8)
    path = tmp_path / name
    path.write_bytes(data)
    reader = VideoReader()
    for index in range(10, 40):
        answer = readable(reader, path, [index])
        if index not in harmed:
            np.testing.assert_array_equal(answer, intact[[index]])
        elif index == number:
            assert answer == f"frame {number} of 70 is corrupt"
        else:
            assert answer == f"frame {index} of 70 may depend on frame {number}, which is corrupt"
    rng = np.random.default_rng(5)
    choices = [sorted({number, index}) for index in (12, 15, 20, 28, 30, 38)]
    choices += [sorted(rng.choice(np.arange(8, 44), 5, replace=False).tolist()) for _ in range(12)]
    choices += [[11, 12, 24, 25, 28, 36, 37], [12, 28, 38]]
    for indices in choices:
        answer = readable(reader, path, indices)
        if set(indices) & set(harmed):
            assert isinstance(answer, str)
        else:
            np.testing.assert_array_equal(answer, intact[indices])


def test_joined_transport_streams_are_intact(tmp_path):
    parts = [tmp_path / "first.ts", tmp_path / "second.ts"]
    for seed, part in enumerate(parts):
        write_video(part, pictures(seed)[:42], "mpegts", options={"g": "12", "bf": "2"})
    joined = tmp_path / "joined.ts"

    def seems_corrupt(counted_on: int) -> bool:
        """Whether FFmpeg sees a gap in the 4-bit counters of packets, joined like this."""
        second = bytearray(parts[1].read_bytes())
        second[3::188] = bytes(b & 0xF0 | (b + counted_on) & 0x0F for b in second[3::188])
        joined.write_bytes(parts[0].read_bytes() + second)
        with av.open(str(joined)) as container:
            return any(packet.is_corrupt for packet in container.demux(video=0))

    assert seems_corrupt(0) or seems_corrupt(5)  # one in sixteen fits by chance
    expected = np.concatenate([decode_all(part) for part in parts])
    reader = VideoReader()
    assert reader.open(str(joined)).num_frames == 84
    for index in [0, *range(34, 50), 83]:
        np.testing.assert_array_equal(read(reader, joined, [index]), expected[[index]])


def test_a_gap_in_a_transport_stream_is_not_taken_for_a_seam(tmp_path):
    """A packet from the middle of a frame is lost. The decoder of HEVC reports nothing."""
    whole_file = tmp_path / "whole.ts"
    options = {"x265-params": "keyint=12:crf=18:bframes=0:log-level=0"}
    write_video(whole_file, pictures()[:20], "mpegts", "libx265", options=options)
    intact = decode_all(whole_file)
    data = whole_file.read_bytes()
    parts = [data[i : i + 188] for i in range(0, len(data), 188)]
    starts = [i for i, part in enumerate(parts) if part[1] & 0x5F == 0x41 and part[2] == 0]
    assert len(starts) == 20  # of frames
    for number in (9, 11):  # 12 is a keyframe
        path = tmp_path / f"{number}.ts"
        path.write_bytes(b"".join(parts[: starts[number] + 2] + parts[starts[number] + 3 :]))
        reader = VideoReader()
        for index in range(7, 14):
            answer = readable(reader, path, [index])
            if index == number:
                assert answer == f"frame {number} of 20 is corrupt"
            elif number < index < 12:
                assert answer == f"frame {index} of 20 may depend on frame 9, which is corrupt"
            else:
                np.testing.assert_array_equal(answer, intact[[index]])


def test_empty_packets_are_dropped(videos, monkeypatch):
    """As Theora has them for frames that repeat: decoders take one for the end of the stream."""

    class Repeating:
        """A container with an empty packet behind every fifth."""

        def __init__(self, *arguments: object, **options: object) -> None:
            self.container = plain_open(*arguments, **options)

        def __getattr__(self, name: str) -> object:
            return getattr(self.container, name)

        def demux(self, stream: object) -> Iterator[av.Packet]:
            for number, packet in enumerate(self.container.demux(stream)):
                yield packet
                if packet.size and number % 5 == 4:
                    yield av.Packet(b"")

    plain_open = av.open
    expected = decode_all(videos("plain.avi"))
    monkeypatch.setattr("vidrec.data.video.frame_index.av.open", Repeating)
    with VideoReader().open(str(videos("plain.avi"))) as source:
        assert source.num_frames == NUM_FRAMES
        np.testing.assert_array_equal(
            source.read([3, 30, 69], whole(source)), expected[[3, 30, 69]]
        )
    with TimestampDecoder(str(videos("plain.avi")), np.array([0.41, 2.01])) as source:
        np.testing.assert_array_equal(source.read([0, 1], whole(source)), expected[[10, 50]])


def test_damaged_transport_streams_give_what_is_left(videos, tmp_path):
    data = bytearray(videos("transport.ts").read_bytes())
    middle = len(data) // 2
    data[middle : middle + 1500] = np.random.default_rng(3).bytes(1500)
    path = tmp_path / "damaged.ts"
    path.write_bytes(data)
    left = decode_all(path)
    assert len(left) < NUM_FRAMES
    for index in range(len(left)):
        with suppress(VideoError):
            np.testing.assert_array_equal(read(VideoReader(), path, [index])[0], left[index])
    np.testing.assert_array_equal(read(VideoReader(), path, [9])[0], left[9])


@pytest.mark.slow
def test_memory_stays_flat_over_many_opens(videos, tmp_path):
    libc = ctypes.CDLL(None)

    def resident() -> int:
        gc.collect()
        libc.malloc_trim(0)  # else memory that is free but kept hides what is lost
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    broken = tmp_path / "broken.mp4"
    break_file(videos, "cut off behind the index", broken)
    reader = VideoReader(table_frames=1000)

    def work(times: int) -> None:
        for _ in range(times):
            for name in ("long_gop.mp4", "plain.avi", "transport.ts"):
                with reader.open(str(videos(name))) as source:
                    source.read([3, 30, 60], CropPlan((7, 5, 61, 43), (64, 64), flip=True))
            with pytest.raises(VideoError):
                read(reader, broken, [0])

    work(60)
    before = resident()
    work(400)
    assert resident() - before < 200 << 10
