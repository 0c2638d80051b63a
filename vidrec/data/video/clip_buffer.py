"""Clips cut out of a video that is read from front to back, of which few frames are kept."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import av
import numpy as np

from vidrec.data.video.decoder import VideoError
from vidrec.data.video.geometry import CropPlan
from vidrec.data.video.resample import Cutter
from vidrec.data.video.stream import FrameStream


class _Shown(NamedTuple):
    """The frame on show from a place on."""

    place: float
    frame: av.VideoFrame


class _Request:
    """Places of one clip, and the frames that are found so far."""

    def __init__(self, places: Sequence[float] | np.ndarray) -> None:
        if not len(places):
            raise ValueError("a clip needs at least one frame")
        self.places, self.rows = np.unique(np.asarray(places), return_inverse=True)
        self.frames: list[np.ndarray] = []

    @property
    def is_complete(self) -> bool:
        return len(self.frames) == len(self.places)

    def num_before(self, place: float) -> int:
        """How many more places are before `place`."""
        return int(np.searchsorted(self.places, place)) - len(self.frames)

    def clip(self) -> np.ndarray:
        """(F, h, w, C), one frame for each place that was asked for, in that order."""
        return np.stack(self.frames)[self.rows.reshape(-1)]


class ClipBuffer:
    """Fills clips with the frames that are pushed, one after the other.

    A place is what the requests and the frames count in alike: frame numbers, ticks or seconds.

    It shows the last frame at or before it, as a player does: places before the first frame show
    that, places after the last one the last. Frames are cut when a clip shows them, and dropped
    when no clip needs them any more.

    requests: places of the frames of each clip, in any order and with repeats; the smallest of
        every clip is at least that of the clip before. They are asked for as the video goes on.
    cut: the pixels (h, w, C) uint8 of a frame.
    most_held: the largest number of cut frames that were held at a time.
    """

    def __init__(
        self,
        requests: Iterable[Sequence[float] | np.ndarray],
        cut: Callable[[av.VideoFrame], np.ndarray],
    ) -> None:
        self.most_held = 0
        self._requests = iter(requests)
        self._cut = cut
        self._next: _Request | None = None
        self._begin = -np.inf  # first place of the last request
        self._open: deque[_Request] = deque()  # those that have begun, in their order
        self._shown: _Shown | None = None
        self._pixels: np.ndarray | None = None  # of the frame on show, once it was cut

    def push(self, place: float, frame: av.VideoFrame) -> Iterator[np.ndarray]:
        """The next frame; yields the clips (F, h, w, C) that are complete now, in their order.

        To be read to the end before the next frame is pushed.
        """
        if self._shown is None:
            self._shown = _Shown(place, frame)
        yield from self._fill(place)
        self._shown, self._pixels = _Shown(place, frame), None

    def finish(self) -> Iterator[np.ndarray]:
        """The clips that are left when no frame follows; nothing if there was no frame at all."""
        if self._shown is not None:
            yield from self._fill(np.inf)

    def _fill(self, until: float) -> Iterator[np.ndarray]:
        """Give the frame on show to all places before `until`."""
        for request in self._open:
            self._show(request, until)
        yield from self._complete()
        while (begun := self._peek()) is not None and begun.places[0] < until:
            self._open.append(begun)
            self._next = None
            self._show(begun, until)
            yield from self._complete()

    def _complete(self) -> Iterator[np.ndarray]:
        distinct = {id(frame) for request in self._open for frame in request.frames}
        self.most_held = max(self.most_held, len(distinct))
        while self._open and self._open[0].is_complete:
            yield self._open.popleft().clip()

    def _peek(self) -> _Request | None:
        if self._next is None and (places := next(self._requests, None)) is not None:
            self._next = _Request(places)
            if self._next.places[0] < self._begin:
                raise ValueError(
                    f"a clip that begins at {self._next.places[0]} comes after one that begins at "
                    f"{self._begin}: sort the clips by their first frame"
                )
            self._begin = self._next.places[0]
        return self._next

    def _show(self, request: _Request, until: float) -> None:
        number = request.num_before(until)
        if number and self._pixels is None:
            assert self._shown is not None
            self._pixels = self._cut(self._shown.frame)
        if number:
            assert self._pixels is not None
            request.frames += [self._pixels] * number


def cut_with(stream: FrameStream, plan: CropPlan) -> Callable[[av.VideoFrame], np.ndarray]:
    """A function that cuts the plan out of the stream's frames, exactly as for an evaluation."""
    cutter = Cutter(plan, stream.width, stream.height, accurate=True)

    def cut(frame: av.VideoFrame) -> np.ndarray:
        pixels = np.empty((*plan.size, 3), np.uint8)
        cutter(frame, pixels)
        return pixels

    return cut


def clips_of_frames(
    stream: FrameStream, plan: CropPlan, requests: Iterable[Sequence[int]]
) -> Iterator[np.ndarray]:
    """Clips (F, h, w, C) of frame numbers, ascending as `ClipBuffer` says.

    In place of a frame that is damaged, the last one before it is shown.
    """
    buffer = ClipBuffer(requests, cut_with(stream, plan))
    for shown in stream:
        yield from buffer.push(shown.number, shown.frame)
    yield from buffer.finish()


def clips_of_moments(
    stream: FrameStream, plan: CropPlan, requests: Iterable[Sequence[float]]
) -> Iterator[np.ndarray]:
    """Clips (F, h, w, C) of the frames displayed at moments in seconds from the start of the file.

    The frames are those of `TimestampDecoder`, except that a damaged one is replaced by the last
    one before it. Raises VideoError if the file has no time stamps.
    """
    ticks = ([stream.tick(second) for second in moments] for moments in requests)
    buffer = ClipBuffer(ticks, cut_with(stream, plan))
    for shown in stream:
        if shown.tick is None:
            raise VideoError(
                f"{stream.name}: the frames have no time stamps; extract them into a folder"
            )
        yield from buffer.push(shown.tick, shown.frame)
    yield from buffer.finish()
