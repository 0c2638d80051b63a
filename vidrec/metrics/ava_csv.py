"""Detections in the CSV of AVA: lines `video,timestamp,x1,y1,x2,y2,action,score`."""

import math
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from vidrec.data.boxes.keys import MAX_NAME, MAX_TIME, key, read_moment
from vidrec.data.boxes.records import MAX_ID
from vidrec.files.atomic_write import atomic_write
from vidrec.files.text_files import check_file, shown


class BoxDetections(NamedTuple):
    """Scored boxes, one for each action of a person; D in all."""

    names: list[str]  # key frames: VIDEO,TIMESTAMP
    frames: np.ndarray  # (D,) int64: index into `names`
    boxes: np.ndarray  # (D, 4) float64: x1, y1, x2, y2, normalised to [0, 1]
    actions: np.ndarray  # (D,) int64: ids
    scores: np.ndarray  # (D,) float64


_NUMBERS = [("timestamp", "f8"), ("box", "f8", 4), ("action", "f8"), ("score", "f8")]
_MAX_BOX = 2  # beyond which boxes are in pixels
_FORMAT = "video,timestamp,x1,y1,x2,y2,action,score"


def read_detections(path: str | Path) -> BoxDetections:
    """The detections of a CSV file, in its order.

    Raises ValueError with the number of a line that is no detection, or if boxes are in pixels.
    """
    columns = _read_columns(path)
    boxes, action = columns["box"], columns["action"]
    times = columns["timestamp"]
    usable = np.isfinite(boxes).all(axis=1) & np.isfinite(columns["score"])
    usable &= (np.abs(times) <= MAX_TIME) & (action >= 0) & (action <= MAX_ID)
    usable &= (np.strings.strip(columns["video"]) != "") & (action == np.floor(action))
    if not usable.all():
        raise _bad_line(path)
    actions = action.astype(np.int64)
    outside = np.abs(boxes).max(axis=1, initial=0) > _MAX_BOX
    if outside.any():
        first = int(np.argmax(outside))
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
    check_file(str(path))
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
                    encoding="utf-8-sig",
                    ndmin=1,
                )
            except ValueError:
                raise _bad_line(path) from None
        # Names that are longer than the column were cut off: read again with a wider one.
        if not (np.strings.str_len(columns["video"]) == width).any():
            return columns
        if width > MAX_NAME:
            raise ValueError(f"{path} has names of videos with {width} characters and more")
        width *= 4


def _bad_line(path: str | Path) -> ValueError:
    """The error for the first line that is no detection."""
    number = 0
    # Decoded line by line, to locate an invalid character.
    with open(path, "rb") as file:
        for number, line in enumerate(file, start=1):
            text = line.decode("utf-8-sig", errors="replace").strip()
            if text and not _is_detection(text):
                return ValueError(f"{path}, line {number}: {shown(text)} is not {_FORMAT}")
    return ValueError(f"{path}: one of its {number} lines is not {_FORMAT} in UTF-8")


def _is_detection(line: str) -> bool:
    video, *rest = line.split(",")
    try:
        timestamp, *box, action, score = [float(value) for value in rest]
        read_moment(video, timestamp)
    except ValueError:
        return False
    finite = all(math.isfinite(value) for value in (*box, score)) and len(box) == 4
    return finite and "\ufffd" not in line and action in range(MAX_ID + 1)


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
