"""A small example of spatio-temporal detection in the formats of AVA.

Shapes side by side, each with its own movement and perhaps a flicker. At the key frame every
movement passes through the same position, so that neither the box nor the key frame alone reveals
the action, only the surrounding frames inside the box. Each movie is a function of (split, index).
"""

import sys
from pathlib import Path

import numpy as np

from vidrec.config.example_data import VERSIONS
from vidrec.data.boxes.keys import key
from vidrec.data.boxes.person_proposals import write_proposals
from vidrec.data.synthetic.shapes import (
    SHAPES,
    blend,
    coordinates,
    cover,
    texture,
)
from vidrec.data.video.writer import write_video
from vidrec.files.write_once import write_once
from vidrec.progress import track

# Movements that mirroring does not change.
MOVEMENTS = ("still", "rise", "fall", "sway")
ACTIONS = (*MOVEMENTS, "flicker")
WIDTH, HEIGHT, FRAME_RATE = 128, 96, 15
BEGIN = 900  # start of the annotated part of AVA; the movies here are excerpts of it
PERIOD = 2  # seconds from one key frame to the next: each has new movements
TRAVEL = 30.0  # pixels a second, up and down


def write_shapes_ava(
    root: str, num_train: int = 60, num_val: int = 25, key_frames: int = 4
) -> None:
    """Write videos/, train.csv, val.csv, excluded.csv, actions.pbtxt and person proposals.

    num_train, num_val: movies. key_frames: of each movie, two seconds apart.
    """

    def write(folder: Path) -> None:
        (folder / "videos").mkdir()
        items = (f'item {{\n  name: "{name}"\n  id: {i}\n}}\n' for i, name in enumerate(ACTIONS, 1))
        (folder / "actions.pbtxt").write_text("".join(items))
        excluded = []
        sizes = {"train": num_train, "val": num_val}
        jobs = [(split, i) for split, size in sizes.items() for i in range(size)]
        lines: dict[str, list[str]] = {split: [] for split in sizes}
        persons: dict[str, dict[str, np.ndarray]] = {split: {} for split in sizes}
        print(f"writing the example movies to {root} ({len(jobs)} files, once)", file=sys.stderr)
        for split, i in track(jobs, "example movies"):
            name = f"{split}_{i:04d}"
            rng = np.random.default_rng([*f"shapes_ava {split}".encode(), i])
            frames, boxes, actions = draw_movie(rng, key_frames)
            write_video(folder / "videos" / f"{name}.mp4", frames, FRAME_RATE)
            for number in range(key_frames):
                clock = BEGIN + PERIOD * number + PERIOD // 2
                persons[split][key(name, clock)] = detect(rng, boxes[number])
                for person, (box, own) in enumerate(
                    zip(boxes[number], actions[number], strict=True)
                ):
                    corners = ",".join(f"{value:.3f}" for value in box.tolist())
                    lines[split] += [
                        f"{name},{clock:04d},{corners},{action},{person}\n" for action in own
                    ]
            if i == 0:  # its last key frame is annotated, but excluded
                excluded.append(f"{name},{clock:04d}\n")
        for split in sizes:
            (folder / f"{split}.csv").write_text("".join(lines[split]))
            write_proposals(str(folder / f"{split}_persons.pkl"), persons[split])
        (folder / "excluded.csv").write_text("".join(excluded))

    sizes = f"train={num_train} val={num_val} key_frames={key_frames}"
    write_once(root, f"shapes_ava v{VERSIONS['shapes_ava']} {sizes}", write)


def draw_movie(
    rng: np.random.Generator, key_frames: int
) -> tuple[np.ndarray, list[np.ndarray], list[list[list[int]]]]:
    """One movie of two or three shapes.

    Returns frames (F, HEIGHT, WIDTH, 3) uint8; for each key frame the boxes (G, 4), normalised to
    [0, 1], and the actions of each box, ids from 1.
    """
    size = max(WIDTH, HEIGHT)
    background = np.round(texture(rng, size, colourful=0.5)[:HEIGHT]).astype(np.uint8)
    num_shapes = int(rng.integers(2, 4))
    places = WIDTH * (np.arange(num_shapes) + 0.5) / num_shapes
    names = rng.choice(SHAPES, num_shapes, replace=False)
    colours = rng.uniform(150, 255, (num_shapes, 3))
    radii = rng.uniform(9, 12, num_shapes)
    boxes, actions, frames = [], [], []
    for _ in range(key_frames):
        movements = rng.choice(len(MOVEMENTS), num_shapes, replace=False)
        flickers = rng.random(num_shapes) < 0.4
        homes = np.stack([places, rng.uniform(40, HEIGHT - 40, num_shapes)], axis=1)
        homes += rng.uniform(-2, 2, homes.shape)
        corners = np.concatenate([homes - radii[:, None] - 1, homes + radii[:, None] + 1], axis=1)
        boxes.append((corners / [WIDTH, HEIGHT, WIDTH, HEIGHT]).clip(0, 1))
        actions.append(
            [
                [int(movement) + 1] + [len(ACTIONS)] * bool(flicker)
                for movement, flicker in zip(movements, flickers, strict=True)
            ]
        )
        for frame in range(PERIOD * FRAME_RATE):
            seconds = frame / FRAME_RATE - PERIOD / 2  # from the key frame
            picture = background.copy()
            for i, (x, y) in enumerate(homes):
                dx, dy = _displacement(MOVEMENTS[movements[i]], seconds)
                bright = 1.0 if not flickers[i] or round(seconds * 5) % 2 else 0.45
                _draw(picture, names[i], x + dx, y + dy, radii[i], colours[i] * bright)
            frames.append(picture)
    return np.stack(frames), boxes, actions


def _draw(
    picture: np.ndarray, name: str, x: float, y: float, radius: float, colour: np.ndarray
) -> None:
    """Draw a shape at (x, y) into `picture`, touching only the square around it."""
    reach = int(1.5 * radius) + 2  # no shape extends further
    left, top, edge = int(x) - reach, int(y) - reach, 2 * reach + 1
    u, v = coordinates(edge, x - left, y - top, 0.0, radius)
    coverage = cover(name, u, v, radius)[max(-top, 0) :, max(-left, 0) :]
    part = picture[max(top, 0) : top + edge, max(left, 0) : left + edge]
    part[:] = blend(part, colour, coverage[: part.shape[0], : part.shape[1]])


def _displacement(movement: str, seconds: float) -> tuple[float, float]:
    """Pixels from home, `seconds` from the key frame."""
    if movement == "sway":
        return 7 * float(np.sin(2 * np.pi * 1.5 * seconds)), 0.0
    direction = {"still": 0, "rise": -1, "fall": 1}[movement]
    return 0.0, direction * TRAVEL * seconds


def detect(rng: np.random.Generator, boxes: np.ndarray) -> np.ndarray:
    """What a person detector might find, (P, 5): slightly displaced boxes, and a wrong one."""
    edges = (boxes[:, 2:] - boxes[:, :2])[:, [0, 1, 0, 1]]
    found = boxes + rng.uniform(-0.04, 0.04, boxes.shape) * edges
    corner = rng.uniform(0, 0.7, 2)
    wrong = np.concatenate([corner, corner + rng.uniform(0.1, 0.3, 2)])
    scores = [*rng.uniform(0.92, 1, len(boxes)), rng.uniform(0.1, 0.8)]
    return np.column_stack([np.vstack([found, wrong]).clip(0, 1), scores])
