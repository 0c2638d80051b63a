"""Which moments of a video are key frames if nobody annotated any."""

from dataclasses import dataclass

import numpy as np

from vidrec.data.boxes.keys import SAME_MOMENT
from vidrec.data.video.timestamps import last_frame_end, length_of


@dataclass(frozen=True)
class Clock:
    """Which moments of a video are key frames.

    every: seconds between them; with `frames` a number of frames, counted from 0.
    begin: time of a file's first frame; None: START of a name VIDEO_START_END (see `begin_of`).
    start, end: time of the first and the last key frame; None: those of the file.
    """

    every: float = 1.0
    frames: bool = False
    begin: float | None = 0.0
    start: float | None = None
    end: float | None = None

    def __post_init__(self) -> None:
        if self.every <= 0:
            raise ValueError(f"every={self.every} is not positive")
        if self.every <= SAME_MOMENT:
            raise ValueError(
                f"every={self.every} s: times less than {SAME_MOMENT} s apart are one key frame"
            )
        if self.frames and self.every != int(self.every):
            raise ValueError(f"every={self.every} is not a whole number of frames")

    def moments(self, begin: float, length: float) -> np.ndarray:
        """Times of the key frames of a file that begins at `begin` and lasts `length`."""
        first = begin if self.start is None else max(self.start, begin)
        last = begin + length if self.end is None else min(self.end, begin + length)
        # Multiples of the interval, so that keys do not depend on the file.
        numbers = np.arange(np.ceil(first / self.every - 1e-9), np.floor(last / self.every + 1) + 1)
        moments = numbers * self.every
        inside = (moments < begin + length - 1e-9) & (moments <= last + 1e-9)
        return moments[inside]


def length_of_pictures(path: str) -> float:
    """The second at which the last frame of a file ends; its header may give that of the sound."""
    return min(length_of(path), last_frame_end(path))
