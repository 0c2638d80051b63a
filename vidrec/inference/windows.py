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


class Part(NamedTuple):
    """A part of a video in seconds, and its scores (K,)."""

    start: float
    end: float
    scores: np.ndarray


class _Window(NamedTuple):
    part: int
    number: int  # within the part
    start: float  # where it would be without an end of the video


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
        self._clip = clip
        self._every = every
        self._score = score
        self._end = end
        self._batch_size = batch_size
        self.clips_per_part = max(1, math.ceil(every / clip.span - 1e-6))
        self._asked: deque[_Window] = deque()  # windows whose clips are not complete
        self._waiting: list[tuple[int, np.ndarray]] = []  # part, clip that is not scored yet
        self._scored: dict[int, list[np.ndarray]] = {}  # scores by part
        self._time = 0.0  # of the last frame
        self._frame_seconds = 1 / DEFAULT_RATE
        self._is_over = False
        self._buffer = ClipBuffer(self._moments(), cut)

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

    def _moments(self) -> Iterator[np.ndarray]:
        """The moments of one window after the other."""
        part = 0
        while not self._is_over or self._begins(part):
            for number in range(self.clips_per_part):
                window = _Window(part, number, self._start(part, number))
                if number and self._known_end() <= window.start:
                    break
                self._asked.append(window)
                end = self._known_end()
                latest = end - self._clip.span if part * self._every < end else math.inf
                start = max(0.0, min(window.start, latest))
                yield start + self._clip.offsets + TICK
            part += 1

    def _start(self, part: int, number: int) -> float:
        """Seconds at which a window starts: around the middle, or from edge to edge of its part."""
        room = self._every - self._clip.span
        share = 0.5 if self.clips_per_part == 1 else number / (self.clips_per_part - 1)
        return part * self._every + room * share

    def _known_end(self) -> float:
        return self._end if self._end is not None and self._time <= self._end else math.inf

    def _begins(self, part: int) -> bool:
        """Whether a frame begins in a part, or after it."""
        return part * self._every <= self._time + TICK

    def _take(self, clip: np.ndarray) -> None:
        """Line up a complete clip, unless it is past an end that was not known before."""
        window = self._asked.popleft()
        is_past = window.number > 0 and window.start > self._time
        if self._is_over and (is_past or not self._begins(window.part)):
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
