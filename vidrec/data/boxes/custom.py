"""Custom annotations of boxes with actions, in a csv or JSON -> `BoxRecords`. Opens no video."""

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vidrec.data.boxes.annotations import (
    BoxTable,
    check_boxes,
    pack,
    read_label_map,
)
from vidrec.data.boxes.records import BoxRecords
from vidrec.errors import did_you_mean
from vidrec.files.text_files import csv_rows, read_json_file, read_text


def read_boxes(  # noqa: PLR0913 - the signature is the configuration
    ann_file: str,
    classes: str,
    proposal_file: str | None = None,
    exclude_file: str | None = None,
    num_classes: int | None = None,
    background: bool = True,
    person_det_score_thr: float = 0.9,
    num_max_proposals: int = 1000,
    unannotated: bool = False,
) -> BoxRecords:
    """The key frames of custom annotations.

    csv: a header with `video,timestamp,x1,y1,x2,y2,action` in any order, and a line for each box
        and action; boxes are in pixels if there are columns `width,height`. Other columns are
        ignored.
    JSON: a list of key frames `{"video": ..., "timestamp": ..., "boxes": [{"box": [x1, y1, x2,
        y2], "actions": [...]}]}`; boxes are in pixels if there are "width" and "height".
    timestamp: seconds, or frame numbers. action: a name or an id.
    classes: names of the actions, a text file with one per line (ids count from 1, or from 0
        without a background) or a label map in AVA's format.

    The other arguments are those of `read_ava`.
    """
    names = read_classes(classes, first=int(background))
    columns = {number: number for number in names}
    if num_classes is None:
        num_classes = max(names) + 1
    if min(names) < int(background):
        raise ValueError(f"{classes} has the id 0, which is the background: set background=False")
    if max(names) >= num_classes:
        raise ValueError(
            f"{classes} has the id {max(names)}, but num_classes={num_classes} columns end at "
            f"{num_classes - 1}: use num_classes={max(names) + 1}"
        )
    ids = {name: number for number, name in names.items()}
    read = _read_own_json if Path(ann_file).suffix.lower() == ".json" else _read_own_csv
    table = read(ann_file, ids, classes)
    return pack(
        table,
        columns=columns,
        classes=names,
        num_classes=num_classes,
        score_threshold=person_det_score_thr,
        num_max_proposals=num_max_proposals,
        unannotated=unannotated,
        ann_file=ann_file,
        exclude_file=exclude_file,
        proposal_file=proposal_file,
    )


def read_classes(path: str, first: int) -> dict[int, str]:
    """id -> name of a label map, or of a text file with one name per line, counted from `first`."""
    if Path(path).suffix.lower() == ".pbtxt":
        return read_label_map(path)
    names = [line.strip() for line in read_text(path).splitlines() if line.strip()]
    if len(set(names)) != len(names) or not names:
        raise ValueError(f"{path} must contain distinct class names, one per line")
    return dict(enumerate(names, start=first))


def _read_own_csv(path: str, ids: Mapping[str, int], classes: str) -> BoxTable:
    lines = csv_rows(path)
    _, header = next(lines, (0, []))
    place = {name.strip(): i for i, name in enumerate(header)}
    needed = ("video", "timestamp", "x1", "y1", "x2", "y2", "action")
    missing = [name for name in needed if name not in place]
    if missing:
        raise ValueError(
            f"{path}: the header lacks {', '.join(missing)}; expected "
            f"{','.join(needed)}, and width,height for boxes in pixels"
        )
    rows = []
    for line, row in lines:
        if len(row) < len(header):
            raise ValueError(
                f"{path}, line {line}: {','.join(row)!r} has {len(row)} fields, the header "
                f"has {len(header)}"
            )
        value = {name: row[i].strip() for name, i in place.items()}
        rows.append(
            (
                f"{path}, line {line}",
                value["video"],
                value["timestamp"],
                [value[name] for name in ("x1", "y1", "x2", "y2")],
                value["action"],
                (value.get("width"), value.get("height")),
            )
        )
    return _own_table(rows, ids, classes)


def _read_own_json(path: str, ids: Mapping[str, int], classes: str) -> BoxTable:
    frames = read_json_file(path)
    rows = []
    for place, frame in enumerate(frames if isinstance(frames, list) else [frames]):
        where = f"{path}, key frame {place}"
        try:
            size = (frame.get("width"), frame.get("height"))
            for entry in frame["boxes"]:
                actions = entry["actions"]
                for action in actions if isinstance(actions, list) else [actions]:
                    rows.append(
                        (where, frame["video"], frame["timestamp"], entry["box"], action, size)
                    )
        except (AttributeError, KeyError, TypeError) as error:
            raise ValueError(
                f'{where} is not {{"video": ..., "timestamp": ..., "boxes": [{{"box": [x1, y1, x2, '
                f'y2], "actions": [...]}}]}}: {error!r}'
            ) from None
    return _own_table(rows, ids, classes)


def _own_table(
    rows: Sequence[tuple[str, Any, Any, Any, object, tuple[Any, Any]]],
    ids: Mapping[str, int],
    classes: str,
) -> BoxTable:
    """rows: place in the file, video, timestamp, box, action, (width, height)."""
    boxes = np.zeros((len(rows), 4), np.float32)
    timestamps, actions = np.zeros(len(rows)), np.zeros(len(rows), np.int64)
    for i, (where, video, timestamp, box, action, (width, height)) in enumerate(rows):
        try:
            corners = np.array([float(value) for value in box])
            timestamps[i] = float(timestamp)
            # With a size boxes are in pixels; a width without a height is a mistake.
            size = [float(width), float(height)] if width or height else [1.0, 1.0]
            if corners.shape != (4,) or min(size) <= 0 or not math.isfinite(timestamps[i]):
                raise ValueError
        except (TypeError, ValueError):
            pixels = f" and width x height {width!r} x {height!r}" if width or height else ""
            raise ValueError(
                f"{where}: timestamp {timestamp!r}, box {box!r}{pixels} are not numbers"
            ) from None
        if not str(video or "").strip():
            raise ValueError(f"{where}: the name of the video is missing")
        corners /= size * 2
        boxes[i] = corners
        actions[i] = _id_of(action, ids, where, classes)
    check_boxes(boxes, lambda i: rows[i][0])
    return BoxTable(
        np.array([row[1] for row in rows], dtype=str),
        timestamps,
        boxes,
        actions,
        np.arange(1, len(rows) + 1),
    )


def _id_of(action: object, ids: Mapping[str, int], where: str, classes: str) -> int:
    """The id of an action given by name or id."""
    name = str(action).strip()
    if name in ids:
        return ids[name]
    if re.fullmatch(r"\d+", name) and int(name) in ids.values():
        return int(name)
    raise ValueError(f"{where}: the action {name!r} is not in {classes}; {did_you_mean(name, ids)}")
