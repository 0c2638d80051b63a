"""Reading chosen frames of a video file with PyAV: exactly, and decoding as little as possible.

Frames are found by their time stamps, which a pass over the packets lists without decoding. Frame
counts and durations in headers are not trusted. Files whose time stamps do not identify their
frames are decoded from the start and counted.
"""

from collections import OrderedDict
from collections.abc import Iterator, Sequence

import av
import numpy as np
from av.error import FFmpegError, InvalidDataError

from vidrec.data.video.decoder import Decoder, VideoError
from vidrec.data.video.frame_index import (
    FrameIndex,
    OpenVideo,
    file_version,
    list_frames,
    open_video,
)
from vidrec.data.video.geometry import CropPlan
from vidrec.data.video.resample import Cutter

# Decoders that can skip unreferenced frames (NONREF) without changing a bit of the others.
_SKIPS_EXACTLY = {"h264", "hevc"}
# Decoding this many unwanted frames costs less than a seek to a keyframe.
_SEEK_GAIN = 2
_MAX_REORDER = 16  # frames that H.264 and HEVC may hold back


class VideoReader:
    """Opens video files, or the bytes of one.

    accurate: scale with an antialiased filter and exact boxes, for evaluation; else faster.
    table_frames: number of time stamps that are cached over all files, 8 bytes each.
    """

    def __init__(self, accurate: bool = False, table_frames: int = 1 << 20) -> None:
        self.accurate = accurate
        self.table_frames = table_frames
        self._tables: OrderedDict[str, tuple[tuple[int, int], FrameIndex]] = OrderedDict()
        self._num_remembered = 0

    def open(
        self, path: str | bytes, num_frames: int | None = None, offset: int = 0
    ) -> "VideoDecoder":
        """The video at `path`, or in the bytes `path`; the file itself gives its frames."""
        if isinstance(path, bytes):
            return VideoDecoder(path, "video in memory", self.accurate, None)
        version = file_version(path)
        known = self._tables.get(path)
        if known and known[0] == version:
            self._tables.move_to_end(path)
            return VideoDecoder(path, path, self.accurate, known[1])
        source = VideoDecoder(path, path, self.accurate, None)
        self._remember(path, version, source.table)
        return source

    def _remember(self, path: str, version: tuple[int, int], table: FrameIndex) -> None:
        if table.num_frames > self.table_frames:
            return
        replaced = self._tables.pop(path, None)
        self._num_remembered += table.num_frames - (replaced[1].num_frames if replaced else 0)
        self._tables[path] = version, table
        while self._num_remembered > self.table_frames:
            _, (_, oldest) = self._tables.popitem(last=False)
            self._num_remembered -= oldest.num_frames


class VideoDecoder(Decoder[av.VideoFrame]):
    """An opened video file."""

    def __init__(
        self, file: str | bytes, name: str, accurate: bool, table: FrameIndex | None
    ) -> None:
        self.name = name
        self._file = file
        self._accurate = accurate
        self._video: OpenVideo | None = None
        if table is None:
            self._video = open_video(file, name)
            try:
                table = list_frames(self._video, name)
            except BaseException:
                self.close()
                raise
        self.table = table
        self.num_frames = table.num_frames
        self.fps = table.fps
        self.width = table.width
        self.height = table.height

    def close(self) -> None:
        if self._video:
            self._video.container.close()
            self._video = None

    def _cutter(self, plan: CropPlan) -> Cutter:
        return Cutter(plan, self.width, self.height, self._accurate)

    def _read(
        self, indices: Sequence[int], plans: Sequence[CropPlan], outs: Sequence[np.ndarray]
    ) -> None:
        try:
            super()._read(indices, plans, outs)
        except FFmpegError as error:
            reason = error.strerror or str(error)
            raise VideoError(f"{self.name}: decoding failed: {reason}") from error

    def _frames(self, wanted: list[int]) -> Iterator[tuple[int, av.VideoFrame]]:
        if self.table.pts is not None:
            self._video = self._video or open_video(self._file, self.name)
            try:
                yield from _seek_and_decode(self._video, self.table, wanted)
                return
            except (_Damaged, FFmpegError):
                self.close()
        # Otherwise the frames are those of a plain decoder, with the stream probed by decoding.
        with open_video(self._file, self.name, probe=True) as video:
            yield from _decode_in_order(video, self.table, wanted, self.name)


class _Damaged(Exception):
    """Seeking did not give every frame undamaged."""


def _runs(table: FrameIndex, wanted: list[int]) -> Iterator[tuple[int, list[int]]]:
    """`wanted` split where a seek to a keyframe saves decoding: (time of the keyframe, frames)."""
    assert table.pts is not None
    times = table.pts[wanted]
    before = np.maximum(np.searchsorted(table.keyframes, times, side="right") - 1, 0)
    keyframe_rows = np.searchsorted(table.pts, table.keyframes)
    gain = 1 if len(table.keyframes) == table.num_frames else _SEEK_GAIN
    start = 0
    for stop in range(1, len(wanted) + 1):
        if stop < len(wanted) and keyframe_rows[before[stop]] - wanted[stop - 1] <= gain:
            continue
        yield int(table.keyframes[before[start]]), wanted[start:stop]
        start = stop


def _seek_and_decode(  # noqa: C901 - the exact order of its steps is what is tested
    video: OpenVideo, table: FrameIndex, wanted: list[int]
) -> Iterator[tuple[int, av.VideoFrame]]:
    """Decode from a keyframe to the wanted frames after it, skipping unreferenced frames.

    Raises `_Damaged` if a frame is missing or decoding fails anywhere on the way.
    """
    assert table.pts is not None
    context = video.stream.codec_context
    skips = context.name in _SKIPS_EXACTLY
    for key, run in _runs(table, wanted):
        rows = dict(zip(table.pts[run].tolist(), run, strict=True))
        missing = set(rows)
        unsent = len(rows)
        skips_leading = key <= min(rows)
        for packet in _packets_from(video, key):
            if packet.is_corrupt:
                raise _Damaged
            time = packet.pts
            if skips_leading and time is not None and time < key:
                continue  # displayed before the keyframe: refers to frames before it
            needed = time in rows
            unsent -= needed
            if skips:
                context.skip_frame = "DEFAULT" if needed or time is None else "NONREF"
            frames = _decode(context, packet)
            if not unsent and packet.size:
                # All packets are sent: flush, instead of feeding it until the last frame is out.
                frames += _decode(context, None)
            for frame in frames:
                if frame.pts in missing:
                    missing.discard(frame.pts)
                    yield rows[frame.pts], frame
            if not unsent:
                break
        if missing:
            raise _Damaged


def _packets_from(video: OpenVideo, key: int) -> Iterator[av.Packet]:
    """The packets from the keyframe at time `key`, an empty one last; resets the decoder."""
    if video.packets is None:
        video.container.seek(key, stream=video.stream, backward=True)
        yield from video.demux()
        return
    video.stream.codec_context.flush_buffers()
    first = next(n for n, packet in enumerate(video.packets) if packet.pts == key)
    yield from video.packets[first:]


def _decode(context: av.VideoCodecContext, packet: av.Packet | None) -> list[av.VideoFrame]:
    try:
        frames = context.decode(packet)
    except InvalidDataError as error:
        raise _Damaged from error
    if any(frame.is_corrupt for frame in frames):
        raise _Damaged
    return frames


def _decode_in_order(  # noqa: C901 - damage is decided frame by frame, in one loop
    video: OpenVideo, table: FrameIndex, wanted: list[int], name: str
) -> Iterator[tuple[int, av.VideoFrame]]:
    """The wanted frames among all that a plain decoder returns from the start.

    Raises `VideoError` if one of them is damaged or follows damage in its group of pictures.
    """
    left = set(wanted)
    groups: dict[int, int] = {}  # frame that was returned -> number of keyframes up to it
    damage: list[tuple[int, int]] = []  # group, first damaged frame
    # A frame is flagged when it is returned, after earlier frames that refer to it.
    num_after = 0 if table.pts is None else _MAX_REORDER
    place = num_keyframes = 0
    for packet, frame in _outputs(video):
        time = packet.pts if frame is None else frame.pts
        num_keyframes += frame is not None and frame.key_frame
        if table.pts is None:
            index, group = place, num_keyframes
        elif time is None:
            continue
        else:
            index = int(np.searchsorted(table.pts, time))
            group = int(np.searchsorted(table.keyframes, time, side="right"))
            if frame is not None and (index == table.num_frames or table.pts[index] != time):
                continue  # discarded by an edit list
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
            if num_after == 0:
                break
            num_after -= 1
    for index, group in groups.items():
        if any(group == harmed and index >= first for harmed, first in damage):
            raise VideoError(f"{name}: frame {index} of {table.num_frames} is corrupt")


def _outputs(video: OpenVideo) -> Iterator[tuple[av.Packet, av.VideoFrame | None]]:
    """(packet sent, frame returned); the frame is None if the packet is damaged."""
    for packet in video.demux():
        if packet.is_corrupt:
            yield packet, None
        try:
            frames = video.stream.codec_context.decode(packet)
        except InvalidDataError:
            yield packet, None
            continue
        for frame in frames:
            yield packet, frame
