"""The frames of a video file, listed by a pass over its packets before anything is decoded."""

import io
import itertools
import os
import re
import stat
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Self, cast

import av
import numpy as np
from av.container import InputContainer
from av.error import FFmpegError
from av.video.stream import VideoStream

from vidrec.data.video.decoder import VideoError
from vidrec.data.video.resample import upright_size
from vidrec.data.video.truncation import announced_size

# Formats whose time stamps the demuxer guesses: their frames are counted in order of decoding.
_GUESSED_TIMES = {"mpegts", "h264", "hevc", "m4v", "mpegvideo"}
# In AVI the time stamps of packets are those of frames only for codecs without reordering.
_PLAIN_IN_AVI = {"mpeg4", "msmpeg4v3", "msmpeg4v2", "mjpeg", "rawvideo"}
_MPEG4_FRAME = re.compile(b"\x00\x00\x01\xb6(.)", re.DOTALL)  # start code, kind in two bits
_MPEG4_B = 2
# The packets of smaller files are kept after this pass for decoding.
_KEPT_BYTES = 32 << 20


@dataclass(frozen=True)
class FrameIndex:
    """The frames of a video stream.

    pts: (num_frames,) int64, time stamps in order of display; None: count the decoded frames.
    keyframes: (K,) int64, sorted time stamps of the packets at which decoding can start.
    width, height: pixels of the upright frames.
    """

    num_frames: int
    pts: np.ndarray | None
    keyframes: np.ndarray
    fps: float | None
    width: int
    height: int


@dataclass
class OpenVideo:
    """An opened file and its video stream; a context manager.

    packets: all of them, if the file is small and was just listed.
    """

    file: str | bytes
    container: InputContainer
    stream: VideoStream
    packets: list[av.Packet] | None = None

    def demux(self) -> Iterator[av.Packet]:
        """The packets from the current position of the container, and an empty one at the end.

        Other empty packets, with which e.g. Theora repeats a frame, end decoding: they are dropped.
        """
        # PyAV leaks memory if a loop over packets is left early without closing the generator.
        packets = cast(Generator[av.Packet, None, None], self.container.demux(self.stream))
        with closing(packets):
            for packet in packets:
                if packet.size:
                    yield packet
        yield packet  # PyAV's own, with the clock of the stream

    def demux_checked(self) -> Iterator[tuple[av.Packet, bool]]:
        """The packets of `demux`, and whether the container says that a part of each is lost."""
        is_transport = self.container.format.name == "mpegts"
        previous_marked = False
        packets = self.demux()
        packet = next(packets)
        for following in packets:
            # In transport streams FFmpeg marks the packet before the one with the gap.
            is_lost = previous_marked if is_transport else packet.is_corrupt
            yield packet, is_lost and not _is_seam(packet, following)
            previous_marked = packet.is_corrupt
            packet = following
        yield packet, False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.container.close()


def file_version(path: str) -> tuple[int, int]:
    """Modification time and size. Raises VideoError if the file is missing, empty or no file."""
    try:
        status = os.stat(path)
    except FileNotFoundError:
        raise VideoError(f"{path}: the file does not exist") from None
    except (OSError, ValueError) as error:
        raise VideoError(f"{path}: the file is not accessible: {error}") from error
    if not stat.S_ISREG(status.st_mode):
        raise VideoError(f"{path}: a folder or a device, not a video file")
    if status.st_size == 0:
        raise VideoError(f"{path}: the file is empty (0 bytes)")
    return status.st_mtime_ns, status.st_size


def open_video(file: str | bytes, name: str, probe: bool = False) -> OpenVideo:
    """Open a path or the bytes of a file. Probing decodes frames: 1-9 ms instead of 0.2."""
    try:
        container = av.open(
            io.BytesIO(file) if isinstance(file, bytes) else file,
            "r",
            options={} if probe else {"codec_whitelist": "none"},
            metadata_errors="ignore",
        )
    except (FFmpegError, OSError) as error:
        reason = error.strerror or str(error)
        raise VideoError(f"{name}: not a readable video: {reason}") from error
    video = video_of(container, name, file)
    if not probe:
        # When frames are skipped, a broken one would look like one that nothing refers to.
        video.stream.codec_context.options = {"err_detect": "explode"}
    return video


def video_of(container: InputContainer, name: str, file: str | bytes = "") -> OpenVideo:
    """The video stream of an opened container; closes it if there is none that can be decoded."""
    # FFmpeg presents a cover picture as a video stream.
    pictures = av.stream.Disposition.attached_pic
    streams = [s for s in container.streams.video if not s.disposition & pictures]
    if not streams:
        container.close()
        raise VideoError(f"{name}: the file has no video stream")
    stream = streams[0]
    if stream.codec_context is None:
        container.close()
        raise VideoError(f"{name}: there is no decoder for the video stream")
    # Decoder threads cost 6 to 58 % more CPU; the workers of the loader are the parallelism.
    stream.codec_context.thread_count = 1
    stream.codec_context.thread_type = "NONE"
    return OpenVideo(file, container, stream)


def check_complete(video: OpenVideo, name: str) -> None:
    """Raises VideoError if the file ends before its container says so."""
    present, announced = announced_size(video.file, video.container.format.name)
    if present < announced:
        raise VideoError(
            f"{name}: truncated: {present:,} bytes of at least {announced:,}; get the whole file"
        )


def _is_seam(packet: av.Packet, following: av.Packet) -> bool:
    """Whether two streams were joined here: packets are not numbered on, though none is lost."""
    if packet.dts is None or following.dts is None:
        return False
    return following.is_keyframe and following.dts < packet.dts


def _counted(video: OpenVideo) -> tuple[bool, bool]:
    """Whether time stamps of packets do not identify frames, whether it is MPEG-4 in AVI."""
    container, codec = video.container.format.name, video.stream.codec_context.name
    is_avi = container == "avi"
    counted = container in _GUESSED_TIMES or (is_avi and codec not in _PLAIN_IN_AVI)
    return counted, is_avi and codec == "mpeg4"


def list_frames(  # noqa: C901 - one pass, and each branch is a kind of real file
    video: OpenVideo, name: str, kept_bytes: int = _KEPT_BYTES
) -> FrameIndex:
    """Pass over all packets, then decode one frame: only that gives the upright size.

    kept_bytes: the packets of files up to this size stay in memory, as `video.packets`.
    """
    container, stream = video.container, video.stream
    counted, mpeg4_in_avi = _counted(video)
    times: list[int | None] = []
    keyframes: list[int] = []
    kept: list[av.Packet] = []
    num_packets = num_bytes = 0
    first_key = None
    try:
        for packet in video.demux():
            if num_bytes <= kept_bytes:
                kept.append(packet)
            size = packet.size
            if not size:
                break  # the end
            num_packets += 1
            num_bytes += size
            if mpeg4_in_avi:
                # Packed: a packet contains two frames, and a later one is a placeholder.
                kinds = _MPEG4_FRAME.findall(bytes(packet))
                counted |= len(kinds) > 1 or (len(kinds) == 1 and kinds[0][0] >> 6 == _MPEG4_B)
                if not kinds:
                    continue
            time = packet.pts
            if packet.is_keyframe:
                if first_key is None:
                    first_key = packet
                if time is not None:
                    keyframes.append(time)
            # Nothing before the first keyframe can be decoded; an edit list discards frames.
            if first_key is not None and not packet.is_discard:
                times.append(time)
    except FFmpegError as error:
        reason = error.strerror or str(error)
        raise VideoError(f"{name}: damaged after {num_packets} packets: {reason}") from error
    if container.format.name.startswith("mov") and num_packets < len(stream.index_entries):
        announced = len(stream.index_entries)
        raise VideoError(f"{name}: truncated: only {num_packets} of {announced} frames are present")
    if first_key is None or not times:
        raise VideoError(f"{name}: the video stream has no frames")
    pts = np.array([time for time in times if time is not None], dtype=np.int64)
    pts = np.unique(pts)
    if not counted and len(pts) == len(times) and num_bytes <= kept_bytes:
        video.packets = kept
    width, height = _upright_size(video, first_key, name)
    rate = stream.average_rate or stream.guessed_rate
    return FrameIndex(
        num_frames=len(times),
        pts=pts if not counted and len(pts) == len(times) else None,
        keyframes=np.array(sorted(keyframes), dtype=np.int64),
        fps=float(rate) if rate else None,
        width=width,
        height=height,
    )


def _upright_size(video: OpenVideo, first_key: av.Packet, name: str) -> tuple[int, int]:
    """Width and height of the first frame, upright."""
    frame = _first_frame(video.stream, [first_key])
    if frame is None:
        # Not every stream can be decoded from the packet of its first keyframe alone.
        with open_video(video.file, name, probe=True) as plain:
            frame = _first_frame(plain.stream, plain.demux())
    if frame is None:
        raise VideoError(f"{name}: no frame can be decoded")
    return upright_size(frame, name)


def _first_frame(stream: VideoStream, packets: Iterable[av.Packet]) -> av.VideoFrame | None:
    """The first frame decoded from `packets`, or when the decoder is flushed."""
    for packet in itertools.chain(packets, [None]):
        try:
            frames = stream.codec_context.decode(packet)
        except FFmpegError:
            continue
        if frames:
            return frames[0]
    return None
