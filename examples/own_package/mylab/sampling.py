"""A sampling: which frames of a video a sample shows."""

import numpy as np


class WholeVideo:
    """One clip of frames from the first to the last, the same in training and in tests.

    clip_len: its frames.
    """

    num_views: int | None = 1
    frame_interval: int | None = None  # it depends on the length of the video

    def __init__(self, clip_len: int) -> None:
        self.clip_len = clip_len

    def __call__(self, num_frames: int, fps: float | None, rng: np.random.Generator) -> np.ndarray:
        """(1, clip_len) int64 frame numbers, counted from 0."""
        return np.linspace(0, num_frames - 1, self.clip_len).round().astype(np.int64)[None]
