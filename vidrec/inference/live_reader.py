"""Reading a live source in a thread of its own, which never waits for the network.

A stream that is not read falls behind, and cameras and servers give up on it. So the thread always
reads; of the parts that the network has no time for, the oldest are dropped and counted.
"""

import time
from collections import deque
from collections.abc import Callable
from threading import Condition, Event, Thread

from vidrec.data.video.decoder import VideoError
from vidrec.data.video.live import LiveSource
from vidrec.data.video.stream import FrameStream, StreamFrame
from vidrec.inference.live_parts import LivePart, LiveParts

RECONNECTS = 3  # attempts to open an address again, until a frame comes
RECONNECT_SECONDS = 1.0  # before the first of them; doubled each time
MOST_PARTS = 2  # that wait for the network
_LOST = {
    "camera": "the camera is gone",
    "address": "the connection was lost",
    "file": "reading ended early",
}


class LatestParts:
    """The parts that wait for the network: at most `MOST_PARTS`.

    waits: whether the reader waits for room; if not, the oldest part is dropped.
    num_decoded, num_dropped: frames so far. most_held: the largest number of parts that waited.
    """

    def __init__(self, waits: bool) -> None:
        self.num_decoded = self.num_dropped = self.most_held = 0
        self._waits = waits
        self._parts: deque[LivePart] = deque()
        self._changed = Condition()
        self._is_over = False
        self._error: BaseException | None = None

    def put(self, part: LivePart, stop: Event) -> None:
        """Add a part; another thread that sets `stop` ends the waiting for room."""
        with self._changed:
            while self._waits and len(self._parts) == MOST_PARTS and not stop.is_set():
                self._changed.wait(0.1)
            if len(self._parts) == MOST_PARTS:
                self.num_dropped += self._parts.popleft().num_frames
            self._parts.append(part)
            self.most_held = max(self.most_held, len(self._parts))
            self._changed.notify_all()

    def end(self, error: BaseException | None) -> None:
        """Nothing follows; error: why, if that is not the end of the video."""
        with self._changed:
            self._is_over, self._error = True, error
            self._changed.notify_all()

    def get(self) -> LivePart | None:
        """The oldest part, as soon as there is one; None at the end. Raises what ended reading."""
        with self._changed:
            while not self._parts and not self._is_over:
                self._changed.wait(0.1)  # not for ever: so that Ctrl-C is noticed everywhere
            if self._parts:
                part = self._parts.popleft()
                self._changed.notify_all()
                return part
            if self._error is not None:
                raise self._error
            return None


class LiveReader(Thread):
    """Decodes a source and fills `latest`, until the source ends or `close` is called.

    parts_of: makes the parts of a stream that was opened so many seconds after the start.
    note: shows a line.
    num_left: frames after the last part.
    """

    def __init__(
        self,
        source: LiveSource,
        parts_of: Callable[[FrameStream, float], LiveParts],
        note: Callable[[str], None],
    ) -> None:
        super().__init__(name="live reader", daemon=True)
        self.latest = LatestParts(source.waits)
        self.num_left = 0
        self._source = source
        self._parts_of = parts_of
        self._note = note
        self._stop_event = Event()
        self._begin: float | None = None  # when the first frame came
        self._end = 0.0  # seconds of the run that parts were made of

    def close(self) -> None:
        """Stop reading; does not wait for a camera or a server that is silent."""
        self._stop_event.set()
        self.join(timeout=1.0)

    def run(self) -> None:
        """Read until the end; the error that ended it goes to `latest`."""
        try:
            self._read_all()
            self.latest.end(None)
        except BaseException as error:  # it is raised again where parts are taken
            self.latest.end(error)

    def _read_all(self) -> None:
        failures = 0
        while not self._stop_event.is_set():
            before = self.latest.num_decoded
            reason = self._read_connection(failures)
            if reason is None:
                return
            failures = 1 if self.latest.num_decoded > before else failures + 1
            sentence = f"{self._source.name}: {reason}"
            if self._source.kind != "address":
                raise VideoError(sentence)
            if failures > RECONNECTS:
                raise VideoError(f"{sentence}; gave up after {RECONNECTS} attempts")
            seconds = RECONNECT_SECONDS * 2 ** (failures - 1)
            self._note(
                f"warning: {sentence}; attempt {failures} of {RECONNECTS} to open it again in "
                f"{seconds:g} s"
            )
            self._stop_event.wait(seconds)

    def _read_connection(self, failures: int) -> str | None:
        """Read until the source ends, None, or is lost, the reason.

        Raises VideoError if it cannot be opened in the first place.
        """
        try:
            stream = self._source.open(self._stop_event)
        except VideoError as error:
            if not failures:
                raise
            return self._source.reason(error)
        parts = None
        try:
            with stream:
                parts = self._parts_of(stream, self._elapsed())
                self._read(stream, parts)
                return self._end_of(stream)
        except VideoError as error:
            return f"{_LOST[self._source.kind]}: {self._source.reason(error)}"
        finally:
            if parts is not None:
                for part in parts.finish():
                    self.latest.put(part, self._stop_event)
                    self._end = part.end
                self.num_left += parts.num_waiting

    def _read(self, stream: FrameStream, parts: LiveParts) -> None:
        first: tuple[float, float] | None = None  # arrival and time of the first frame
        for shown in stream:
            arrival = time.monotonic()
            first = first or (arrival, shown.time)
            self._begin = self._begin or arrival
            self.latest.num_decoded += 1
            seconds = self._seconds(shown, arrival, first)
            for part in parts.push(seconds, arrival, shown.frame):
                self.latest.put(part, self._stop_event)
            self._end = parts.opened + seconds
            if self._stop_event.is_set():
                return

    def _seconds(self, shown: StreamFrame, arrival: float, first: tuple[float, float]) -> float:
        """When a frame is shown: of a file from its start, else from the first frame.

        Without a clock of the stream, a frame is of the time when it came.
        """
        if self._source.kind == "file":
            return shown.time
        return arrival - first[0] if shown.tick is None else shown.time - first[1]

    def _elapsed(self) -> float:
        """Seconds since the first frame of the run; servers may have sent more at once."""
        return 0.0 if self._begin is None else max(time.monotonic() - self._begin, self._end)

    def _end_of(self, stream: FrameStream) -> str | None:
        """Why reading should not have ended; None if it may: a camera and a broadcast do not."""
        if self._stop_event.is_set() or self._source.kind == "file":
            return None
        if self._source.kind == "camera":
            return _LOST["camera"]
        return None if stream.duration is not None else "the stream ended"
