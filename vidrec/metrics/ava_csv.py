"""Detections in the CSV of AVA: lines `video,timestamp,x1,y1,x2,y2,action,score`."""

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from vidrec.data.boxes.keys import key
from vidrec.files.atomic_write import atomic_write


class BoxDetections(NamedTuple):
    """Scored boxes, one for each action of a person; D in all."""

    names: list[str]  # key frames: VIDEO,TIMESTAMP
    frames: np.ndarray  # (D,) int64: index into `names`
    boxes: np.ndarray  # (D, 4) float64: x1, y1, x2, y2, normalised to [0, 1]
    actions: np.ndarray  # (D,) int64: ids
    scores: np.ndarray  # (D,) float64


_LONGEST_NAME = 512
_NUMBERS = [("timestamp", "f8"), ("box", "f8", 4), ("action", "f8"), ("score", "f8")]


def read_detections(path: str | Path) -> BoxDetections:
    """The detections of a CSV file, in its order.

    Raises ValueError with the number of a line that is no detection, or if boxes are in pixels.
    """
    columns = _read_columns(path)
    numbers = [columns[name] for name in ("timestamp", "box", "action", "score")]
    if not all(np.isfinite(values).all() for values in numbers):
        raise _bad_line(path)
    boxes, actions = columns["box"], columns["action"].astype(np.int64)
    if not (actions == columns["action"]).all():
        raise _bad_line(path)
    if len(boxes) and boxes.max() > 2:
        first = int(np.argmax(boxes.max(axis=1) > 2))
        raise ValueError(
            f"{path}: detection {first + 1} has the box {boxes[first].tolist()}; boxes are "
            "x1, y1, x2, y2, normalised to [0, 1]: divide pixels by the frame's width and height"
        )
    # Most lines belong to the same key frame as the line before.
    videos, timestamps = columns["video"], columns["timestamp"]
    changes = (videos[1:] != videos[:-1]) | (timestamps[1:] != timestamps[:-1])
    starts = np.flatnonzero(np.concatenate([[True], changes])) if len(boxes) else np.zeros(0, int)
    names = map(key, videos[starts].tolist(), timestamps[starts].tolist())
    number: dict[str, int] = {}
    frames = np.array([number.setdefault(name, len(number)) for name in names], dtype=np.int64)
    lengths = np.diff(starts, append=len(boxes))
    return BoxDetections(
        list(number), np.repeat(frames, lengths), boxes, actions, columns["score"].copy()
    )


def _read_columns(path: str | Path) -> np.ndarray:
    """The lines as an array of records."""
    width = 32
    while True:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "loadtxt: input contained no data")
            try:
                columns = np.loadtxt(
                    path,
                    dtype=[("video", f"U{width}"), *_NUMBERS],
                    delimiter=",",
                    comments=None,
                    encoding="utf-8",
                    ndmin=1,
                )
            except ValueError:
                raise _bad_line(path) from None
        # Names that are longer than the column were cut off: read again with a wider one.
        if width >= _LONGEST_NAME or not (np.strings.str_len(columns["video"]) == width).any():
            return columns
        width *= 4


def _bad_line(path: str | Path) -> ValueError:
    """The error for the first line that is no detection."""
    lines = Path(path).read_text(encoding="utf-8").split("\n")
    number, line = next(
        (i, line) for i, line in enumerate(lines, 1) if line.strip() and not _is_detection(line)
    )
    return ValueError(
        f"{path}, line {number}: {line.strip()!r} is not video,timestamp,x1,y1,x2,y2,action,score"
    )


def _is_detection(line: str) -> bool:
    try:
        values = [float(value) for value in line.split(",")[1:]]
    except ValueError:
        return False
    return len(values) == 7 and bool(np.isfinite(values).all()) and values[5] == int(values[5])


def write_detections(detections: BoxDetections, path: str | Path) -> None:
    """Write a CSV file atomically."""
    with atomic_write(path, "w") as stream:
        stream.writelines(_lines(detections))


def _lines(detections: BoxDetections) -> Iterator[str]:
    rows = zip(
        detections.frames.tolist(),
        detections.boxes.tolist(),
        detections.actions.tolist(),
        detections.scores.tolist(),
        strict=True,
    )
    for frame, (x1, y1, x2, y2), action, score in rows:
        # Nine digits restore a float32 exactly.
        yield (
            f"{detections.names[frame]},{x1:.9g},{y1:.9g},{x2:.9g},{y2:.9g},{action},{score:.9g}\n"
        )
