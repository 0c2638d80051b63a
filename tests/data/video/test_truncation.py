"""Files of every container, whole and cut: what is left would read as a shorter video."""

from pathlib import Path

import av
import numpy as np
import pytest

from vidrec.data.video.decoder import VideoError
from vidrec.data.video.pyav import VideoReader
from vidrec.data.video.timestamps import TimestampDecoder, length_of

NUM_FRAMES = 24
# name: container, codec, pixel format, options of the container
FILES = {
    "index_first.mp4": ("mp4", "libx264", "yuv420p", {"movflags": "+faststart"}),
    "fragments.mp4": ("mp4", "libx264", "yuv420p", {"movflags": "frag_keyframe+empty_moov"}),
    "indexed.mp4": ("mp4", "libx264", "yuv420p", {"movflags": "dash+frag_keyframe+global_sidx"}),
    "plain.mkv": ("matroska", "libx264", "yuv420p", {}),
    "index_first.mkv": ("matroska", "libx264", "yuv420p", {"reserve_index_space": "4096"}),
    "plain.webm": ("webm", "libvpx", "yuv420p", {}),
    "plain.avi": ("avi", "mpeg4", "yuv420p", {}),
    "transport.ts": ("mpegts", "libx264", "yuv420p", {}),
    "blu_ray.m2ts": ("mpegts", "libx264", "yuv420p", {"mpegts_m2ts_mode": "1"}),
    "plain.flv": ("flv", "libx264", "yuv420p", {}),
    "plain.wmv": ("asf", "wmv2", "yuv420p", {}),
    "plain.ogv": ("ogg", "libvpx", "yuv420p", {}),
    "plain.gif": ("gif", "gif", "rgb8", {}),
    "live.mkv": ("matroska", "libx264", "yuv420p", {"live": "1"}),
    "elementary.mpg": ("mpeg", "mpeg2video", "yuv420p", {}),
}
ANNOUNCE_NO_END = {"live.mkv", "elementary.mpg"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("containers")
    pictures = np.random.default_rng(0).integers(0, 256, (NUM_FRAMES, 48, 64, 3)).astype(np.uint8)
    for name, (container, codec, pixel_format, options) in FILES.items():
        with av.open(str(folder / name), "w", format=container, options=options) as file:
            speed = {"deadline": "realtime"} if codec == "libvpx" else {}
            stream = file.add_stream(codec, 25, width=64, height=48, options={"g": "8", **speed})
            stream.pix_fmt = pixel_format
            for picture in pictures:
                frame = av.VideoFrame.from_ndarray(picture, "rgb24")
                file.mux(stream.encode(frame.reformat(format=pixel_format)))
            file.mux(stream.encode())
    return folder


@pytest.mark.parametrize("name", FILES)
def test_whole_files_are_read(folder, name):
    with VideoReader().open(str(folder / name)) as source:
        assert source.num_frames == NUM_FRAMES
    with VideoReader().open((folder / name).read_bytes()) as source:
        assert source.num_frames == NUM_FRAMES


@pytest.mark.parametrize("name", sorted(FILES.keys() - ANNOUNCE_NO_END))
@pytest.mark.parametrize("share", [0.35, 0.6, 0.93])
def test_files_that_are_cut_are_refused(folder, name, share, tmp_path):
    data = (folder / name).read_bytes()
    path = tmp_path / name
    path.write_bytes(data[: int(share * len(data))])
    for read in (
        VideoReader().open,
        lambda path: TimestampDecoder(path, np.array([0.1])),
        length_of,
    ):
        with pytest.raises(VideoError, match=f"{name}: truncated: .* get the whole file"):
            read(str(path))


@pytest.mark.parametrize("name", ["plain.avi", "plain.mkv", "index_first.mp4", "plain.wmv"])
@pytest.mark.parametrize("rest", [bytes(400), b"LIST" + bytes([255] * 3) + b"\0movi" + bytes(90)])
def test_what_follows_the_end_does_not_matter(folder, name, rest, tmp_path):
    """Files as downloaded are padded, or hold a part of themselves once more."""
    path = tmp_path / name
    path.write_bytes((folder / name).read_bytes() + rest)
    with VideoReader().open(str(path)) as source:
        assert source.num_frames == NUM_FRAMES
