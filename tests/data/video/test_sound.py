"""Oracle: the packets of the file that the sound is copied from."""

from fractions import Fraction

import av
import numpy as np
import pytest

from vidrec.data.video.sound import SoundCopy
from vidrec.data.video.writer import VideoWriter

RATE = 16_000


def with_sound(path, codec="aac", seconds=1.0):
    """A file of grey frames and a tone."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("mpeg4", rate=10)
        video.width = video.height = 32
        sound = container.add_stream(codec, rate=RATE, layout="mono")
        for _ in range(round(10 * seconds)):
            grey = av.VideoFrame.from_ndarray(np.full((32, 32, 3), 90, np.uint8), format="rgb24")
            container.mux(video.encode(grey))
        container.mux(video.encode())
        for start in range(0, round(RATE * seconds), 1024):
            tone = 0.5 * np.sin(np.arange(start, start + 1024) / 5)
            if codec == "aac":
                frame = av.AudioFrame.from_ndarray(
                    tone[None].astype(np.float32), format="fltp", layout="mono"
                )
            else:
                frame = av.AudioFrame.from_ndarray(
                    (tone[None] * 2**15).astype(np.int16), format="s16", layout="mono"
                )
            frame.sample_rate, frame.pts, frame.time_base = RATE, start, Fraction(1, RATE)
            container.mux(sound.encode(frame))
        container.mux(sound.encode())
    return path


def copied(source, target):
    """`source` with black frames and its own sound, written at `target`."""
    with VideoWriter(target, (32, 32), 10) as writer, SoundCopy(source, writer.container) as sound:
        for number in range(10):
            sound.until(number / 10)
            writer.write(np.zeros((32, 32, 3), np.uint8), number / 10)
        sound.until(np.inf)
    return target


def packets(path):
    with av.open(str(path)) as container:
        if not container.streams.audio:
            return []
        return [
            (float(packet.pts * packet.time_base), bytes(packet))
            for packet in container.demux(container.streams.audio[0])
            if packet.size
        ]


def test_the_sound_is_the_same_at_the_same_times(tmp_path):
    source = with_sound(tmp_path / "source.mp4")
    there = packets(copied(source, tmp_path / "copy.mp4"))
    assert len(there) > 10
    assert [data for _, data in there] == [data for _, data in packets(source)]
    times = [time for time, _ in packets(source)]
    assert [time for time, _ in there] == pytest.approx(times, abs=1e-3)


@pytest.mark.parametrize("codec", ["pcm_s16le", None])
def test_without_sound_that_an_mp4_may_hold_there_is_none(codec, tmp_path):
    source = tmp_path / "source.mkv"
    if codec is None:
        copied(tmp_path / "missing.mp4", source)
    else:
        with_sound(source, codec)
    assert packets(copied(source, tmp_path / "copy.mp4")) == []
