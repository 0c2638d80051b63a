"""Clips side by side in one short video."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from vidrec.data.video.writer import write_video

FRAME_RATE = 8  # frames per second
LEAST_SECONDS = 3  # shorter clips are repeated


def write_grid(clips: Sequence[np.ndarray], path: Path, columns: int) -> None:
    """Write clips (T, H, W, 3) uint8 of one height as an mp4, `columns` of them beside each other.

    The longest clip is shown as often as it takes to fill LEAST_SECONDS; shorter ones start over.
    """
    length = max(len(clip) for clip in clips)
    length *= math.ceil(LEAST_SECONDS * FRAME_RATE / length)
    columns = min(columns, len(clips))
    num_rows = math.ceil(len(clips) / columns)
    height, width = clips[0].shape[1], max(clip.shape[2] for clip in clips)
    grid = np.zeros((length, num_rows * height, columns * width, 3), np.uint8)
    for number, clip in enumerate(clips):
        row, column = divmod(number, columns)
        part = clip[np.arange(length) % len(clip)]
        top, left = row * height, column * width
        grid[:, top : top + height, left : left + part.shape[2]] = part
    write_video(path, grid, FRAME_RATE)
