"""Reading moments of a movie by time, without a pass over its two hours of packets."""

import math
from collections.abc import Iterator
from fractions import Fraction

import av
import numpy as np
from av.error import FFmpegError

from vidrec.data.video.decoder import Decoder, VideoError
from vidrec.data.video.frame_index import OpenVideo, file_version, open_video
from vidrec.data.video.geometry import CropPlan
from vidrec.data.video.resample import Cutter, quarter_turns

# Decoders that can skip unreferenced frames (NONREF) without changing a bit of the others.
_SKIPS_EXACTLY = {"h264", "hevc"}
_SKIP_BEFORE = 2.0  # seconds before the first moment up to which such frames are skipped
_RETRY = (0.0, 20.0, 120.0)  # seconds to seek earlier if an index led past the moment


def seconds_to_pts(seconds: float, time_base: Fraction, start: float = 0.0) -> int:
    """The time stamp of a moment of a stream; the displayed frame has the last one up to it.

    start: second of the stream's clock at which the file begins. Muxers round the times of frames
    to the base: a moment up to half a tick (or 0.6 ms if that is less) before a tick is the tick.

    >>> seconds_to_pts(902, Fraction(1, 30000))
    27060000
    >>> seconds_to_pts(2 / 30, Fraction(1, 1000), start=1.4)
    1467
    """
    tolerance = min(Fraction(1, 2), Fraction(6, 10_000) / time_base)
    return math.floor((Fraction(seconds) + Fraction(start)) / time_base + tolerance)


class TimestampDecoder(Decoder[av.VideoFrame]):
    """The frames displayed at some moments, decoded when opened; frame i is that of moment i.

    seconds: (F,) ascending, from the beginning of the file. Moments outside the video show its
    first or last frame.
    """

    fps = None

    def __init__(self, path: str, seconds: np.ndarray, accurate: bool = False) -> None:
        self.name = path
        self._accurate = accurate
        file_version(path)
        with open_video(path, path) as video:
            try:
                self._decoded = _frames_at(video, seconds.tolist(), path)
            except FFmpegError as error:
                reason = error.strerror or str(error)
                raise VideoError(
                    f"{path}: decoding failed around {seconds[0]:.1f} s: {reason}"
                ) from error
        self.num_frames = len(self._decoded)
        first = self._decoded[0]
        self.width, self.height = first.width, first.height
        if quarter_turns(first) % 2:
            self.width, self.height = first.height, first.width

    def _frames(self, wanted: list[int]) -> Iterator[tuple[int, av.VideoFrame]]:
        return ((index, self._decoded[index]) for index in wanted)

    def _cutter(self, plan: CropPlan) -> Cutter:
        return Cutter(plan, self.width, self.height, self._accurate)


def _frames_at(video: OpenVideo, seconds: list[float], name: str) -> list[av.VideoFrame]:
    """The frame displayed at each of `seconds`, which ascend."""
    base = video.stream.time_base
    if base is None:
        raise VideoError(f"{name}: the video stream has no clock; extract its frames into a folder")
    start = (video.container.start_time or 0) / av.time_base
    targets = [seconds_to_pts(second, base, start) for second in seconds]
    first = seconds_to_pts(0, base, start)
    for earlier in _RETRY:
        begin = targets[0] - seconds_to_pts(earlier, base)
        if begin <= first:
            break
        video.container.seek(begin, stream=video.stream, backward=True)
        # An index may lead past the moment: then seek again, further before it.
        if frames := _decode(video, targets, name, from_start=False):
            return frames
    # Not a seek to the beginning: in some formats it ends at the second keyframe.
    with open_video(video.file, name) as again:
        if frames := _decode(again, targets, name, from_start=True):
            return frames
    raise VideoError(f"{name}: no frame can be decoded around {seconds[0]:.1f} s")


def _decode(
    video: OpenVideo, targets: list[int], name: str, from_start: bool
) -> list[av.VideoFrame]:
    """The frames displayed at `targets`, decoding from the current position of the container.

    Empty if there are none, or, unless `from_start`, if the first is after the first target.
    """
    context = video.stream.codec_context
    assert video.stream.time_base is not None
    margin = seconds_to_pts(_SKIP_BEFORE, video.stream.time_base)
    found: list[av.VideoFrame] = []
    shown: av.VideoFrame | None = None
    for packet in video.demux():
        if context.name in _SKIPS_EXACTLY:
            skip = packet.pts is not None and packet.pts < targets[0] - margin
            context.skip_frame = "NONREF" if skip else "DEFAULT"
        for frame in context.decode(packet):
            if frame.pts is None:
                raise VideoError(
                    f"{name}: the frames have no time stamps; extract them into a folder"
                )
            if shown is None and frame.pts > targets[0] and not from_start:
                return []
            while len(found) < len(targets) and frame.pts > targets[len(found)]:
                found.append(shown or frame)
            if frame.is_corrupt and frame.pts >= targets[0] - margin:
                second = float(frame.pts * video.stream.time_base)
                raise VideoError(f"{name}: the frame at {second:.2f} s is corrupt")
            if len(found) == len(targets):
                return found
            shown = frame
    return found + [shown] * (len(targets) - len(found)) if shown is not None else []


def length_of(path: str) -> float:
    """Duration of a file in seconds, from its header, or else up to its last packet."""
    file_version(path)
    with open_video(path, path) as video:
        stream = video.stream
        if video.container.duration:
            return video.container.duration / av.time_base
        if stream.duration and stream.time_base:
            return float(stream.duration * stream.time_base)
        last = max((packet.pts or 0 for packet in video.demux()), default=0)
        return float(last * stream.time_base) if stream.time_base else 0.0
