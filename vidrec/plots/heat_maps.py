"""Heat maps over the frames of a clip, as a picture and as a video."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from vidrec.data.video.writer import VideoWriter
from vidrec.files.atomic_write import atomic_write
from vidrec.plots.overlay import ScoreRow, font_size, score_panel
from vidrec.plots.style import BLUE, GREY, TEXT, new_figure, open_frame, save_figure, shorten

COLOUR_MAP = "inferno"
OPACITY = 0.72  # where the heat is highest
IN_STRIP = 8  # frames
SIDE = 360  # pixels of the shorter side of a frame in the video
SECONDS = 4  # that the video lasts, about
FRAME_WIDTH, CHART = 1.25, 0.7  # inches


def overlaid(frames: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """Frames (T, H, W, 3) uint8 with their heat (T, H, W) in [0, 1]; where it is 0 they darken."""
    from matplotlib import colormaps

    grey = frames.mean(axis=-1, keepdims=True)
    faded = 0.75 * (0.4 * frames + 0.6 * grey)
    colours = 255 * colormaps[COLOUR_MAP](0.15 + 0.85 * heat)[..., :3]
    opacity = OPACITY * np.sqrt(heat)[..., None]
    return ((1 - opacity) * faded + opacity * colours).round().astype(np.uint8)


def write_heat_video(
    frames: np.ndarray, heat: np.ndarray, rows: Sequence[ScoreRow], path: Path
) -> None:
    """Write an mp4 of the clip, with and without its heat side by side; rows: of the panel.

    It is slow enough to follow: the frames of a clip are spread over seconds.
    """
    height, width = frames.shape[1:3]
    scale = max(SIDE / min(height, width), 1.0)
    size = max(2 * round(scale * width / 2), 2), max(2 * round(scale * height / 2), 2)
    panel = score_panel(rows, size)
    edge = font_size(size) // 2
    rate = min(max(round(len(frames) / SECONDS), 2), 12)
    with (
        atomic_write(path) as file,
        VideoWriter(file, (2 * size[0], size[1]), rate) as writer,
    ):
        for frame, warm in zip(frames, overlaid(frames, heat), strict=True):
            picture = Image.new("RGB", (2 * size[0], size[1]))
            for place, pixels in enumerate((frame, warm)):
                part = Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC)
                picture.paste(part, (place * size[0], 0))
            picture.paste(panel, (edge, edge), panel)
            writer.write(np.asarray(picture))


def draw_heat_strip(
    frames: np.ndarray, heat: np.ndarray, path: Path, title: str, about: str = ""
) -> None:
    """Write a PNG: some frames of the clip, below them their heat, and its share of each frame."""
    shown = np.unique(np.linspace(0, len(frames) - 1, IN_STRIP).round().astype(int))
    warm = overlaid(frames, heat)
    height = FRAME_WIDTH * frames.shape[1] / frames.shape[2]
    gap = 0.04
    width = len(shown) * (FRAME_WIDTH + gap) - gap
    total = 2 * (height + gap) + CHART + 0.15
    figure = new_figure(width, total)
    for column, number in enumerate(shown.tolist()):
        for row, pictures in enumerate((frames, warm)):
            left = column * (FRAME_WIDTH + gap) / width
            bottom = 1 - ((row + 1) * height + row * gap) / total
            axes = figure.add_axes((left, bottom, FRAME_WIDTH / width, height / total))
            axes.imshow(pictures[number], aspect="auto", interpolation="bilinear")
            axes.set_axis_off()
            if row == 0:
                axes.set_title(f"frame {number + 1}", fontsize=7.5, color=GREY, pad=3)
    axes = figure.add_axes((0, 0, 1, CHART / total))
    sums = heat.sum(axis=(1, 2), dtype=np.float64)
    axes.bar(np.arange(1, len(frames) + 1), 100 * sums / max(sums.sum(), 1e-30), 0.8, color=BLUE)
    axes.set_xlim(0.4, len(frames) + 0.6)
    axes.set_ylabel("% of the heat", fontsize=7.5, color=TEXT)
    axes.set_xlabel("frame of the clip", fontsize=7.5, color=TEXT)
    axes.tick_params(labelsize=7)
    open_frame(axes)
    figure.text(0, 1 + 0.42 / total, shorten(title, 90), fontsize=11, color=TEXT)
    figure.text(0, 1 + 0.25 / total, shorten(about, 150), fontsize=7.5, color=GREY)
    save_figure(figure, path)
