"""Sample clips side by side in one short video, each below what the net makes of it."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from vidrec.data.video.writer import write_video
from vidrec.plots.figures import Sample

HEIGHT = 128  # of a clip, pixels
BAR = 34  # above it, for two lines of text
FRAME_RATE = 8
LEAST_SECONDS = 3  # shorter clips are repeated
_RIGHT, _WRONG, _GREY = (120, 220, 140), (255, 130, 110), (190, 196, 202)


def write_predictions(samples: Sequence[Sample], path: Path, columns: int = 4) -> None:
    """Write the clips as a grid in an mp4; the longest is shown once, shorter ones start over.

    Raises ValueError where there is no sample.
    """
    if not samples:
        raise ValueError(f"there is no sample to show in {path}")
    write_grid([_clip(sample) for sample in samples], path, columns)


def write_grid(clips: Sequence[np.ndarray], path: Path, columns: int) -> None:
    """Write clips (T, H, W, 3) of one height as a grid; the longest is shown once or more."""
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


def _clip(sample: Sample) -> np.ndarray:
    """(T, BAR + HEIGHT, W, 3) with an even W, as video codecs want it."""
    frames = sample.frames if sample.frames.shape[-1] == 3 else sample.frames[..., :1]
    frames = np.broadcast_to(frames, (*frames.shape[:-1], 3))
    width = max(2 * round(HEIGHT * frames.shape[2] / frames.shape[1] / 2), 2)
    bar = Image.new("RGB", (width, BAR))
    draw, font = ImageDraw.Draw(bar), ImageFont.load_default(size=13)
    colour = _RIGHT if sample.correct else _WRONG
    draw.text((3, 1), f"{100 * sample.probability:.0f} % {sample.predicted}", colour, font)
    draw.text((3, 17), f"true: {sample.truth}", _GREY, font)
    pictures = [
        np.asarray(Image.fromarray(np.ascontiguousarray(frame)).resize((width, HEIGHT)))
        for frame in frames
    ]
    return np.stack([np.concatenate([np.asarray(bar), picture]) for picture in pictures])
