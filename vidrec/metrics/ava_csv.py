"""Detections in AVA's csv: lines `video,timestamp,x1,y1,x2,y2,action,score`."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np


class BoxDetections(NamedTuple):
    """Scored boxes, one for each action of a person; D in all.

    frames: (D,) int64, rows of `names`. boxes: (D, 4) float64, shares of the frame.
    actions: (D,) int64, ids. scores: (D,) float64.
    """

    names: list[str]  # key frames: video,timestamp as in the file
    frames: np.ndarray
    boxes: np.ndarray
    actions: np.ndarray
    scores: np.ndarray


def read_detections(path: str | Path) -> BoxDetections:
    """The detections of a csv, in its order. ValueError names a line that is none."""
    lines = Path(path).read_text(encoding="utf-8").split("\n")
    lines = [line for line in lines if line.strip()]
    parts = [line.split(",", 2) for line in lines]
    keys = [f"{part[0]},{part[1]}" if len(part) == 3 else "" for part in parts]
    # Numbers of all lines in one go: a line at a time costs ten times as much.
    numbers = ",".join(part[2] if len(part) == 3 else "nan" for part in parts)
    try:
        values = np.array(numbers.split(",") if parts else [], dtype=np.float64)
    except ValueError:
        values = np.zeros(0)
    if values.size != 6 * len(lines) or not np.isfinite(values).all():
        bad = next(i for i, line in enumerate(lines) if not _is_detection(line))
        raise ValueError(
            f"{path}: {lines[bad]!r} is not video,timestamp,x1,y1,x2,y2,action,score "
            f"({bad + 1}. line that is not empty)"
        )
    values = values.reshape(-1, 6)
    number: dict[str, int] = {}
    frames = np.array([number.setdefault(key, len(number)) for key in keys], dtype=np.int64)
    actions = values[:, 4].astype(np.int64)
    return BoxDetections(list(number), frames, values[:, :4], actions, values[:, 5])


def _is_detection(line: str) -> bool:
    try:
        values = [float(value) for value in line.split(",")[2:]]
    except ValueError:
        return False
    return len(values) == 6 and bool(np.isfinite(values).all())


def write_detections(detections: BoxDetections, path: str | Path) -> None:
    """Write the csv; it is there whole or not at all."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".tmp")
    with temporary.open("w", encoding="utf-8") as stream:
        stream.writelines(_lines(detections))
        stream.flush()
        os.fsync(stream.fileno())
    temporary.replace(path)


def _lines(detections: BoxDetections) -> Iterator[str]:
    rows = zip(
        detections.frames.tolist(),
        detections.boxes.tolist(),
        detections.actions.tolist(),
        detections.scores.tolist(),
        strict=True,
    )
    for frame, (x1, y1, x2, y2), action, score in rows:
        # Nine digits bring a number of 32 bits back as it was.
        yield (
            f"{detections.names[frame]},{x1:.9g},{y1:.9g},{x2:.9g},{y2:.9g},{action},{score:.9g}\n"
        )
