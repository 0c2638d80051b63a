"""Labels of a camera, of a stream from an address or of a file that is still being written.

The source is read in a thread of its own (`live_reader`), so that a slow network never holds it up:
what comes too late is dropped and counted, and the labels stay at the present. A unidirectional TSM
takes one frame at a time (`vidrec.models.online_tsm`), other networks a part of the stream.
"""

import json
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from threading import current_thread, main_thread
from time import monotonic

from vidrec.data.video.decoder import VideoError
from vidrec.data.video.live import LiveSource
from vidrec.data.video.stream import FrameStream
from vidrec.inference.live_log import LiveLog
from vidrec.inference.live_network import LiveNetwork
from vidrec.inference.live_parts import LivePart, LiveParts
from vidrec.inference.live_reader import LiveReader
from vidrec.inference.network import Network
from vidrec.inference.options import Options
from vidrec.inference.result import ScoredClass
from vidrec.progress import print_above

EVERY = 2.0  # seconds of a part, if it is not given


def run(
    network: Network,
    options: Options,
    source: LiveSource,
    out: Path | None = None,
    as_json: bool = False,
    top: int = 1,
) -> int:
    """Label a source until it ends, or SIGINT (Ctrl-C) or SIGTERM; returns the exit status.

    out: a file that gets a line of JSON for each label, see `LiveLog`. as_json: print these lines
    instead of text, which names the `top` best classes.

    Raises ValueError if the network cannot do this, VideoError if the source cannot be opened.
    """
    live = LiveNetwork(network, replace(options, every=options.every or EVERY))
    with LiveLog(out, source.name, network.source) as log:

        def opened(stream: FrameStream, at: float) -> LiveParts:
            rate = f", {stream.fps:.4g} frames per second" if stream.fps else ""
            size = f"{stream.width} x {stream.height} pixels"
            note(f"{source.name}: {size}{rate}; {live.says}; Ctrl-C ends it")
            return live.parts_of(stream, at)

        reader = LiveReader(source, opened, note)
        counts = Counts(reader)
        reader.start()
        problem = None
        try:
            with interrupted_by_signals():
                for part in iter(reader.latest.get, None):
                    label = counts.label_of(part, live(part))
                    content = log.content(asdict(label))
                    print_above(json.dumps(content) if as_json else label.text(top))
                    log.write(content)
        except KeyboardInterrupt:
            pass
        except VideoError as error:
            if not counts.num_labels:
                raise
            problem = error
        finally:
            reader.close()
    note(f"{counts}{f'; {out}' if out else ''}")
    if problem is not None:
        note(f"error: {problem}")
    return 0 if problem is None else 1


@contextmanager
def interrupted_by_signals() -> Iterator[None]:
    """SIGINT and SIGTERM raise KeyboardInterrupt, also where a script ignores them (`&`)."""
    if current_thread() is not main_thread():
        yield  # the program that has other threads has its own way to end
        return
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, signal.default_int_handler) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def note(text: str) -> None:
    """Print a line that is no result: to standard error."""
    print(text, file=sys.stderr, flush=True)


@dataclass(frozen=True)
class Label:
    """The classes of a part, best first.

    start, end: of the part, seconds. latency: seconds from when the newest frame came until the
    label was known. num_frames, num_dropped: decoded and dropped since the beginning.
    """

    start: float
    end: float
    topk: list[ScoredClass]
    latency: float
    num_frames: int
    num_dropped: int

    def text(self, top: int) -> str:
        """A line with the `top` best classes."""
        classes = ", ".join(f"{best.name} {best.score:.2f}" for best in self.topk[:top])
        return (
            f"{self.end:.1f} s  {classes}  latency {1000 * self.latency:.0f} ms, "
            f"{self.num_dropped:,} of {self.num_frames:,} frames dropped"
        )


@dataclass
class Counts:
    """What happened so far.

    num_labelled: frames of the parts that have a label. latency: seconds, the sum of all labels.
    """

    reader: LiveReader
    num_labels: int = 0
    num_labelled: int = 0
    end: float = 0.0
    latency: float = 0.0
    most_latency: float = 0.0

    def label_of(self, part: LivePart, topk: list[ScoredClass]) -> Label:
        """The label of a part whose classes are known now."""
        latency = monotonic() - part.arrival
        self.num_labels += 1
        self.num_labelled += part.num_frames
        self.end = part.end
        self.latency += latency
        self.most_latency = max(self.most_latency, latency)
        latest = self.reader.latest
        return Label(part.start, part.end, topk, latency, latest.num_decoded, latest.num_dropped)

    def __str__(self) -> str:
        latest, mean = self.reader.latest, self.latency / max(1, self.num_labels)
        labels = f"{self.num_labels:,} label{'s' * (self.num_labels != 1)}"
        return (
            f"{self.end:.1f} s, {labels}, latency {1000 * mean:.0f} ms on "
            f"average and {1000 * self.most_latency:.0f} ms at most, {latest.num_dropped:,} of "
            f"{latest.num_decoded:,} frames dropped"
        )
