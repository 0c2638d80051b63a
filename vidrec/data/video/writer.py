"""Writing frames as a video file that common players support."""

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import IO, Any, Self

import av
import numpy as np
from av.video.reformatter import Interpolation, VideoReformatter

# Both libraries would else choose other algorithms, with other results, by the CPU.
_ON_ANY_CPU = Interpolation.BILINEAR | Interpolation.ACCURATE_RND | Interpolation.BITEXACT
_OPTIONS: dict[str, object] = {
    "crf": "18",
    "preset": "veryfast",
    "x264-params": "cpu-independent=1",
}
CLOCK = 90_000  # ticks of a second: frames at 24, 25, 29.97, 30, 50 and 60 Hz are whole ticks


class VideoWriter:
    """H.264 in mp4, one frame after the other; a context manager that completes the file.

    Equal frames give equal files on any machine.

    file: a path, or a binary stream that can seek. size: width and height in pixels, both even.
    frame_rate: frames per second, as a hint only if frames are written with their times.
    """

    def __init__(
        self, file: Path | IO[Any], size: tuple[int, int], frame_rate: Fraction | int
    ) -> None:
        is_path = isinstance(file, Path)
        self.container = av.open(str(file) if is_path else file, "w", None if is_path else "mp4")
        self._stream = self.container.add_stream("libx264", rate=frame_rate)
        self._stream.width, self._stream.height = size
        self._stream.pix_fmt = "yuv420p"
        self._stream.codec_context.thread_count = 1  # or the number of cores would decide
        self._stream.options = _OPTIONS
        self._convert = VideoReformatter()
        self._last = -1  # tick of the last frame

    def write(self, picture: np.ndarray, seconds: float | None = None) -> None:
        """Add a frame (H, W, 3) uint8; `seconds`: when it is shown, for all frames or for none.

        A frame that is not later than the one before it is shown one tick after it.
        """
        frame = self._convert.reformat(
            av.VideoFrame.from_ndarray(picture, format="rgb24"),
            format="yuv420p",
            interpolation=_ON_ANY_CPU,
            threads=1,
        )
        if seconds is not None:
            if self._last < 0:
                self._stream.codec_context.time_base = Fraction(1, CLOCK)
            self._last = max(round(seconds * CLOCK), self._last + 1)
            frame.pts, frame.time_base = self._last, Fraction(1, CLOCK)
        self._mux(self._stream.encode(frame))

    def _mux(self, packets: Iterable[av.Packet]) -> None:
        for packet in packets:
            self.container.mux(packet)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, failure: type[BaseException] | None, *_: object) -> None:
        if failure is None:
            self._mux(self._stream.encode())
        self.container.close()


def write_video(path: Path, frames: np.ndarray, frame_rate: int) -> None:
    """Encode (F, H, W, 3) uint8 as H.264 in mp4: equal frames give equal files on any machine."""
    height, width = frames.shape[1:3]
    with VideoWriter(path, (width, height), frame_rate) as writer:
        for picture in frames:
            writer.write(picture)
