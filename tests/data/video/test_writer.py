"""Oracle: the same encoder, told that the CPU has no vector instructions."""

import ctypes
from collections.abc import Iterator
from pathlib import Path

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
