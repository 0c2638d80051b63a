"""Small example datasets in real formats: H.264 files, lists of `path label`, class names.

`shapes`: appearance gives the class. `motions`: only the order of the frames gives it; every class
shows the same frames. Each video is a function of (dataset, split, index), the same on every
machine.
"""

import colorsys
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

from vidrec.config.example_data import VERSIONS
from vidrec.data.video.writer import write_video
from vidrec.files.write_once import write_once
from vidrec.progress import track

FRAME_RATE = 12

SHAPES = ("circle", "square", "triangle", "cross", "ring", "star", "stripes", "moon")
# Up and down, not left and right: a mirrored clip keeps its class.
MOTIONS = ("slow_up", "slow_down", "fast_up", "fast_down")
_STRIDES = {"slow_up": -1, "slow_down": 1, "fast_up": -2, "fast_down": 2}


def write_shapes(root: str, num_train: int = 320, num_val: int = 80) -> None:
    """One drifting, turning shape on a textured background; each class has its own colour."""
    _write_dataset(root, "shapes", SHAPES, {"train": num_train, "val": num_val}, draw_shape)


def write_motions(root: str, num_train: int = 480, num_val: int = 160) -> None:
    """A disc that moves up or down and wraps around, once or twice in a clip.

    Every class visits the same positions, each exactly once (25 is coprime to the strides 1 and 2):
    the frames of a clip as a set do not reveal its class.
    """
    _write_dataset(root, "motions", MOTIONS, {"train": num_train, "val": num_val}, draw_motion)


def draw_shape(name: str, rng: np.random.Generator, num_frames: int = 24) -> np.ndarray:
    """(num_frames, 72, 72, 3) uint8."""
    size = 72
    background = texture(rng, size, colourful=0.4)
    hue = SHAPES.index(name) / len(SHAPES) + rng.uniform(-0.02, 0.02)
    colour = np.array(colorsys.hsv_to_rgb(hue % 1, rng.uniform(0.7, 1), rng.uniform(0.8, 1))) * 255
    radius = rng.uniform(16, 21)
    # Close enough to the centre to be seen in corner crops of two thirds of the frame.
    start, end = rng.uniform(24, size - 24, size=(2, 2))
    angle, turn = rng.uniform(0, 2 * np.pi), rng.uniform(-1, 1)
    frames = []
    for t in np.linspace(0, 1, num_frames):
        x, y = start + (end - start) * t
        u, v = coordinates(size, x, y, angle + turn * t, radius)
        frames.append(blend(background, colour, cover(name, u, v, radius)))
    return np.stack(frames)


def draw_motion(name: str, rng: np.random.Generator, num_frames: int = 25) -> np.ndarray:
    """(num_frames, 64, 64, 3) uint8. The top edge continues at the bottom edge."""
    size = 64
    background = texture(rng, size)
    colour = rng.uniform(160, 255, 3)
    radius, x, phase = rng.uniform(7, 10), rng.uniform(24, size - 24), rng.uniform(0, size)
    frames = []
    for step in range(num_frames):
        position = _STRIDES[name] * step % num_frames
        y = (phase + size * position / num_frames) % size
        coverage = np.zeros((size, size))
        for shifted in (y - size, y, y + size):
            u, v = coordinates(size, x, shifted, 0.0, radius)
            coverage = np.maximum(coverage, cover("circle", u, v, radius))
        frames.append(blend(background, colour, coverage))
    return np.stack(frames)


def texture(rng: np.random.Generator, size: int, colourful: float = 1.0) -> np.ndarray:
    """A dim texture of a few smooth waves, (size, size, 3) in [0, 255]; grey at `colourful` 0."""
    y, x = np.mgrid[:size, :size] / size
    picture = np.zeros((size, size, 3))
    for _ in range(4):
        wave = rng.uniform(-4, 4, 2)
        strength = rng.uniform(8, 22, 3)
        phase = rng.uniform(0, 2 * np.pi)
        picture += strength * np.sin(2 * np.pi * (wave[0] * x + wave[1] * y) + phase)[..., None]
    picture += rng.uniform(50, 100, 3) + rng.normal(0, 4, picture.shape)
    grey = picture.mean(axis=-1, keepdims=True)
    return np.clip(grey + colourful * (picture - grey), 0, 255)


def coordinates(
    size: int, x: float, y: float, angle: float, radius: float
) -> tuple[np.ndarray, np.ndarray]:
    """The pixels in the rotated coordinates of a shape of radius 1 at (x, y)."""
    rows, columns = np.mgrid[:size, :size]
    dx, dy = (columns - x) / radius, (rows - y) / radius
    return dx * np.cos(angle) + dy * np.sin(angle), dy * np.cos(angle) - dx * np.sin(angle)


def cover(name: str, u: np.ndarray, v: np.ndarray, radius: float) -> np.ndarray:
    """Coverage of each pixel by a shape, from its signed distance (negative inside)."""
    r = np.hypot(u, v)
    match name:
        case "circle":
            distance = r - 1
        case "square":
            distance = np.maximum(abs(u), abs(v)) - 0.85
        case "triangle":
            distance = np.maximum(abs(u) * 0.866 + v * 0.5, -v) - 0.55
        case "cross":
            arms = np.minimum(abs(u), abs(v)) - 0.3
            distance = np.maximum(arms, np.maximum(abs(u), abs(v)) - 1)
        case "ring":
            distance = abs(r - 0.75) - 0.22
        case "star":
            tenth = np.pi / 5  # from a tip to the next notch
            turn = abs((np.arctan2(v, u) + tenth) % (2 * tenth) - tenth)
            notch = 0.45 * np.cos(tenth), 0.45 * np.sin(tenth)
            # Across the straight edge from the tip (1, 0) to the notch.
            across = notch[1] * (r * np.cos(turn) - 1) + (1 - notch[0]) * r * np.sin(turn)
            distance = across / np.hypot(notch[1], 1 - notch[0])
        case "stripes":
            box = np.maximum(abs(u), abs(v)) - 0.9
            distance = np.maximum(box, abs((u + 10) % 0.6 - 0.3) - 0.15)
        case "moon":
            distance = np.maximum(r - 1, 0.8 - np.hypot(u - 0.55, v))
        case _:
            raise ValueError(f"unknown shape '{name}'; choose from {', '.join(SHAPES)}")
    return np.clip(0.5 - distance * radius, 0, 1)


def blend(background: np.ndarray, colour: np.ndarray, coverage: np.ndarray) -> np.ndarray:
    picture = background + (colour - background) * coverage[..., None]
    return np.round(picture).astype(np.uint8)


def _write_dataset(
    root: str,
    name: str,
    classes: tuple[str, ...],
    sizes: dict[str, int],
    draw: Callable[[str, np.random.Generator], np.ndarray],
) -> None:
    """Write the dataset into `root` unless it already has it."""

    def write(folder: Path) -> None:
        (folder / "videos").mkdir()
        (folder / "classes.txt").write_text("".join(f"{c}\n" for c in classes))
        jobs = [(split, i) for split, size in sizes.items() for i in range(size)]
        lists: dict[str, list[str]] = {split: [] for split in sizes}
        print(f"writing the example videos to {root} ({len(jobs)} files, once)", file=sys.stderr)
        for split, i in track(jobs, "example videos"):
            label = i % len(classes)
            seed = [ord(letter) for letter in f"{name} {split}"] + [i]
            file = f"videos/{split}_{i:04d}_{classes[label]}.mp4"
            write_video(
                folder / file, draw(classes[label], np.random.default_rng(seed)), FRAME_RATE
            )
            lists[split].append(f"{file} {label}\n")
        for split, lines in lists.items():
            (folder / f"{split}.txt").write_text("".join(lines))

    version = f"{name} v{VERSIONS[name]} " + " ".join(f"{split}={n}" for split, n in sizes.items())
    write_once(root, version, write)
