"""Cutting an endless stream into the clips of its parts, from frames pushed one by one.

The parts and their clips are those of `vidrec.inference.windows`, but nothing is classified here:
the thread that reads must not wait for the network.
"""

import itertools
import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import av
import numpy as np

from vidrec.data.video.clip_buffer import ClipBuffer
from vidrec.inference.windows import DEFAULT_RATE, TICK, ClipTimes, Span


class LivePart(NamedTuple):
    """What one label is made from.

    start, end: seconds of the stream. clips: (B, T, h, w, C) uint8. arrival: when the newest frame
    of it came, on the clock of `time.monotonic`. num_frames: frames that came since the part
    before. opened: seconds at which the stream was opened.
    """

    start: float
    end: float
    clips: np.ndarray
    arrival: float
    num_frames: int
    opened: float


def spans_of_frames(clip: ClipTimes) -> Iterator[Span]:
    """A part for each frame, with the frames of a clip before it, without an end."""
    num_frames = len(clip.offsets)
    interval = float(np.diff(clip.offsets).mean()) if num_frames > 1 else clip.span
    for number in itertools.count():
        moment = np.array([clip.offsets[0] + number * interval + TICK])
        end = (number + 1) * interval
        yield Span(max(0.0, end - num_frames * interval), end, moment[None], moment)


class LiveParts:
    """Takes the frames of an opened stream in order and gives the parts that are complete.

    spans: of one part after the other, without an end. cut: the pixels (h, w, C) uint8 of a frame.
    opened: seconds of the whole run at which the stream was opened.
    num_waiting: frames that came after the last complete part.
    """

    def __init__(
        self,
        spans: Iterator[Span],
        cut: Callable[[av.VideoFrame], np.ndarray],
        opened: float = 0.0,
    ) -> None:
        self.num_waiting = 0
        self._spans = spans
        self.opened = opened
        self._asked: deque[Span] = deque()  # parts whose clips are not complete
        self._clips: list[np.ndarray] = []  # of the first of them
        self._buffer = ClipBuffer(self._moments(), cut)
        self._time = self._arrival = 0.0  # of the last frame
        self._frame_seconds = 1 / DEFAULT_RATE
        self._is_over = False

    def push(self, time: float, arrival: float, frame: av.VideoFrame) -> list[LivePart]:
        """The next frame, in seconds from the start of the stream; returns what is complete."""
        if not self._arrival:
            self._arrival = arrival
        # A clip is complete when a later frame comes: the frame before is its newest.
        parts = self._complete(self._buffer.push(time, frame))
        self._frame_seconds = max(0.0, time - self._time) or self._frame_seconds
        self._time, self._arrival = time, arrival
        self.num_waiting += 1
        return parts

    def finish(self) -> list[LivePart]:
        """No frame follows: the parts that have begun, with the last frame for missing ones."""
        self._is_over = True
        return self._complete(self._buffer.finish())

    def _moments(self) -> Iterator[np.ndarray]:
        for span in self._spans:
            if self._is_over and span.needs[0] > self._time + TICK:
                return
            self._asked.append(span)
            yield from span.moments

    def _complete(self, clips: Iterable[np.ndarray]) -> list[LivePart]:
        parts = []
        for clip in clips:
            self._clips.append(clip)
            if len(self._clips) == len(self._asked[0].moments):
                span, of_part = self._asked.popleft(), self._clips
                self._clips = []
                if self._is_over:
                    kept = span.needs <= self._time + TICK
                    of_part = list(itertools.compress(of_part, kept))
                if of_part:
                    parts.append(self._part(span, np.stack(of_part)))
        return parts

    def _part(self, span: Span, clips: np.ndarray) -> LivePart:
        end = self._time + self._frame_seconds if self._is_over else math.inf
        part = LivePart(
            start=span.start + self.opened,
            end=min(span.end, end) + self.opened,
            clips=clips,
            arrival=self._arrival,
            num_frames=self.num_waiting,
            opened=self.opened,
        )
        self.num_waiting = 0
        return part
