"""Sample clips with their predicted and their true classes, as a picture and as a video."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from vidrec.plots.style import GREEN, GREY, RED, new_figure, save_figure, shorten
from vidrec.plots.video_grid import write_grid

if TYPE_CHECKING:
    from matplotlib.axes import Axes

HEIGHT = 128  # of a clip in the video, pixels
BAR = 34  # above it, for two lines of text
_CORRECT, _WRONG, _GREY = (120, 220, 140), (255, 130, 110), (190, 196, 202)


class Samples(Protocol):
    """A dataset: the arrays of a sample by its row."""

    def __getitem__(self, key: int, /) -> Mapping[str, np.ndarray]: ...


@dataclass
class ClipSample:
    """A clip with the best class and the true ones."""

    frames: np.ndarray  # (T, H, W, C) uint8; of C other than 3 the first channel is shown
    truth: str
    predicted: str
    probability: float  # of the predicted class, in [0, 1]
    correct: bool


def clip_sample(
    frames: np.ndarray, scores: np.ndarray, label: np.ndarray | int, class_names: Sequence[str]
) -> ClipSample:
    """A clip with its classes by name.

    frames: (T, H, W, C) uint8; scores: (K,) probabilities; label: a class, or (K,) with a 1 for
    each class of the clip.
    """
    truth = np.flatnonzero(label).tolist() if np.ndim(label) else [int(label)]
    best = int(np.argmax(scores))
    names = ", ".join(class_names[i] for i in truth) or "none"
    return ClipSample(frames, names, class_names[best], float(scores[best]), best in truth)


def load_samples(
    rows: Mapping[str, np.ndarray], dataset: Samples, class_names: Sequence[str], count: int = 12
) -> list[ClipSample]:
    """Samples that are spread evenly over the rows; those that cannot be read are left out.

    rows: of a metric, see `ScoreRows`. dataset: whose samples were scored.
    """
    samples = []
    for row in np.unique(np.linspace(0, len(rows["index"]) - 1, count).astype(int)):
        item = dataset[int(rows["index"][row])]
        if "video" in item:
            frames = item["video"].reshape(-1, *item["video"].shape[-3:])
            scores, label = rows["scores"][row], rows["label"][row]
            samples.append(clip_sample(frames, scores, label, class_names))
    return samples


def draw_predictions(samples: Sequence[ClipSample], path: Path, columns: int = 4) -> None:
    """Write a contact sheet: some frames of every clip below its predicted and its true class.

    Raises ValueError if there is no sample.
    """
    if not samples:
        raise ValueError(f"there is no sample to show in {path}")
    columns = min(columns, len(samples))
    num_rows = math.ceil(len(samples) / columns)
    strips = [_strip(sample.frames) for sample in samples]
    aspect = max(strip.shape[0] / strip.shape[1] for strip in strips)
    width = min(max(1.4 / aspect, 2.3), 3.6)
    figure = new_figure((width + 0.15) * columns, (width * aspect + 0.55) * num_rows)
    grid = figure.subplots(num_rows, columns, squeeze=False).reshape(-1)
    figure.subplots_adjust(
        0, 0, 1, 1 - 0.4 / figure.get_figheight(), 0.15 / width, 0.55 / aspect / width
    )
    for axes in grid:
        axes.axis("off")
    for axes, sample, strip in zip(grid, samples, strips, strict=False):
        axes.imshow(strip, interpolation="bilinear", cmap="gray", vmin=0, vmax=255)
        _caption(axes, sample, letters=int(width * 9))
    save_figure(figure, path)


def _strip(frames: np.ndarray, count: int = 3) -> np.ndarray:
    """Some frames of (T, H, W, C), evenly spread, side by side with a white gap."""
    chosen = np.linspace(0, len(frames) - 1, min(count, len(frames))).round().astype(int)
    frames = frames[chosen] if frames.shape[-1] == 3 else frames[chosen][..., 0]
    gap = np.full_like(frames[0][:, : max(2, frames.shape[2] // 40)], 255)
    parts = [part for frame in frames for part in (frame, gap)][:-1]
    return np.concatenate(parts, axis=1)


def _caption(axes: "Axes", sample: ClipSample, letters: int) -> None:
    """The predicted class in green or red, and the true one below it."""
    predicted = f"{shorten(sample.predicted, letters)}  {100 * sample.probability:.0f} %"
    truth = f"true: {shorten(sample.truth, letters + 6)}"
    for text, above, size, colour, weight in (
        (predicted, 16, 9.5, GREEN if sample.correct else RED, "bold"),
        (truth, 4, 8.0, GREY, "normal"),
    ):
        axes.annotate(
            text,
            (0, 1),
            (0, above),
            xycoords="axes fraction",
            textcoords="offset points",
            fontsize=size,
            color=colour,
            weight=weight,
        )


def write_predictions(samples: Sequence[ClipSample], path: Path, columns: int = 4) -> None:
    """Write the clips as a grid in an mp4, each below its predicted and its true class.

    Raises ValueError if there is no sample.
    """
    if not samples:
        raise ValueError(f"there is no sample to show in {path}")
    write_grid([_annotated(sample) for sample in samples], path, columns)


def _annotated(sample: ClipSample) -> np.ndarray:
    """(T, BAR + HEIGHT, W, 3) uint8 with an even W, as video codecs require."""
    frames = sample.frames if sample.frames.shape[-1] == 3 else sample.frames[..., :1]
    frames = np.broadcast_to(frames, (*frames.shape[:-1], 3))
    width = max(2 * round(HEIGHT * frames.shape[2] / frames.shape[1] / 2), 2)
    bar = Image.new("RGB", (width, BAR))
    draw, font = ImageDraw.Draw(bar), ImageFont.load_default(size=13)
    colour = _CORRECT if sample.correct else _WRONG
    draw.text((3, 1), f"{100 * sample.probability:.0f} % {sample.predicted}", colour, font)
    draw.text((3, 17), f"true: {sample.truth}", _GREY, font)
    pictures = [
        np.asarray(Image.fromarray(np.ascontiguousarray(frame)).resize((width, HEIGHT)))
        for frame in frames
    ]
    return np.stack([np.concatenate([np.asarray(bar), picture]) for picture in pictures])
