"""Custom annotations of boxes with actions, in a csv or JSON -> `BoxRecords`. Opens no video."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from vidrec.data.boxes.annotations import (
    NO_ACTION,
    NO_BOX,
    TOLERANCE,
    BoxTable,
    box_text,
    check_boxes,
    no_boxes,
    pack,
    read_label_map,
)
from vidrec.data.boxes.keys import number_of, read_moment
from vidrec.data.boxes.records import BoxRecords
from vidrec.errors import did_you_mean
from vidrec.files.text_files import csv_rows, read_json_file, read_text, shown

MAX_CLASS_NAME = 200  # characters


def read_boxes(  # noqa: PLR0913 - the signature is the configuration
    ann_file: str | None,
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
        ignored. The action of a person who does nothing is empty, and so is the box of a key
        frame without persons.
    JSON: a list of key frames `{"video": ..., "timestamp": ..., "boxes": [{"box": [x1, y1, x2,
        y2], "actions": [...]}]}`; boxes are in pixels if there are "width" and "height". Both
        lists may be empty.
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
    if ann_file is None:
        table, ann_file = no_boxes(unannotated, proposal_file), str(proposal_file)
    else:
        read = _read_json if Path(ann_file).suffix.lower() == ".json" else _read_csv
        table = read(ann_file, ids, classes)
    if not (table.actions >= 0).any() and not unannotated:
        raise ValueError(
            f"{ann_file} has no box with an action; to predict at key frames without any set "
            "data.val.records.unannotated=true"
        )
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


class _Line(NamedTuple):
    """A box with one action as it is written, for a csv or JSON; nothing is checked yet.

    A key frame without persons has no box, and a person who does nothing no action.
    """

    where: str  # place in the file
    video: object
    timestamp: Any
    box: Any  # None: none
    action: object  # None: none
    width: Any  # of the frame in pixels, if boxes are in pixels
    height: Any


def read_classes(path: str, first: int) -> dict[int, str]:
    """id -> name of a label map, or of a text file with one name per line, counted from `first`."""
    if Path(path).suffix.lower() == ".pbtxt":
        return read_label_map(path)
    names = [line.strip() for line in read_text(path).splitlines() if line.strip()]
    if len(set(names)) != len(names) or not names or max(map(len, names)) > MAX_CLASS_NAME:
        raise ValueError(
            f"{path} must contain distinct class names, one per line, of at most {MAX_CLASS_NAME} "
            "characters"
        )
    return dict(enumerate(names, start=first))


def _read_csv(path: str, ids: Mapping[str, int], classes: str) -> BoxTable:
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
    written = []
    for line, row in lines:
        if len(row) < len(header) or any(row[len(header) :]):
            raise ValueError(
                f"{path}, line {line}: {shown(','.join(row))} has {len(row)} fields, the header "
                f"has {len(header)}"
            )
        value = {name: row[i].strip() for name, i in place.items()}
        corners = [value[name] for name in ("x1", "y1", "x2", "y2")]
        written.append(
            _Line(
                where=f"{path}, line {line}",
                video=value["video"],
                timestamp=value["timestamp"],
                box=corners if any(corners) or value["action"] else None,
                action=value["action"] or None,
                width=value.get("width"),
                height=value.get("height"),
            )
        )
    return _table(written, ids, classes)


def _read_json(path: str, ids: Mapping[str, int], classes: str) -> BoxTable:
    frames = read_json_file(path)
    written = []
    for place, frame in enumerate(frames if isinstance(frames, list) else [frames]):
        where = f"{path}, key frame {place}"
        try:
            video, timestamp, entries = frame["video"], frame["timestamp"], frame["boxes"]
            size = frame.get("width"), frame.get("height")
            if not isinstance(entries, list):
                raise TypeError("boxes are no list; without persons it is empty")
            if not entries:
                written.append(_Line(where, video, timestamp, None, None, *size))
            for entry in entries:
                box, actions = entry["box"], _listed(entry["actions"])
                if box is None:
                    raise TypeError("a box is null")
                written += [_Line(where, video, timestamp, box, each, *size) for each in actions]
        except (AttributeError, KeyError, TypeError) as error:
            raise ValueError(
                f'{where} is not {{"video": ..., "timestamp": ..., "boxes": [{{"box": [x1, y1, x2, '
                f'y2], "actions": [...]}}]}}: {error!r}'
            ) from None
    return _table(written, ids, classes)


def _listed(actions: object) -> list[object]:
    """The actions of a person; [None] if there are none."""
    listed = actions if isinstance(actions, list) else [actions]
    if None in listed:
        raise TypeError("an action is null; a person without an action has an empty list")
    return listed or [None]


def _table(written: Sequence[_Line], ids: Mapping[str, int], classes: str) -> BoxTable:
    videos: list[str] = []
    boxes = np.zeros((len(written), 4), np.float32)
    timestamps, actions = np.zeros(len(written)), np.zeros(len(written), np.int64)
    for i, line in enumerate(written):
        video, timestamps[i], boxes[i] = _values(line)
        videos.append(video)
        if line.box is None:
            actions[i] = NO_BOX
        elif line.action is None:
            actions[i] = NO_ACTION
        else:
            actions[i] = _id_of(line.action, ids, line.where, classes)
    boxed = np.flatnonzero(actions != NO_BOX)
    check_boxes(boxes[boxed], lambda i: written[boxed[i]].where)
    return BoxTable(
        np.array(videos, dtype=str),
        timestamps,
        boxes,
        actions,
        np.arange(1, len(written) + 1),
    )


def _values(line: _Line) -> tuple[str, float, np.ndarray]:
    """Video and timestamp, and the box (4,) normalised to [0, 1], zeros if there is none."""
    has_size = line.width or line.height
    try:
        video, timestamp = read_moment(line.video, line.timestamp)
        corners = [0, 0, 0, 0] if line.box is None else line.box
        box = np.array([number_of(value) for value in corners])
        # With a size boxes are in pixels; a width without a height is a mistake.
        size = [number_of(line.width), number_of(line.height)] if has_size else [1.0, 1.0]
        usable = isinstance(corners, list) and len(corners) == 4 and min(size) > 0
        if not usable or not (np.isfinite(box).all() and np.isfinite(size).all()):
            raise ValueError
    except (TypeError, ValueError, OverflowError):
        size_text = f", width {line.width!r}, height {line.height!r}" if has_size else ""
        text = f"video {line.video!r}, timestamp {line.timestamp!r}, box {line.box!r}{size_text}"
        raise ValueError(
            f"{line.where}: {text[:300]}: expected the name of a video and numbers"
        ) from None
    if min(size) > 1 and box.max() <= 1 + TOLERANCE and (box[2:] > box[:2]).all():
        raise ValueError(
            f"{line.where}: the box {box_text(box)} is normalised already, but with a width and a "
            f"height, {size[0]:g} and {size[1]:g}, boxes are in pixels: leave these two out"
        )
    return video, timestamp, (box / (size * 2)).clip(-2e9, 2e9)


def _id_of(action: object, ids: Mapping[str, int], where: str, classes: str) -> int:
    """The id of an action given by name or id."""
    name = str(action).strip()
    if name in ids:
        return ids[name]
    if re.fullmatch(r"\d{1,9}", name) and int(name) in ids.values():
        return int(name)
    raise ValueError(
        f"{where}: the action {shown(name)} is not in {classes}; {did_you_mean(name[:99], ids)}"
    )
