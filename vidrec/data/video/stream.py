"""A video read from front to back: long files, network streams and cameras.

Every frame is decoded once, and memory does not grow with the length of the video. The frames of a
file have the numbers that `VideoReader` gives them, and the times that `TimestampDecoder` goes by.
"""

from collections.abc import Iterator
from typing import NamedTuple, Self

import av
from av.container import InputContainer
from av.error import FFmpegError

from vidrec.data.video.decoder import VideoError
from vidrec.data.video.frame_index import (
    FrameIndex,
    check_complete,
    file_version,
    list_frames,
    open_video,
    video_of,
)
from vidrec.data.video.in_order import decode_in_order, number_of
from vidrec.data.video.resample import upright_size
from vidrec.data.video.timestamps import seconds_to_pts, start_of

_CLOCK_RESET = 1.0  # seconds: a clock that jumps back by more was set anew, e.g. at a joint


class StreamFrame(NamedTuple):
    """A decoded frame.

    number: counted from 0. time: seconds from the start of the file. tick: the same on the clock of
    the stream, as `FrameStream.tick` counts; None if the file holds no time stamps.
    """

    number: int
    time: float
    tick: int | None
    frame: av.VideoFrame


class FrameStream:
    """The frames of a file or of an opened container, in order; a context manager, read once.

    Frames that are damaged, or may depend on damage since their keyframe, are left out: their
    numbers are missing, and `num_damaged` counts them. Frames may change their size on the way;
    `vidrec.data.video.resample.Cutter` scales its box with them. Frames without time stamps (bare
    H.264) are as far apart as the mean rate says. A clock that is set back, as where two recordings
    were joined, goes on from where it was.

    source: a path, the bytes of a file, or an opened container. Of the first two the packets are
        listed before, without decoding, so that numbers, length and truncation are known; a
        container is read as it comes, its frames are numbered as they are decoded.
    name: for messages; by default the path.
    width, height: pixels of the first frame, upright.
    fps: mean rate, None if unknown. duration: seconds up to the end of the last frame, None if it
        is a container that does not tell. num_frames: None for a container.
    num_damaged: frames left out so far.

    Raises VideoError, in the constructor or on the way, if there is nothing that can be read.
    """

    def __init__(self, source: str | bytes | InputContainer, name: str | None = None) -> None:
        self.name = name or (source if isinstance(source, str) else "video in memory")
        self.num_damaged = 0
        self._table: FrameIndex | None = None
        if isinstance(source, str | bytes):
            self._table = _listed(source, self.name)
            self._video = open_video(source, self.name, probe=True)
        else:
            self._video = video_of(source, self.name)
        try:
            stream = self._video.stream
            self.time_base = stream.time_base
            rate = stream.average_rate or stream.guessed_rate
            self.fps = self._table.fps if self._table else float(rate) if rate else None
            self.num_frames = self._table.num_frames if self._table else None
            self._start = start_of(self._video)
            self._frames = self._decoded()
            self._first = next(self._frames, None)
            if self._first is None:
                raise VideoError(f"{self.name}: no frame can be decoded")
            self.width, self.height = upright_size(self._first.frame, self.name)
            self.duration = self._duration()
        except BaseException:
            self.close()
            raise

    def tick(self, seconds: float) -> int:
        """The time stamp of a moment: the frame displayed then is the last with at most that.

        Raises VideoError if the stream has no clock.
        """
        if self.time_base is None:
            raise VideoError(
                f"{self.name}: the video stream has no clock; extract its frames into a folder"
            )
        return seconds_to_pts(seconds, self.time_base, self._start)

    def __iter__(self) -> Iterator[StreamFrame]:
        """The frames from the current one on. Raises VideoError if decoding fails."""
        if self._first is not None:
            first, self._first = self._first, None
            yield first
        yield from self._frames

    def close(self) -> None:
        """Release the file."""
        self._video.container.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _duration(self) -> float | None:
        table, container = self._table, self._video.container
        if table is not None and table.pts is not None and self.time_base is not None:
            frame = 1 / table.fps if table.fps else 0.0
            return float(table.pts[-1] * self.time_base) - self._start + frame
        if container.duration:
            return container.duration / av.time_base
        return self.num_frames / self.fps if self.num_frames and self.fps else None

    def _decoded(self) -> Iterator[StreamFrame]:
        clock = _Clock(self)
        try:
            for index, frame in self._undamaged():
                yield StreamFrame(index, *clock(index, frame), frame)
        except FFmpegError as error:
            reason = error.strerror or str(error)
            raise VideoError(f"{self.name}: decoding failed: {reason}") from error

    def _undamaged(self) -> Iterator[tuple[int, av.VideoFrame]]:
        """(number, frame) of all frames but those that are damaged or may depend on damage."""
        pts = self._table.pts if self._table else None
        damage: dict[int, int | None] = {}
        key = num_returned = num_given = 0
        for place, frame in decode_in_order(self._video, damage):
            if frame.key_frame:
                key = place
                for harmless in [p for p in damage if p < key]:
                    del damage[harmless]
            if frame.is_corrupt:
                damage[place] = frame.pts
            index = num_returned if pts is None else number_of(pts, frame.pts)
            if index is None:
                continue  # discarded by an edit list
            num_returned += 1
            if not any(harmed <= place for harmed in damage):
                num_given += 1
                yield index, frame
            self.num_damaged = index + 1 - num_given
        if self.num_frames is not None:
            self.num_damaged = max(0, self.num_frames - num_given)


class _Clock:
    """Times of the frames of one stream, which never go back."""

    def __init__(self, stream: FrameStream) -> None:
        self._stream = stream
        self._frame_seconds = 1 / stream.fps if stream.fps else 0.0
        self._shift = 0  # ticks by which a clock that was set back is ahead of the stream's
        self._last: tuple[float, int] | None = None

    def __call__(self, index: int, frame: av.VideoFrame) -> tuple[float, int | None]:
        """Seconds from the start of the file, and ticks."""
        base = self._stream.time_base
        if frame.pts is None or base is None:
            return index * self._frame_seconds, None
        tick = frame.pts + self._shift
        if self._last is not None and tick < self._last[1]:
            if float((self._last[1] - tick) * base) > _CLOCK_RESET:
                self._shift += self._last[1] - tick + round(self._frame_seconds / base)
            tick = max(self._last[1], frame.pts + self._shift)
        time = float(tick * base) - self._stream._start
        self._last = time, tick
        return time, tick


def _listed(file: str | bytes, name: str) -> FrameIndex:
    """The frames of a file. Raises VideoError if it is not whole."""
    if isinstance(file, str):
        file_version(file)
    with open_video(file, name) as video:
        check_complete(video, name)
        return list_frames(video, name, kept_bytes=0)
