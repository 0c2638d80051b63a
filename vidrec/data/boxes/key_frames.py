"""Which frames show the moments around a key frame, in folders of frames, movies and short videos.

Annotations have a clock: AVA counts seconds, others count frames (`fps=1`). Sampling returns
moments on that clock; a reader opens the video and finds the frames shown at them. Moments outside
the video show its first or its last frame, but a key frame outside of its video is an error.
"""

import os
import re
from collections.abc import Sequence
from typing import Protocol

import numpy as np

from vidrec.data.boxes.keys import key
from vidrec.data.boxes.records import BoxRecords, KeyFrame
from vidrec.data.video.decoder import Decoder, VideoError
from vidrec.data.video.image_folder import FrameReader, ImageFolderDecoder
from vidrec.data.video.pyav import VideoReader
from vidrec.data.video.timestamps import TimestampDecoder, last_frame_end, length_of


class KeyFrameSampling:
    """A clip around the key frame, which is frame `clip_len // 2` of it.

    clip_len: frames of the clip. frame_interval: distance between them, in frames at `fps`.
    fps: frames per unit of the annotations' clock, 1 if it counts frames.
    jitter: move each frame by up to half an interval (in training).

    >>> sample = KeyFrameSampling(clip_len=4, frame_interval=15, fps=30.0)
    >>> sample(902.0, np.random.default_rng(0))  # seconds
    array([901. , 901.5, 902. , 902.5])
    """

    num_views = 1

    def __init__(
        self, clip_len: int, frame_interval: int, fps: float = 30.0, jitter: bool = False
    ) -> None:
        if clip_len < 1 or frame_interval < 1 or fps <= 0:
            raise ValueError(
                f"KeyFrameSampling: clip_len={clip_len}, frame_interval={frame_interval} and "
                f"fps={fps} must be positive"
            )
        self.clip_len = clip_len
        self.frame_interval = frame_interval
        self.fps = fps
        self.jitter = jitter

    def __call__(self, timestamp: float, rng: np.random.Generator) -> np.ndarray:
        """(clip_len,) float64 moments on the clock of the annotations."""
        offsets = (np.arange(self.clip_len) - self.clip_len // 2) * self.frame_interval
        if self.jitter:
            low, high = -self.frame_interval // 2, (self.frame_interval + 1) // 2
            offsets = offsets + rng.integers(low, high, size=self.clip_len)
        return timestamp + offsets / self.fps


class MomentReader(Protocol):
    """Opens the video of a key frame.

    Both raise ValueError if the key frame is more than one frame outside of the video: the
    annotations are wrong, so it is not treated as a video that cannot be read.
    """

    def open(self, path: str, record: KeyFrame, moments: np.ndarray) -> tuple[Decoder, list[int]]:
        """The video, and the frames that it shows at `moments`."""

    def check(self, path: str, record: KeyFrame) -> None:
        """Only look whether the key frame is in the video."""


class FrameFolders:
    """Videos extracted into folders of images at a fixed rate, as is usual for AVA.

    timestamp_start: time of the first frame; None: START of a name VIDEO_START_END.
    fps: frames per unit of the clock. The other arguments are those of `FrameReader`.
    """

    def __init__(
        self,
        template: str = "img_{:05d}.jpg",
        start_index: int = 1,
        timestamp_start: float | None = 900.0,
        fps: float = 30.0,
        accurate: bool = False,
    ) -> None:
        self.reader = FrameReader(template, "RGB", start_index, accurate)
        self.timestamp_start = timestamp_start
        self.fps = fps
        self._num_frames: dict[str, int] = {}  # a folder of half an hour takes 10 ms to list

    def check(self, path: str, record: KeyFrame) -> None:
        if path not in self._num_frames:
            self._num_frames[path] = ImageFolderDecoder(self.reader, path, None, 0).num_frames
        begin = begin_of(record.video, self.timestamp_start)
        check_index(path, record, begin, self.fps, self._num_frames[path])

    def open(self, path: str, record: KeyFrame, moments: np.ndarray) -> tuple[Decoder, list[int]]:
        self.check(path, record)
        num_frames = self._num_frames[path]
        begin = begin_of(record.video, self.timestamp_start)
        indices = frame_indices(moments, begin, self.fps, num_frames)
        # Opening decodes the first frame: make it one that is needed.
        first = int(indices.min())
        source = ImageFolderDecoder(self.reader, path, num_frames - first, first)
        return source, (indices - first).tolist()


class NumberedFrames:
    """Video files whose key frames are annotated by frame number.

    timestamp_start: number of the first frame. fps: frames per unit of the clock.
    """

    def __init__(
        self, timestamp_start: float = 0.0, fps: float = 1.0, accurate: bool = False
    ) -> None:
        self.reader = VideoReader(accurate)
        self.timestamp_start = timestamp_start
        self.fps = fps

    def check(self, path: str, record: KeyFrame) -> None:
        self.open(path, record, np.array([record.timestamp]))[0].close()

    def open(self, path: str, record: KeyFrame, moments: np.ndarray) -> tuple[Decoder, list[int]]:
        source = self.reader.open(path)
        check_index(path, record, self.timestamp_start, self.fps, source.num_frames)
        indices = frame_indices(moments, self.timestamp_start, self.fps, source.num_frames)
        return source, indices.tolist()


class Movies:
    """Video files that are read by time: whole movies, or excerpts of them.

    begin: time at which the files begin: 0 for whole movies, 900 for AVA's excerpts of the
        annotated 15 minutes; None: START of a name VIDEO_START_END (AVA-Kinetics).
    accurate: scale with an antialiased filter, for evaluation.
    """

    def __init__(self, begin: float | None = 0.0, accurate: bool = False) -> None:
        self.begin = begin
        self.accurate = accurate

    def check(self, path: str, record: KeyFrame) -> None:
        # The length in the header is quick to read, but not always true.
        if not 0 <= record.timestamp - begin_of(record.video, self.begin) <= length_of(path):
            self.open(path, record, np.array([record.timestamp]))[0].close()

    def open(self, path: str, record: KeyFrame, moments: np.ndarray) -> tuple[Decoder, list[int]]:
        begin = begin_of(record.video, self.begin)
        second = record.timestamp - begin
        distinct, indices = np.unique([*(moments - begin), second], return_inverse=True)
        source = TimestampDecoder(path, distinct, self.accurate)
        *of_moments, of_key_frame = indices.reshape(-1).tolist()
        end, frame = source.shown_until(of_key_frame), source.frame_seconds
        if second >= end + frame:  # after the last frame, or in a pause between two
            end = last_frame_end(path, enough=second)
        if not -frame <= second < end + frame:
            source.close()
            end = last_frame_end(path)
            clock = f"{end:.2f} s from begin={begin:g}"
            raise outside(path, record, (begin, begin + end), clock)
        return source, of_moments


def frame_indices(moments: np.ndarray, begin: float, fps: float, num_frames: int) -> np.ndarray:
    """The frames at `moments` of a video that begins at `begin`, `fps` per unit: (F,) int64.

    >>> frame_indices(np.array([902.0, 1800.0]), begin=900, fps=30, num_frames=27000).tolist()
    [60, 26999]
    """
    return np.rint((moments - begin) * fps).astype(np.int64).clip(0, num_frames - 1)


def check_index(path: str, record: KeyFrame, begin: float, fps: float, num_frames: int) -> None:
    """Raise ValueError if the key frame is more than one frame outside of those of the video."""
    if not -1 <= round((record.timestamp - begin) * fps) <= num_frames:
        clock = f"{num_frames:,} frames from timestamp_start={begin:g}, fps={fps:g}"
        raise outside(path, record, (begin, begin + num_frames / fps), clock)


def outside(path: str, record: KeyFrame, span: tuple[float, float], clock: str) -> ValueError:
    """The error for a key frame outside of its video, whose `span` is on the annotations' clock."""
    return ValueError(
        f"{path}: the key frame {key(record.video, record.timestamp)!r} is outside of the video, "
        f"which goes from {span[0]:.6g} to {span[1]:.6g} ({clock}): do the annotations have "
        "another clock than data.train.reader and data/format? A key frame that the video lacks "
        "can be named in data.train.records.exclude_file"
    )


def begin_of(video: str, begin: float | None) -> float:
    """The time at which a video begins: `begin`, or START of VIDEO_START_END if it is None.

    >>> begin_of("-0F3tGhAmFg_000012_000022", None)
    12.0
    """
    if begin is not None:
        return begin
    match = re.search(r"_(\d+)_\d+$", os.path.splitext(video)[0])
    # A movie of AVA among the clips of AVA-Kinetics: the annotated part begins at 900 s.
    return float(match[1]) if match else 900.0


def find_videos(videos: tuple[str, ...], prefix: str) -> list[str]:
    """Paths of videos by name: folders of frames, or files whose names may lack the extension.

    A missing video gets the path where it should be. Each folder is listed once.
    """
    listings: dict[str, dict[str, str]] = {}
    paths = []
    for video in videos:
        folder, name = os.path.split(os.path.join(prefix, video))
        if folder not in listings:
            names = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
            stems = {os.path.splitext(entry)[0]: entry for entry in names}
            listings[folder] = stems | {entry: entry for entry in names}
        paths.append(os.path.join(folder, listings[folder].get(name, name)))
    return paths


def check_videos(paths: list[str], prefix: str, must: bool) -> None:
    """Raise VideoError if all videos are missing, or, with `must`, any of them."""
    missing = [path for path in paths if not os.path.exists(path)]
    if missing and (must or len(missing) == len(paths)):
        raise VideoError(
            f"{len(missing):,} of {len(paths):,} videos are missing under {prefix}, e.g. "
            f"{missing[0]}: set data.train.prefix and data.val.prefix to their folder"
            + ("" if len(missing) == len(paths) else ", or skip them: data.on_bad_video=skip")
        )


CHECKED_AT_START = 64  # videos: opening every clip of a large dataset would take minutes


def check_key_frames(
    records: BoxRecords, paths: Sequence[str], reader: MomentReader, must: bool
) -> None:
    """Raise ValueError if a key frame is outside of its video.

    Looks at the first and the last one of `CHECKED_AT_START` videos spread over the list; the rest
    is checked when it is read. Without `must`, videos that cannot be read are left to that.
    """
    chosen = np.linspace(0, len(paths) - 1, min(len(paths), CHECKED_AT_START)).round().astype(int)
    for video in chosen.tolist():
        first, stop = np.searchsorted(records.video, [video, video + 1]).tolist()
        try:
            for row in {first, stop - 1}:
                reader.check(paths[video], records[row])
        except VideoError:
            if must:
                raise
