"""Sample clips with their predicted and their true classes, as a picture and as a video."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from PIL import Image, ImageDraw

from vidrec.plots.lettering import font_for
from vidrec.plots.style import (
    GREEN,
    GREY,
    LETTERS_PER_INCH,
    RED,
    TEXT,
    clipped,
    new_figure,
    save_figure,
    shorten,
)
from vidrec.plots.video_grid import write_grid

if TYPE_CHECKING:
    from matplotlib.axes import Axes

HEIGHT = 128  # of a clip in the video, pixels
LINE, LINES = 16, 3  # pixels of a line of text; lines above a clip
BAR = LINE * LINES + 2
LEAST_WIDTH = 200  # of a clip with its text in the video, pixels
_CORRECT, _WRONG, _GREY = (120, 220, 140), (255, 130, 110), (190, 196, 202)


class Samples(Protocol):
    """A dataset: the arrays of a sample by its row."""

    def __getitem__(self, key: int, /) -> Mapping[str, np.ndarray]: ...


@dataclass
class ClipSample:
    """A clip with its file, the best class and the true ones."""

    frames: np.ndarray  # (T, H, W, C) uint8; of C other than 3 the first channel is shown
    file: str
    truth: str
    predicted: str
    score: float  # of the predicted class
    correct: bool

    @property
    def verdict(self) -> str:
        """The predicted class with its score behind a sign that needs no colour."""
        return f"{'✓' if self.correct else '✗'} {self.score:.2f} "


def clip_sample(
    frames: np.ndarray,
    file: str,
    scores: np.ndarray,
    label: np.ndarray | int,
    class_names: Sequence[str],
) -> ClipSample:
    """A clip with its classes by name.

    frames: (T, H, W, C) uint8; scores: (K,); label: a class, or (K,) with a 1 for each class of the
    clip.
    """
    truth = np.flatnonzero(label).tolist() if np.ndim(label) else [int(label)]
    best = int(np.argmax(scores))
    names = ", ".join(class_names[i] for i in truth) or "none"
    correct = best in truth
    return ClipSample(frames, file, names, class_names[best], float(scores[best]), correct)


def are_right(rows: Mapping[str, np.ndarray]) -> np.ndarray:
    """(n,) bool: whether the best class of each row is a true one. rows: see `ScoreRows`."""
    best = rows["scores"].argmax(axis=1)
    if rows["label"].ndim == 1:
        return best == rows["label"]
    return rows["label"][np.arange(len(best)), best] > 0


def load_samples(
    rows: Mapping[str, np.ndarray],
    dataset: Samples,
    class_names: Sequence[str],
    file_of: Callable[[int], str],
    count: int = 12,
) -> list[ClipSample]:
    """Wrong samples first, those with the highest scores; at most half of all if others are right.

    Right ones are spread evenly over the rows. Those that cannot be read are left out.

    rows: of a metric, see `ScoreRows`. dataset: whose samples were scored. file_of: the name of a
    sample's file by its index.
    """
    right = are_right(rows)
    wrong, correct = np.flatnonzero(~right), np.flatnonzero(right)
    surest = wrong[np.argsort(-rows["scores"][wrong].max(axis=1), kind="stable")]
    surest = surest[: max(count // 2, count - len(correct))]
    places = np.linspace(0, len(correct) - 1, min(count - len(surest), len(correct)))
    samples = []
    for row in [*surest.tolist(), *correct[places.astype(int)].tolist()]:
        index = int(rows["index"][row])
        item = dataset[index]
        if "video" in item:
            frames = item["video"].reshape(-1, *item["video"].shape[-3:])
            scores, label = rows["scores"][row], rows["label"][row]
            samples.append(clip_sample(frames, file_of(index), scores, label, class_names))
    return samples


def draw_predictions(
    samples: Sequence[ClipSample], path: Path, title: str = "", columns: int = 4
) -> None:
    """Write a contact sheet: some frames of every clip below its predicted and its true class.

    Raises ValueError if there is no sample.
    """
    if not samples:
        raise ValueError(f"there is no sample to show in {path}")
    columns = min(columns, len(samples))
    strips = [_strip(sample.frames) for sample in samples]
    aspects = [strip.shape[0] / strip.shape[1] for strip in strips]
    width = min(max(1.4 / max(aspects), 2.6), 3.6)
    text, gap, head = 0.56, 0.2, 0.3 * bool(title)  # inches
    rows = [range(i, min(i + columns, len(strips))) for i in range(0, len(strips), columns)]
    heights = [text + width * max(aspects[i] for i in row) for row in rows]
    size = (columns * (width + gap), head + sum(heights))
    figure = new_figure(*size)
    figure.text(0, 1, shorten(title, 200), fontsize=10, color=TEXT, va="top")
    for row, below in zip(rows, itertools.accumulate(heights, initial=head), strict=False):
        for column, i in enumerate(row):
            left, bottom = column * (width + gap), size[1] - below - text - width * aspects[i]
            place = (
                left / size[0],
                bottom / size[1],
                width / size[0],
                width * aspects[i] / size[1],
            )
            axes = figure.add_axes(place)
            axes.imshow(strips[i], cmap="gray", vmin=0, vmax=255, aspect="auto")
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set(color=GREEN if samples[i].correct else RED, linewidth=1.5)
            _caption(axes, samples[i], letters=int(width * LETTERS_PER_INCH))
    save_figure(figure, path)


def _strip(frames: np.ndarray, count: int = 3) -> np.ndarray:
    """Some frames of (T, H, W, C), evenly spread, side by side with a white gap."""
    chosen = np.linspace(0, len(frames) - 1, min(count, len(frames))).round().astype(int)
    frames = frames[chosen] if frames.shape[-1] == 3 else frames[chosen][..., 0]
    gap = np.full_like(frames[0][:, : max(2, frames.shape[2] // 40)], 255)
    parts = [part for frame in frames for part in (frame, gap)][:-1]
    return np.concatenate(parts, axis=1)


def _caption(axes: "Axes", sample: ClipSample, letters: int) -> None:
    """The predicted class in green or red, below it the true one and the file."""
    predicted = sample.verdict + shorten(sample.predicted, letters - 10)
    truth = f"true: {shorten(sample.truth, letters - 2)}"
    file = shorten(sample.file, letters + 4, from_left=True)
    for text, above, size, colour, weight in (
        (predicted, 25, 9.0, GREEN if sample.correct else RED, "bold"),
        (truth, 14, 8.0, TEXT, "normal"),
        (file, 4, 7.0, GREY, "normal"),
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
    picture = Image.new("RGB", (max(width, LEAST_WIDTH), BAR + HEIGHT))
    draw, letters = ImageDraw.Draw(picture), picture.width // 7
    for number, (text, colour) in enumerate(
        (
            (
                sample.verdict + clipped(sample.predicted, letters - 8),
                _CORRECT if sample.correct else _WRONG,
            ),
            (f"true: {clipped(sample.truth, letters - 6)}", _GREY),
            (clipped(sample.file, letters, from_left=True), _GREY),
        )
    ):
        draw.text((3, LINE * number), text, colour, font_for(text, 12))
    pictures = []
    for frame in frames:
        shown = Image.fromarray(np.ascontiguousarray(frame)).resize((width, HEIGHT))
        picture.paste(shown, (0, BAR))
        pictures.append(np.asarray(picture))
    return np.stack(pictures)
