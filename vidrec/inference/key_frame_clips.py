"""The clips around key frames of a video that is read once from front to back."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from vidrec.data.boxes.key_frames import KeyFrameSampling
from vidrec.data.video.clip_buffer import ClipBuffer, cut_with
from vidrec.data.video.decoder import VideoError
from vidrec.data.video.geometry import CropPlan
from vidrec.data.video.stream import FrameStream

_RNG = np.random.default_rng(0)  # unused: nothing is random in evaluation


class KeyFrameClip(NamedTuple):
    """frames: (T, h, w, C) uint8, as the plan cuts them. whole: (H, W, C), the key frame itself."""

    moment: float  # seconds from the start of the file
    frames: np.ndarray
    whole: np.ndarray | None


def key_frame_clips(
    stream: FrameStream,
    plan: CropPlan,
    sampling: KeyFrameSampling,
    moments: Sequence[float],
    whole: bool,
) -> Iterator[KeyFrameClip]:
    """The clip around each of `moments`, which ascend; with `whole` also the key frame uncut.

    Each frame is decoded once, and those of a clip are held until it is complete. A sampling whose
    clock counts frames (fps=1) takes every `frame_interval`-th frame, others go by time.
    """
    by_number = sampling.fps == 1
    keys = [_place(stream, moment, by_number) for moment in moments]
    clips = ClipBuffer(
        (
            _clip_places(stream, sampling, moment, key, by_number)
            for moment, key in zip(moments, keys, strict=True)
        ),
        cut_with(stream, plan),
    )
    size = stream.height, stream.width
    uncut = CropPlan((0, 0, stream.width, stream.height), size)
    frames = ClipBuffer(([key] for key in keys) if whole else (), cut_with(stream, uncut))
    found: deque[np.ndarray] = deque()
    waiting = deque(moments)

    def paired(complete: Iterable[np.ndarray]) -> Iterator[KeyFrameClip]:
        for clip in complete:  # a clip contains its key frame, which is therefore complete too
            yield KeyFrameClip(waiting.popleft(), clip, found.popleft()[0] if whole else None)

    for shown in stream:
        place = shown.number if by_number else shown.tick
        if place is None:
            raise VideoError(
                f"{stream.name}: the frames have no time stamps; extract them into a folder"
            )
        found.extend(frames.push(place, shown.frame))
        yield from paired(clips.push(place, shown.frame))
    found.extend(frames.finish())
    yield from paired(clips.finish())


def _place(stream: FrameStream, moment: float, by_number: bool) -> int:
    """What the key frame at a moment is called: its number, or its time stamp."""
    if not by_number:
        return stream.tick(moment)
    assert stream.num_frames is not None
    if not stream.fps:
        raise VideoError(f"{stream.name}: it does not tell its frame rate")
    return min(round(moment * stream.fps), stream.num_frames - 1)


def _clip_places(
    stream: FrameStream, sampling: KeyFrameSampling, moment: float, key: int, by_number: bool
) -> list[int]:
    if by_number:
        return np.rint(sampling(key, _RNG)).astype(int).tolist()
    return [stream.tick(second) for second in sampling(moment, _RNG).tolist()]
