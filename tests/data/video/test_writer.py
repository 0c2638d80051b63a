"""Oracle: the same encoder, told that the CPU has no vector instructions."""

import ctypes
import io
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest

from vidrec.data.video import writer


@pytest.fixture
def plain_cpu(monkeypatch) -> Iterator[None]:
    """Colour conversion and encoder as on a CPU without any extensions."""
    maps = Path("/proc/self/maps").read_text().splitlines()
    libavutil = ctypes.CDLL(next(line.split()[-1] for line in maps if "libavutil" in line))
    parameters = f"{writer._OPTIONS['x264-params']}:asm=0"
    monkeypatch.setitem(writer._OPTIONS, "x264-params", parameters)
    libavutil.av_force_cpu_flags(0)
    yield
    libavutil.av_force_cpu_flags(-1)


@pytest.fixture(scope="module")
def frames() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (8, 50, 70, 3)).astype(np.uint8)


@pytest.fixture(scope="module")
def written(frames, tmp_path_factory) -> bytes:
    path = tmp_path_factory.mktemp("written") / "clip.mp4"
    writer.write_video(path, frames, 12)
    return path.read_bytes()


def test_equal_frames_give_equal_files_on_any_cpu(frames, written, plain_cpu, tmp_path):
    writer.write_video(tmp_path / "clip.mp4", frames, 12)
    assert (tmp_path / "clip.mp4").read_bytes() == written


def test_frames_are_shown_when_they_are_written_for(frames, tmp_path):
    """Also where two times are one tick, or go back: players need times that increase."""
    times = [0.0, 0.1, 0.35, 0.35, 0.34, 1.0]
    with writer.VideoWriter(tmp_path / "clip.mp4", (70, 50), 25) as out:
        for frame, second in zip(frames, times, strict=False):
            out.write(frame, second)
    with av.open(str(tmp_path / "clip.mp4")) as container:
        shown = [frame.time for frame in container.decode(video=0)]
    assert shown == pytest.approx([0.0, 0.1, 0.35, 0.35, 0.35, 1.0], abs=1e-4)
    assert np.all(np.diff(shown) > 0)


def test_a_stream_takes_the_video_as_a_file_does(frames, tmp_path):
    memory = io.BytesIO()
    with writer.VideoWriter(memory, (70, 50), 12) as out:
        for frame in frames:
            out.write(frame)
    writer.write_video(tmp_path / "clip.mp4", frames, 12)
    assert memory.getvalue() == (tmp_path / "clip.mp4").read_bytes()
