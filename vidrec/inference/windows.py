"""Windows that slide over a video: scores of every part of it, from frames pushed one by one.

A part is `every` seconds long. A network of clips (8x8 frames, say) sees as many clips as are
needed to cover it, at equal distances; if one clip is longer than a part, it lies around the middle
of the part and reaches into its neighbours. A network that spreads its frames over the video (TSN,
TSM) spreads them over the part instead. Clips are moved so that none reaches over the start of the
video, or over its end where that is known before (files, not cameras); frames past an end that was
not known are the last one again. The scores of a part are the mean of its clips.

Frames are taken by time: a clip shows what a player shows at its moments, however long each frame
lasts. So frame n of a video with a constant rate is the one an evaluation takes.
"""

import itertools
import math
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import av
import numpy as np

from vidrec.data.clips.sampling import DenseSampleFrames, Sampling
from vidrec.data.video.clip_buffer import ClipBuffer

DEFAULT_RATE = 25.0  # frames per second of a source that does not tell
TICK = 6e-4  # seconds by which containers that count milliseconds round the times of frames


@dataclass(frozen=True)
class ClipTimes:
    """When a network looks.

    offsets: (T,) seconds from the start of a window. span: seconds from there to the end of the
    last frame.
    """

    offsets: np.ndarray
    span: float


def clip_times(sampling: Sampling, num_frames: int, fps: float | None, every: float) -> ClipTimes:
    """The clip of a network as its test samples it.

    num_frames: that it sees at once, T. fps: of the video. every: seconds of a part.
    """
    rate = fps or DEFAULT_RATE
    interval, length = sampling.frame_interval, sampling.clip_len
    if isinstance(sampling, DenseSampleFrames) and length == 1:
        interval, length = sampling.sample_range // sampling.num_clips, num_frames
    if interval is None or length == 1:  # spread: the middle of equal segments
        return ClipTimes((np.arange(num_frames) + 0.5) * every / num_frames, every)
    seconds = interval / (getattr(sampling, "target_fps", None) or rate)
    clip_span = (length - 1) * seconds + 1 / rate
    within = np.arange(length) * seconds + 0.5 / rate
    num_clips = max(1, num_frames // length)
    if num_clips == 1:
        return ClipTimes(within, clip_span)
    # Clips that are seen jointly, spread like single frames.
    span = max(every, num_clips * clip_span)
    starts = (np.arange(num_clips) + 0.5) * span / num_clips - clip_span / 2
    return ClipTimes((starts[:, None] + within).reshape(-1), span)


class Span(NamedTuple):
    """When the clips of a part are.

    start, end: seconds of the part. moments: (B, T), of the frames. needs: (B,), a clip is left out
    if the stream ends before.
    """

    start: float
    end: float
    moments: np.ndarray
    needs: np.ndarray


def clips_per_part(clip: ClipTimes, every: float) -> int:
    """How many clips cover a part of `every` seconds."""
    return max(1, math.ceil(every / clip.span - 1e-6))


def spans_of_windows(clip: ClipTimes, every: float, end: float | None) -> Iterator[Span]:
    """Parts of `every` seconds, without an end; end: that of the video, if it is known."""
    number = clips_per_part(clip, every)
    room = every - clip.span
    within = np.linspace(0, room, number) if number > 1 else np.array([room / 2])
    for part in itertools.count():
        begin = part * every
        starts = begin + within
        needs = np.array([begin, *starts[1:]])
        if end is not None and begin < end:
            inside = np.arange(number)[(starts < end) | (np.arange(number) == 0)]
            starts, needs = np.minimum(starts[inside], end - clip.span), needs[inside]
        moments = np.maximum(starts, 0.0)[:, None] + clip.offsets + TICK
        yield Span(begin, begin + every, moments, needs)


class Part(NamedTuple):
    """A part of a video in seconds, and its scores (K,)."""

    start: float
    end: float
    scores: np.ndarray


class _Window(NamedTuple):
    part: int
    needs: float  # see `Span`


class Windows:
    """Takes the frames of a video in order and gives the scores of its parts.

    clip: when the network looks. every: seconds of a part.
    cut: the pixels (h, w, C) uint8 of a frame. It is called only for frames that a clip shows.
    score: clips of shape (B, T, h, w, C) uint8, B at most `batch_size` -> scores (B, K).
    end: seconds at which the video ends, None if that is not known (cameras). It may be wrong.
    clips_per_part: that a whole part has.
    most_held: the largest number of cut frames that were held for clips that are not complete.

    A part is there if a frame begins in it or after it. `push` returns the parts that are done;
    with a larger `batch_size` they come later, several at a time.
    """

    def __init__(
        self,
        clip: ClipTimes,
        every: float,
        cut: Callable[[av.VideoFrame], np.ndarray],
        score: Callable[[np.ndarray], np.ndarray],
        end: float | None = None,
        batch_size: int = 1,
    ) -> None:
        self._every = every
        self._score = score
        self._end = end
        self._batch_size = batch_size
        self.clips_per_part = clips_per_part(clip, every)
        self._asked: deque[_Window] = deque()  # windows whose clips are not complete
        self._waiting: list[tuple[int, np.ndarray]] = []  # part, clip that is not scored yet
        self._scored: dict[int, list[np.ndarray]] = {}  # scores by part
        self._time = 0.0  # of the last frame
        self._frame_seconds = 1 / DEFAULT_RATE
        self._is_over = False
        self._buffer = ClipBuffer(self._moments(spans_of_windows(clip, every, end)), cut)

    @property
    def most_held(self) -> int:
        return self._buffer.most_held

    def push(self, time: float, frame: av.VideoFrame) -> list[Part]:
        """The next frame, at a time in seconds from the start; returns the parts that are done."""
        self._frame_seconds = max(0.0, time - self._time) or self._frame_seconds
        self._time = time
        for clip in self._buffer.push(time, frame):
            self._take(clip)
        return self._done()

    def finish(self) -> list[Part]:
        """No frame follows: the parts that are left."""
        self._is_over = True
        for clip in self._buffer.finish():
            self._take(clip)
        self._classify()
        return self._done()

    def _moments(self, spans: Iterator[Span]) -> Iterator[np.ndarray]:
        """The moments of one window after the other."""
        for part, span in enumerate(spans):
            if self._is_over and not self._begins(part):
                return
            for moments, needs in zip(span.moments, span.needs.tolist(), strict=True):
                self._asked.append(_Window(part, needs))
                yield moments

    def _begins(self, part: int) -> bool:
        """Whether a frame begins in a part, or after it."""
        return part * self._every <= self._time + TICK

    def _take(self, clip: np.ndarray) -> None:
        """Line up a complete clip, unless it is past an end that was not known before."""
        window = self._asked.popleft()
        if self._is_over and window.needs > self._time + TICK:
            return
        self._waiting.append((window.part, clip))
        if len(self._waiting) == self._batch_size:
            self._classify()

    def _classify(self) -> None:
        if not self._waiting:
            return
        scores = self._score(np.stack([clip for _, clip in self._waiting]))
        for (part, _), row in zip(self._waiting, scores, strict=True):
            self._scored.setdefault(part, []).append(row)
        self._waiting.clear()

    def _done(self) -> list[Part]:
        """The parts of which all clips are scored."""
        open_parts = [part for part, _ in self._waiting]
        if not self._is_over:
            open_parts += [window.part for window in self._asked]
        first_open = min(open_parts, default=math.inf)
        parts = []
        for part in sorted(p for p in self._scored if p < first_open and self._begins(p)):
            rows = self._scored.pop(part)
            parts.append(Part(part * self._every, self._end_of(part), np.mean(rows, axis=0)))
        return parts

    def _end_of(self, part: int) -> float:
        whole = (part + 1) * self._every
        if self._end is None and not self._is_over:
            return whole
        end = self._end
        if end is None or end <= self._time:
            end = self._time + self._frame_seconds
        return min(whole, end)
