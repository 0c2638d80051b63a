"""Reading chosen frames of a video file with PyAV: exactly, and decoding as little as possible.

Frames are found by their time stamps, which a pass over the packets lists without decoding. Frame
counts and durations in headers are not trusted. Files whose time stamps do not identify their
frames are decoded from the start and counted.
"""

from collections import OrderedDict
from collections.abc import Generator, Iterator, Sequence

import av
import numpy as np
from av.error import FFmpegError, InvalidDataError

from vidrec.data.video.decoder import Decoder, VideoError
from vidrec.data.video.frame_index import (
    FrameIndex,
    OpenVideo,
    check_complete,
    file_version,
    list_frames,
    open_video,
)
from vidrec.data.video.geometry import CropPlan
from vidrec.data.video.in_order import decode_in_order, number_of
from vidrec.data.video.resample import Cutter

# Decoders that can skip unreferenced frames (NONREF) without changing a bit of the others.
_SKIPS_EXACTLY = {"h264", "hevc"}
# Decoding this many unwanted frames costs less than a seek to a keyframe.
_SEEK_GAIN = 2


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
                check_complete(self._video, name)
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
                pass
            wanted = yield from _decode_around_damage(self._video, self.table, wanted)
            self.close()
        # Otherwise the frames are those of a plain decoder, with the stream probed by decoding.
        if wanted:
            with open_video(self._file, self.name, probe=True) as video:
                yield from _decode_in_order(video, self.table, wanted, self.name)


class _Damaged(Exception):
    """Seeking did not give every frame undamaged.

    time: time stamp of the damaged packet, if it is known; sent: those up to it, as decoded.
    """

    def __init__(self, time: int | None, sent: list[int | None]) -> None:
        super().__init__(time)
        self.time = time
        self.sent = sent


def _runs(table: FrameIndex, wanted: list[int], gain: int) -> Iterator[tuple[int, list[int]]]:
    """`wanted` split where a seek to a keyframe saves decoding more than `gain` frames.

    Yields (time of the keyframe, frames).
    """
    assert table.pts is not None
    times = table.pts[wanted]
    before = np.maximum(np.searchsorted(table.keyframes, times, side="right") - 1, 0)
    keyframe_rows = np.searchsorted(table.pts, table.keyframes)
    start = 0
    for stop in range(1, len(wanted) + 1):
        if stop < len(wanted) and keyframe_rows[before[stop]] - wanted[stop - 1] <= gain:
            continue
        yield int(table.keyframes[before[start]]), wanted[start:stop]
        start = stop


def _seek_and_decode(
    video: OpenVideo, table: FrameIndex, wanted: list[int]
) -> Iterator[tuple[int, av.VideoFrame]]:
    """The wanted frames, each decoded from a keyframe before it.

    Raises `_Damaged` if a frame is missing or decoding fails anywhere on the way.
    """
    gain = 1 if len(table.keyframes) == table.num_frames else _SEEK_GAIN
    for key, run in _runs(table, wanted, gain):
        yield from _decode_run(video, table, key, run)


def _decode_around_damage(
    video: OpenVideo, table: FrameIndex, wanted: list[int]
) -> Generator[tuple[int, av.VideoFrame], None, list[int]]:
    """The frames that can be decoded each by itself, from its keyframe; returns the others.

    Of one group of pictures they are still decoded together, but without those that fail: what is
    readable does not depend on what else is asked for.
    """
    assert table.pts is not None
    lost: list[int] = []
    for key, frames in _runs(table, wanted, gain=0):
        run = frames
        while run:
            try:
                yield from _decode_run(video, table, key, run)
                break
            except _Damaged as error:
                time, sent = error.time, error.sent
            except FFmpegError:
                time, sent = None, []
            earlier = set(sent[: sent.index(time)]) if time in sent else set()
            before = [index for index in run if table.pts[index] in earlier]
            after = [i for i in run if table.pts[i] not in earlier and table.pts[i] != time]
            if len(before) + len(after) == len(run):  # the damaged one is not asked for
                after = []
            run = sorted(before + after)
        lost += [index for index in frames if index not in run]
    return sorted(lost)


def _decode_run(
    video: OpenVideo, table: FrameIndex, key: int, run: list[int]
) -> Iterator[tuple[int, av.VideoFrame]]:
    """Decode from the keyframe at time `key` to the frames `run`, skipping unreferenced ones."""
    assert table.pts is not None
    context = video.stream.codec_context
    skips = context.name in _SKIPS_EXACTLY
    rows = dict(zip(table.pts[run].tolist(), run, strict=True))
    missing = set(rows)
    unsent = len(rows)
    skips_leading = key <= min(rows)
    sent: list[int | None] = []
    for packet in _packets_from(video, key):
        time = packet.pts
        if skips_leading and time is not None and time < key:
            continue  # displayed before the keyframe: refers to frames before it
        sent.append(time)
        if packet.is_corrupt:
            raise _Damaged(time, sent)
        needed = time in rows
        unsent -= needed
        if skips:
            context.skip_frame = "DEFAULT" if needed or time is None else "NONREF"
        frames = _decode(context, packet, sent)
        if not unsent and packet.size:
            # All packets are sent: flush, instead of feeding it until the last frame is out.
            frames += _decode(context, None, sent)
        for frame in frames:
            if frame.pts in missing:
                missing.discard(frame.pts)
                yield rows[frame.pts], frame
        if not unsent:
            break
    if missing:
        raise _Damaged(next((time for time in sent if time in missing), None), sent)


def _packets_from(video: OpenVideo, key: int) -> Iterator[av.Packet]:
    """The packets from the keyframe at time `key`, an empty one last; resets the decoder."""
    if video.packets is None:
        video.container.seek(key, stream=video.stream, backward=True)
        yield from video.demux()
        return
    video.stream.codec_context.flush_buffers()
    first = next(n for n, packet in enumerate(video.packets) if packet.pts == key)
    yield from video.packets[first:]


def _decode(
    context: av.VideoCodecContext, packet: av.Packet | None, sent: list[int | None]
) -> list[av.VideoFrame]:
    try:
        frames = context.decode(packet)
    except InvalidDataError as error:
        raise _Damaged(packet.pts if packet else None, sent) from error
    for frame in frames:
        if frame.is_corrupt:
            raise _Damaged(frame.pts, sent)
    return frames


def _decode_in_order(
    video: OpenVideo, table: FrameIndex, wanted: list[int], name: str
) -> Iterator[tuple[int, av.VideoFrame]]:
    """The wanted frames among all that a plain decoder returns from the start.

    Raises `VideoError` if one of them is missing or damaged, or if there is damage between its
    keyframe and it, in order of decoding.
    """
    left = set(wanted)
    damage: dict[int, int | None] = {}  # place of a damaged packet in the stream -> its time stamp
    spans: dict[int, tuple[int, int]] = {}  # wanted frame -> places of its keyframe and its own
    numbers: dict[int, int] = {}  # place -> frame
    key = num_returned = 0
    for place, frame in decode_in_order(video, damage, left):
        if frame.key_frame:
            key = place
        if frame.is_corrupt:
            damage[place] = frame.pts
        index = num_returned if table.pts is None else number_of(table.pts, frame.pts)
        if index is None:
            continue  # discarded by an edit list
        num_returned += 1
        numbers[place] = index
        if index in left:
            left.remove(index)
            spans[index] = key, place
            yield index, frame
    for index in wanted:
        frame_name = f"{name}: frame {index} of {table.num_frames}"
        if index in left:
            raise VideoError(f"{frame_name} cannot be decoded")
        key, place = spans[index]
        if place in damage:
            raise VideoError(f"{frame_name} is corrupt")
        for harmed in sorted(place for place in damage if key <= place < spans[index][1]):
            number = numbers.get(harmed, number_of(table.pts, damage[harmed]))
            which = "an earlier one" if number is None else f"frame {number}"
            raise VideoError(f"{frame_name} may depend on {which}, which is corrupt")
