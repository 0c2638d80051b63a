"""Reading chosen frames of a video file with PyAV: exactly, and decoding as little as possible.

Frames are found by their time stamps, which a pass over the packets lists without decoding. Numbers of
frames and durations in headers are not believed. Files whose time stamps do not name their frames are
decoded from the start and counted.
"""

import io
import os
import stat
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Self

import av
import numpy as np
from av.container import InputContainer
from av.error import FFmpegError, InvalidDataError
from av.video.stream import VideoStream

from vidrec.data.scaling import Cutter, quarter_turns
from vidrec.data.source import Source, VideoError, rows_of

if TYPE_CHECKING:
    from vidrec.data.annotations import Record
    from vidrec.data.transforms import Plan

__all__ = ["Source", "VideoError", "VideoReader"]

# Decoders that drop frames nothing refers to (skip_frame=NONREF) and leave the others bit for bit the same.
_SKIPS_EXACTLY = {"h264", "hevc"}
# Formats whose time stamps are guessed by the demuxer: frames are counted as they come out.
_GUESSED_TIMES = {"mpegts", "h264", "hevc", "m4v", "mpegvideo"}
# In AVI only codecs without reordered frames keep the time stamps of their packets.
_PLAIN_IN_AVI = {"mpeg4", "msmpeg4v3", "msmpeg4v2", "mjpeg", "rawvideo"}
# Decoding on past this many unwanted frames costs less than a seek to a keyframe.
_SEEK_GAIN = 2
_MPEG4_FRAME = b"\x00\x00\x01\xb6"
_MAX_REORDER = 16  # frames that H.264 and HEVC may hold back


@dataclass(frozen=True)
class FrameTable:
    """The frames of a video stream, as a pass over its packets finds them.

    pts: (num_frames,) int64, time stamps in order of display; None: count frames as they come out.
    keyframes: (K,) int64, sorted time stamps of the packets that decoding can start at.
    width, height: pixels as displayed.
    """

    num_frames: int
    pts: np.ndarray | None
    keyframes: np.ndarray
    fps: float | None
    width: int
    height: int


class VideoReader:
    """Opens video files, or the bytes of one.

    accurate: scale RGB with an antialiased filter and exact boxes, for evaluation; else the fast way.
    table_frames: frames (8 bytes each) whose tables are remembered, over all files, until the file changes.
    """

    def __init__(self, accurate: bool = False, table_frames: int = 1 << 20) -> None:
        self.accurate = accurate
        self.table_frames = table_frames
        self._tables: OrderedDict[str, tuple[tuple[int, int], FrameTable]] = OrderedDict()
        self._num_remembered = 0

    def open(self, record: "Record | None", path: str | bytes) -> "VideoSource":
        """The video at `path`, or in the bytes `path`."""
        if isinstance(path, bytes):
            return VideoSource(path, "video in memory", self.accurate, None)
        version = _version(path)
        known = self._tables.get(path)
        if known and known[0] == version:
            self._tables.move_to_end(path)
            return VideoSource(path, path, self.accurate, known[1])
        source = VideoSource(path, path, self.accurate, None)
        self._remember(path, version, source.table)
        return source

    def _remember(self, path: str, version: tuple[int, int], table: FrameTable) -> None:
        if table.num_frames > self.table_frames:
            return
        replaced = self._tables.pop(path, None)
        self._num_remembered += table.num_frames - (replaced[1].num_frames if replaced else 0)
        self._tables[path] = version, table
        while self._num_remembered > self.table_frames:
            _, (_, oldest) = self._tables.popitem(last=False)
            self._num_remembered -= oldest.num_frames


class VideoSource:
    """An opened video file; see `Source`."""

    def __init__(
        self, file: str | bytes, name: str, accurate: bool, table: FrameTable | None
    ) -> None:
        self.name = name
        self._file = file
        self._accurate = accurate
        self._opened: tuple[InputContainer, VideoStream] | None = None
        if table is None:
            try:
                table = self._scan()
            except BaseException:
                self.close()
                raise
        self.table = table
        self.num_frames = table.num_frames
        self.fps = table.fps
        self.width = table.width
        self.height = table.height

    def read(
        self, indices: Sequence[int], plan: "Plan", out: np.ndarray | None = None
    ) -> np.ndarray:
        shape = (len(indices), *plan.size, 3)
        if out is None:
            out = np.empty(shape, dtype=np.uint8)
        elif out.shape != shape or out.dtype != np.uint8 or not out.flags.c_contiguous:
            raise ValueError(f"out is {out.dtype} {out.shape}; it must be C-contiguous uint8 {shape}")
        self._read(indices, [plan], [out])
        return out

    def read_many(self, indices: Sequence[int], plans: Sequence["Plan"]) -> list[np.ndarray]:
        outs = [np.empty((len(indices), *plan.size, 3), dtype=np.uint8) for plan in plans]
        self._read(indices, plans, outs)
        return outs

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        if self._opened:
            self._opened[0].close()
            self._opened = None

    def _read(
        self, indices: Sequence[int], plans: Sequence["Plan"], outs: Sequence[np.ndarray]
    ) -> None:
        rows = rows_of(indices, self.num_frames, self.name)
        cutters = [Cutter(plan, self.width, self.height, self._accurate) for plan in plans]
        missing = set(rows)
        for index, frame in self._frames(sorted(rows)):
            first, *repeats = rows[index]
            for cutter, out in zip(cutters, outs, strict=True):
                cutter(frame, out[first])
                for row in repeats:
                    out[row] = out[first]
            missing.discard(index)
        if missing:
            raise VideoError(
                f"{self.name}: frame {min(missing)} of {self.num_frames} cannot be decoded"
                f" ({len(missing)} of the {len(rows)} frames asked for are missing)"
            )

    def _frames(self, wanted: list[int]) -> Iterator[tuple[int, av.VideoFrame]]:
        """(index, frame) of every frame in `wanted`, sorted; again from the first if one is damaged."""
        if not wanted:
            return
        if self.table.pts is not None:
            if not self._opened:
                self._opened = _open(self._file, self.name)
            try:
                yield from _seek_and_decode(*self._opened, self.table, wanted)
                return
            except (_Damaged, FFmpegError):
                self.close()
        # What a plain decoder makes of the file decides, with the stream probed by decoding.
        container, stream = _open(self._file, self.name, probe=True)
        with container:
            yield from _decode_in_order(container, stream, self.table, wanted, self.name)

    def _scan(self) -> FrameTable:
        """List the packets and decode one frame, which alone tells the size as displayed."""
        self._opened = container, stream = _open(self._file, self.name)
        packets = _list_packets(container, stream, self.name)
        frame = _first_frame(stream, packets.first_key)
        if frame is None:
            # Not every stream can be decoded from its first keyframe's packet alone.
            plain, plain_stream = _open(self._file, self.name, probe=True)
            with plain:
                frame = _first_frame(plain_stream, *plain.demux(plain_stream))
        if frame is None:
            raise VideoError(f"{self.name}: no frame can be decoded")
        width, height = frame.width, frame.height
        if quarter_turns(frame) % 2:
            width, height = height, width
        rate = stream.average_rate or stream.guessed_rate
        return FrameTable(
            num_frames=packets.num_frames,
            pts=packets.pts,
            keyframes=packets.keyframes,
            fps=float(rate) if rate else None,
            width=width,
            height=height,
        )


class _Damaged(Exception):
    """The quick way did not deliver every frame unharmed."""


@dataclass(frozen=True)
class _Packets:
    num_frames: int
    pts: np.ndarray | None
    keyframes: np.ndarray
    first_key: av.Packet


def _version(path: str) -> tuple[int, int]:
    """What changes when the file does; errors that opening would word less plainly."""
    try:
        status = os.stat(path)
    except FileNotFoundError:
        raise VideoError(f"{path}: the file does not exist") from None
    except (OSError, ValueError) as error:
        raise VideoError(f"{path}: the file cannot be reached: {error}") from error
    if not stat.S_ISREG(status.st_mode):
        raise VideoError(f"{path}: this is a folder or a device, not a video file")
    if status.st_size == 0:
        raise VideoError(f"{path}: the file is empty (0 bytes)")
    return status.st_mtime_ns, status.st_size


def _open(
    file: str | bytes, name: str, probe: bool = False
) -> tuple[InputContainer, VideoStream]:
    """A container and its video stream. Without `probe` no decoder is tried: 0.2 instead of 1-9 ms."""
    try:
        container = av.open(
            io.BytesIO(file) if isinstance(file, bytes) else file,
            options={} if probe else {"codec_whitelist": "none"},
            metadata_errors="ignore",
        )
    except (FFmpegError, OSError) as error:
        reason = error.strerror or str(error)
        raise VideoError(f"{name}: not a readable video: {reason}") from error
    # A cover picture is a video stream to FFmpeg.
    pictures = av.stream.Disposition.attached_pic
    streams = [s for s in container.streams.video if not s.disposition & pictures]
    if not streams:
        container.close()
        raise VideoError(f"{name}: there is no video stream in the file")
    stream = streams[0]
    if stream.codec_context is None:
        container.close()
        raise VideoError(f"{name}: there is no decoder for the video stream")
    # Threads of the decoder cost 6 to 58 % more CPU; the workers of the loader are the parallelism.
    stream.codec_context.thread_count = 1
    stream.codec_context.thread_type = "NONE"
    return container, stream


def _list_packets(container: InputContainer, stream: VideoStream, name: str) -> _Packets:
    """Demux the whole stream: the time stamps of its frames, sorted, and its keyframes."""
    counted = container.format.name in _GUESSED_TIMES
    is_avi = container.format.name == "avi"
    mpeg4_in_avi = is_avi and stream.codec_context.name == "mpeg4"
    counted |= is_avi and stream.codec_context.name not in _PLAIN_IN_AVI
    times: list[int] = []
    keyframes: list[int] = []
    num_frames = num_packets = 0
    first_key = None
    try:
        for packet in container.demux(stream):
            if not packet.size:
                continue
            num_packets += 1
            if mpeg4_in_avi:
                # Packed: a packet with two frames, and later a stand-in for the second.
                num_coded = bytes(packet).count(_MPEG4_FRAME)
                counted |= num_coded > 1
                if not num_coded:
                    continue
            if first_key is None:
                if not packet.is_keyframe:
                    continue  # nothing to decode it from
                first_key = packet
            time = packet.pts
            counted |= time is None
            if packet.is_keyframe and time is not None:
                keyframes.append(time)
            if not packet.is_discard:  # cut off by an edit list
                num_frames += 1
                if time is not None:
                    times.append(time)
    except FFmpegError as error:
        reason = error.strerror or str(error)
        raise VideoError(
            f"{name}: truncated or damaged after {num_packets} packets: {reason}"
        ) from error
    if container.format.name.startswith("mov") and num_packets < len(stream.index_entries):
        raise VideoError(
            f"{name}: truncated: it holds {num_packets} of {len(stream.index_entries)} frames"
        )
    if first_key is None or not num_frames:
        raise VideoError(f"{name}: the video stream holds no frames")
    pts = np.unique(np.array(times, dtype=np.int64))
    counted |= len(pts) != num_frames
    return _Packets(
        num_frames=num_frames,
        pts=None if counted else pts,
        keyframes=np.array(sorted(keyframes), dtype=np.int64),
        first_key=first_key,
    )


def _first_frame(stream: VideoStream, *packets: av.Packet) -> av.VideoFrame | None:
    """The first frame that comes out of `packets`, then of the emptied decoder."""
    for packet in (*packets, None):
        try:
            frames = stream.codec_context.decode(packet)
        except FFmpegError:
            continue
        if frames:
            return frames[0]
    return None


def _runs(table: FrameTable, wanted: list[int]) -> Iterator[tuple[int | None, list[int]]]:
    """`wanted` cut where jumping to a keyframe saves decoding: (time of the keyframe, frames).

    The keyframe is None where no keyframe precedes the frames in time: start at the first packet.
    """
    times = table.pts[wanted]
    before = np.searchsorted(table.keyframes, times, side="right") - 1
    keyframe_rows = np.searchsorted(table.pts, table.keyframes)
    gain = 1 if len(table.keyframes) == table.num_frames else _SEEK_GAIN
    start = 0
    for stop in range(1, len(wanted) + 1):
        if stop < len(wanted) and keyframe_rows[before[stop]] - wanted[stop - 1] <= gain:
            continue
        key = before[start]
        yield int(table.keyframes[key]) if key >= 0 else None, wanted[start:stop]
        start = stop


def _seek_and_decode(
    container: InputContainer, stream: VideoStream, table: FrameTable, wanted: list[int]
) -> Iterator[tuple[int, av.VideoFrame]]:
    """From a keyframe to the frames that follow it, leaving out frames that nothing refers to.

    Raises `_Damaged` when a frame is missing or decoding met an error anywhere on the way.
    """
    context = stream.codec_context
    skips = context.name in _SKIPS_EXACTLY
    for key, run in _runs(table, wanted):
        rows = dict(zip(table.pts[run].tolist(), run, strict=True))
        missing = set(rows)
        unsent = len(rows)
        start = int(table.keyframes[0]) if key is None else key
        container.seek(start, stream=stream, backward=True)
        for packet in container.demux(stream):
            if skips:
                needed = packet.pts in rows or packet.pts is None
                context.skip_frame = "DEFAULT" if needed else "NONREF"
            unsent -= packet.pts in rows
            # The last wanted packet is in: empty the decoder instead of feeding what it holds back for.
            ready = [packet] if unsent and packet.size else [packet, None]
            for part in ready if packet.size else [None]:
                for frame in _decode(context, part):
                    if frame.pts in missing:
                        missing.discard(frame.pts)
                        yield rows[frame.pts], frame
            if not unsent:
                break
        if missing:
            raise _Damaged


def _decode(context: av.VideoCodecContext, packet: av.Packet | None) -> Iterable[av.VideoFrame]:
    try:
        frames = context.decode(packet)
    except InvalidDataError as error:
        raise _Damaged from error
    if any(frame.is_corrupt for frame in frames):
        raise _Damaged
    return frames


def _decode_in_order(
    container: InputContainer,
    stream: VideoStream,
    table: FrameTable,
    wanted: list[int],
    name: str,
) -> Iterator[tuple[int, av.VideoFrame]]:
    """The wanted frames among all that a plain decoder gives from the start.

    Raises `VideoError` when one of them is damaged, or depends on damage before it in its group of pictures.
    """
    left = set(wanted)
    groups: dict[int, int] = {}  # of the frames delivered: the number of keyframes up to them
    damage: list[tuple[int, int]] = []  # group, first frame harmed
    place = num_keyframes = 0
    for packet, frame in _outputs(container, stream):
        time = packet.pts if frame is None else frame.pts
        num_keyframes += frame is not None and frame.key_frame
        if table.pts is None:
            index, group = place, num_keyframes
        elif time is None:
            continue
        else:
            index = int(np.searchsorted(table.pts, time))
            group = int(np.searchsorted(table.keyframes, time, side="right"))
            if frame is not None and table.pts[index : index + 1] != time:
                continue  # cut off by an edit list
        if frame is None or frame.is_corrupt:
            damage.append((group, index if table.pts is None else index - _MAX_REORDER))
        if frame is None:
            continue
        place += 1
        if index in left:
            left.remove(index)
            groups[index] = group
            yield index, frame
        if not left:
            break
    for index, group in groups.items():
        if any(group == harmed and index >= first for harmed, first in damage):
            raise VideoError(f"{name}: frame {index} of {table.num_frames} is corrupt")


def _outputs(
    container: InputContainer, stream: VideoStream
) -> Iterator[tuple[av.Packet, av.VideoFrame | None]]:
    """(packet sent, frame that came out), None in place of the frame where the packet is refused."""
    for packet in container.demux(stream):
        try:
            frames = stream.codec_context.decode(packet)
        except InvalidDataError:
            yield packet, None
            continue
        for frame in frames:
            yield packet, frame
