"""Reading moments of a movie by time, without a pass over its two hours of packets."""

import math
from collections.abc import Iterator
from fractions import Fraction

import av
import numpy as np
from av.error import FFmpegError

from vidrec.data.video.decoder import Decoder, VideoError
from vidrec.data.video.frame_index import OpenVideo, check_complete, file_version, open_video
from vidrec.data.video.geometry import CropPlan
from vidrec.data.video.resample import Cutter, upright_size

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
    frame_seconds: how long a frame is shown on average.
    """

    fps = None

    def __init__(self, path: str, seconds: np.ndarray, accurate: bool = False) -> None:
        self.name = path
        self._accurate = accurate
        file_version(path)
        with open_video(path, path) as video:
            check_complete(video, path)
            try:
                self._decoded = _frames_at(video, seconds.tolist(), path)
            except (VideoError, FFmpegError):
                # Each by itself: what is readable must not depend on what else is asked for.
                self._decoded = [_frame_at(video, second, path) for second in seconds.tolist()]
            self.frame_seconds = _frame_seconds(video)
            self._start = start_of(video)
        self.num_frames = len(self._decoded)
        self.width, self.height = upright_size(self._decoded[0], path)

    def shown_until(self, index: int) -> float:
        """The second at which frame `index` ends, as far as it is written in the frame."""
        frame = self._decoded[index]
        assert frame.time is not None
        assert frame.time_base is not None
        length = float((frame.duration or 0) * frame.time_base)
        return frame.time - self._start + max(length, self.frame_seconds)

    def _frames(self, wanted: list[int]) -> Iterator[tuple[int, av.VideoFrame]]:
        return ((index, self._decoded[index]) for index in wanted)

    def _cutter(self, plan: CropPlan) -> Cutter:
        return Cutter(plan, self.width, self.height, self._accurate)


def start_of(video: OpenVideo) -> float:
    """The second of the stream's clock at which the file begins."""
    return (video.container.start_time or 0) / av.time_base


def _frame_seconds(video: OpenVideo) -> float:
    return float(1 / (video.stream.average_rate or video.stream.guessed_rate or 25))


def _frame_at(video: OpenVideo, second: float, name: str) -> av.VideoFrame:
    try:
        return _frames_at(video, [second], name)[0]
    except FFmpegError as error:
        reason = error.strerror or str(error)
        raise VideoError(f"{name}: decoding failed around {second:.1f} s: {reason}") from error


def _frames_at(video: OpenVideo, seconds: list[float], name: str) -> list[av.VideoFrame]:
    """The frame displayed at each of `seconds`, which ascend."""
    base = video.stream.time_base
    if base is None:
        raise VideoError(f"{name}: the video stream has no clock; extract its frames into a folder")
    start = start_of(video)
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
    for packet, is_lost in video.demux_checked():
        skip = packet.pts is not None and packet.pts < targets[0] - margin
        if is_lost and not skip:
            raise _corrupt((packet.pts or 0) * video.stream.time_base, name)
        if context.name in _SKIPS_EXACTLY:
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
                raise _corrupt(frame.pts * video.stream.time_base, name)
            if len(found) == len(targets):
                return found
            shown = frame
    return found + [shown] * (len(targets) - len(found)) if shown is not None else []


def _corrupt(second: Fraction, name: str) -> VideoError:
    return VideoError(f"{name}: the frame at {float(second):.2f} s is corrupt")


def length_of(path: str) -> float:
    """Duration of a file in seconds, from its header, or else up to its last packet."""
    file_version(path)
    with open_video(path, path) as video:
        check_complete(video, path)
        stream = video.stream
        if video.container.duration:
            return video.container.duration / av.time_base
        if stream.duration and stream.time_base:
            return float(stream.duration * stream.time_base)
        last = max((packet.pts or 0 for packet in video.demux()), default=0)
        return float(last * stream.time_base) if stream.time_base else 0.0


def last_frame_end(path: str, enough: float = math.inf) -> float:
    """The second at which the last frame of a file ends, inf if its packets have no times.

    Unlike the length in the header, that of the pictures alone: sound may go on. enough: the end
    of the first frame that ends later will do.
    """
    end = -math.inf
    with open_video(path, path) as video:
        start, seconds = start_of(video), _frame_seconds(video)
        try:
            for packet in video.demux():
                time = packet.dts if packet.pts is None else packet.pts
                if time is None or packet.time_base is None:
                    continue
                length = float((packet.duration or 0) * packet.time_base)
                end = max(end, float(time * packet.time_base) - start + max(length, seconds))
                if end > enough:
                    break
        except FFmpegError as error:
            raise VideoError(f"{path}: damaged: {error.strerror or error}") from error
    return end if math.isfinite(end) else math.inf
