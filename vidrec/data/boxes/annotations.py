"""Annotations of boxes with actions -> `BoxRecords`. Opens no video.

Reads the files of AVA (Gu et al., CVPR 2018): a csv with a line for each box and action,
`video,timestamp,x1,y1,x2,y2,action,person`, a label map (pbtxt), a csv of excluded key frames, and
the person boxes of a detector.
"""

import logging
import re
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from vidrec.data.boxes.keys import EXCLUDED, KeyFrameNumbers, key, parse_key, read_moment
from vidrec.data.boxes.person_proposals import read_proposals
from vidrec.data.boxes.records import MAX_ID, BoxRecords
from vidrec.data.ragged import Ragged
from vidrec.files.text_files import csv_rows, read_text, shown

log = logging.getLogger(__name__)

TOLERANCE = 0.05  # by which boxes may extend beyond the frame; they are clipped
MAX_EMPTY = 0.01  # share of boxes without area above which a file has another format
WHOLE_FRAME = np.array([[0, 0, 1, 1, 1]], np.float32)
NO_BOX, NO_ACTION = -1, -2  # in place of an action: a key frame without a box, a box without one


class BoxTable(NamedTuple):
    """The columns of an annotation file: n lines, one for each box and action."""

    videos: np.ndarray  # (n,) str
    timestamps: np.ndarray  # (n,) float64
    boxes: np.ndarray  # (n, 4) float32, normalised to [0, 1]
    actions: np.ndarray  # (n,) int64: ids in the file, NO_BOX or NO_ACTION
    lines: np.ndarray  # (n,) int64: line numbers in the file, from 1


def read_ava(  # noqa: PLR0913 - the signature is the configuration
    ann_file: str | None,
    label_file: str | None = None,
    exclude_file: str | None = None,
    proposal_file: str | None = None,
    num_classes: int = 81,
    background: bool = True,
    custom_classes: Sequence[int] | None = None,
    person_det_score_thr: float = 0.9,
    num_max_proposals: int = 1000,
    timestamp_start: float = 900,
    timestamp_end: float = 1800,
    unannotated: bool = False,
) -> BoxRecords:
    """The key frames of an AVA csv with their proposals.

    label_file: names of the evaluated classes; the model learns all ids of the csv.
    exclude_file: csv of `video,timestamp` that are excluded from training and evaluation.
    num_classes: columns of a label, including the background.
    background: column 0 means no action, so that ids count from 1; otherwise they count from 0.
    custom_classes: ids to learn and evaluate; others are dropped, columns are in this order.
    person_det_score_thr: minimum score of a proposal; the best one of a key frame is always kept.
    num_max_proposals: of the remaining ones of a key frame, the first in the file are kept.
    timestamp_start, timestamp_end: range of the annotated timestamps.
    unannotated: also visit key frames that have proposals but no box (in evaluation). Then the csv
        may be a list of `video,timestamp`, or None for the key frames of the proposals alone.
    """
    classes = read_label_map(label_file) if label_file is not None else None
    columns = _columns(num_classes, background, custom_classes, classes, label_file)
    names = classes or {i: str(i) for i in columns}
    table = read_csv(ann_file) if ann_file is not None else no_boxes(unannotated, proposal_file)
    ann_file = ann_file or str(proposal_file)
    _check_range(table, timestamp_start, timestamp_end, ann_file)
    if custom_classes is None:
        _check_ids(table, columns, ann_file, num_classes, background)
    boxed = table.actions != NO_BOX
    if not unannotated:  # lists of key frames to predict say nothing of what happens there
        table = BoxTable(*(column[boxed] for column in table))
    if classes is not None and boxed.any() and not np.isin(table.actions, list(classes)).any():
        raise ValueError(
            f"no action of {ann_file} has an id of {label_file}, whose first is "
            f"{min(classes)}: does the label map belong to other annotations?"
        )
    return pack(
        table,
        columns=columns,
        classes={i: name for i, name in names.items() if i in columns},
        num_classes=num_classes,
        score_threshold=person_det_score_thr,
        num_max_proposals=num_max_proposals,
        unannotated=unannotated,
        ann_file=ann_file,
        exclude_file=exclude_file,
        proposal_file=proposal_file,
    )


def no_boxes(unannotated: bool, proposal_file: str | None) -> BoxTable:
    """The lines of no annotation file. Raises ValueError if nothing else has key frames."""
    if not unannotated or proposal_file is None:
        raise ValueError(
            "ann_file=null leaves the key frames to the proposals: set unannotated=true and "
            "proposal_file=FILE too"
        )
    integers = np.zeros(0, np.int64)
    return BoxTable(
        np.zeros(0, "U1"), np.zeros(0), np.zeros((0, 4), np.float32), integers, integers
    )


def read_csv(path: str) -> BoxTable:
    """The lines of an AVA csv. Raises ValueError with the first line that is not one."""
    videos: list[str] = []
    timestamps, corners = array("d"), array("f")
    actions, lines = array("q"), array("q")
    for line, row in csv_rows(path):
        try:
            video, timestamp = read_moment(row[0], row[1])
            # AVA's lists of key frames to predict have no boxes.
            empty = not any(row[2:])
            box = (0.0,) * 4 if empty else tuple(map(float, row[2:6]))
            action = NO_BOX if empty else int(row[6])
            # A line break: two stray quotes hide all lines between them.
            if not (empty or 0 <= action <= MAX_ID) or "\n" in row[-1]:
                raise ValueError
        except (IndexError, ValueError):
            raise ValueError(
                f"{path}, line {line}: {shown(','.join(row))} is not "
                "video,timestamp,x1,y1,x2,y2,action,person with numbers after the video"
            ) from None
        videos.append(video)
        timestamps.append(timestamp)
        corners.extend(box)
        actions.append(action)
        lines.append(line)
    table = BoxTable(
        np.array(videos, dtype=str),
        np.array(timestamps, dtype=np.float64),
        np.array(corners, dtype=np.float32).reshape(-1, 4),
        np.array(actions, dtype=np.int64),
        np.array(lines, dtype=np.int64),
    )
    boxed = np.flatnonzero(table.actions != NO_BOX)
    check_boxes(table.boxes[boxed], lambda i: f"{path}, line {table.lines[boxed[i]]}")
    return table


def check_boxes(boxes: np.ndarray, where: Callable[[int], str]) -> None:
    """Raise ValueError if boxes (n, 4) are not normalised to [0, 1]; `where(row)` locates one.

    A few empty ones, as in the published files of some datasets, only cause a warning.
    """
    if bad := np.flatnonzero(~np.isfinite(boxes).all(axis=1)).tolist():
        raise ValueError(f"{where(bad[0])}: the box {box_text(boxes[bad[0]])} is not four numbers")
    outside = ((boxes < -TOLERANCE) | (boxes > 1 + TOLERANCE)).any(axis=1)
    if bad := np.flatnonzero(outside).tolist():
        hint = "boxes are x1, y1, x2, y2, normalised to [0, 1]"
        if boxes.max() > 2:
            hint = "boxes in pixels? divide x by the width of the video and y by its height"
        raise ValueError(
            f"{where(bad[0])}: the box {box_text(boxes[bad[0]])} is outside [0, 1] "
            f"({len(bad):,} of {len(boxes):,} are): {hint}"
        )
    empty = (boxes[:, 2] <= boxes[:, 0]) | (boxes[:, 3] <= boxes[:, 1])
    if bad := np.flatnonzero(empty).tolist():
        text = (
            f"{where(bad[0])}: the box {box_text(boxes[bad[0]])} has no area ({len(bad):,} of "
            f"{len(boxes):,} have none)"
        )
        if len(bad) > MAX_EMPTY * len(boxes):
            raise ValueError(
                f"{text}: boxes are x1, y1, x2, y2, not a corner with width and height"
            )
        log.warning(text)


def box_text(box: np.ndarray) -> str:
    return "[" + ", ".join(f"{value:g}" for value in box.tolist()) + "]"


_TEXT = r'"(?:[^"\\\n]|\\.)*"'
_ITEM = re.compile(rf"\w+\s*:?\s*\{{((?:[^{{}}\"]|{_TEXT})*)\}}\s*")
_FIELD = re.compile(rf"(\w+)\s*:\s*({_TEXT}|\w+)\s*")


def read_label_map(path: str) -> dict[int, str]:
    """id -> name of a label map in AVA's text format (`item {name: "..." id: 1}`)."""
    text = re.sub(r"(?m)^\s*#.*$", "", read_text(path))
    classes: dict[int, str] = {}
    place = len(text) - len(text.lstrip())
    while place < len(text):
        item = _ITEM.match(text, place)
        fields = None if item is None else _fields(item[1])
        number = "" if fields is None else fields.get("id", fields.get("label_id", ""))
        if item is None or fields is None or "name" not in fields or not number.isdecimal():
            raise ValueError(
                f"{path}, line {1 + text.count(chr(10), 0, place)}: expected item "
                f'{{name: "..." id: 1}}, found {shown(" ".join(text[place:][:200].split()))}'
            )
        if len(number) > 9 or int(number) > MAX_ID:
            raise ValueError(f"{path}: the id {shown(number)} is more than {MAX_ID}")
        name = fields["name"]
        if int(number) in classes or name in classes.values():
            raise ValueError(f"{path} has the id {number} or the name {shown(name)} twice")
        classes[int(number)] = name
        place = item.end()
    if not classes:
        raise ValueError(f'{path} has no classes; expected item {{name: "..." id: 1}}')
    return classes


def _fields(item: str) -> dict[str, str] | None:
    """The fields of an item of a label map, texts without quotes; None if it has anything else."""
    fields, place = {}, len(item) - len(item.lstrip())
    while place < len(item):
        field = _FIELD.match(item, place)
        if field is None or field[1] in fields or (field[1] == "name") != (field[2][0] == '"'):
            return None
        fields[field[1]] = field[2][1:-1] if field[2][0] == '"' else field[2]
        place = field.end()
    return fields


def read_excluded(path: str) -> frozenset[tuple[str, float]]:
    """(video, timestamp) of a csv of excluded key frames."""
    excluded = set()
    for line, row in csv_rows(path):
        moment = parse_key(",".join(row[:2]))
        if moment is None:
            raise ValueError(f"{path}, line {line}: {shown(','.join(row))} is not video,timestamp")
        excluded.add(moment)
    return frozenset(excluded)


def _columns(
    num_classes: int,
    background: bool,
    custom_classes: Sequence[int] | None,
    classes: Mapping[int, str] | None,
    label_file: str | None,
) -> dict[int, int]:
    """id in the files -> column of a label."""
    first = int(background)
    if custom_classes is None:
        if classes is not None and max(classes) >= num_classes:
            raise ValueError(
                f"{label_file} has the id {max(classes)}, but num_classes={num_classes} columns "
                f"end at {num_classes - 1}: use num_classes={max(classes) + 1}"
            )
        return {i: i for i in range(first, num_classes)}
    unknown = sorted(set(custom_classes) - set(classes or custom_classes))
    if unknown:
        raise ValueError(f"custom_classes={list(custom_classes)}: {label_file} has no id {unknown}")
    if len(set(custom_classes)) < len(custom_classes) or min(custom_classes, default=-1) < first:
        raise ValueError(f"custom_classes={list(custom_classes)} are not distinct ids >= {first}")
    if len(custom_classes) + first != num_classes:
        raise ValueError(
            f"custom_classes={list(custom_classes)} are {len(custom_classes)} classes"
            f"{', one more with the background' if background else ''}: "
            f"use num_classes={len(custom_classes) + first} instead of {num_classes}"
        )
    return {number: column for column, number in enumerate(custom_classes, start=first)}


def _check_ids(
    table: BoxTable, columns: Mapping[int, int], path: str, num_classes: int, background: bool
) -> None:
    known = np.isin(table.actions, [NO_BOX, *columns])
    if not known.all():
        row = int(np.flatnonzero(~known)[0])
        raise ValueError(
            f"{path}, line {table.lines[row]}: the action {table.actions[row]} is not in "
            f"[{int(background)}, {num_classes - 1}] (num_classes={num_classes}"
            f"{', column 0 is the background' if background else ''})"
        )


def _check_range(table: BoxTable, start: float, end: float, path: str) -> None:
    outside = (table.timestamps < start) | (table.timestamps > end)
    if outside.any():
        row = int(np.flatnonzero(outside)[0])
        raise ValueError(
            f"{path}, line {table.lines[row]}: the timestamp {table.timestamps[row]:g} is outside "
            f"[timestamp_start={start:g}, timestamp_end={end:g}]"
        )


def pack(  # noqa: PLR0913 - both readers pass their configuration on
    table: BoxTable,
    *,
    columns: Mapping[int, int],
    classes: Mapping[int, str],
    num_classes: int,
    score_threshold: float,
    num_max_proposals: int,
    unannotated: bool,
    ann_file: str,
    exclude_file: str | None,
    proposal_file: str | None,
) -> BoxRecords:
    """Lines of the annotations `ann_file`, with the proposals of a file -> records.

    A key frame without proposals gets the whole frame as its only one. Key frames without a box
    count, and boxes without an action are persons who do none of them.
    """
    excluded = read_excluded(exclude_file) if exclude_file is not None else frozenset()
    proposals = read_proposals(proposal_file) if proposal_file is not None else {}
    kept = np.isin(table.actions, [NO_BOX, NO_ACTION, *columns])
    boxes, actions = table.boxes[kept].clip(0, 1), table.actions[kept]
    pairs = list(zip(table.videos[kept].tolist(), table.timestamps[kept].tolist(), strict=True))
    ordered, rows = _key_frames(pairs, proposals if unannotated else (), excluded)
    if not ordered:
        raise ValueError(
            f"{ann_file} has no box that counts; to predict at key frames without boxes set "
            "data.val.records.unannotated=true"
        )
    with_box = np.flatnonzero((actions != NO_BOX) & (rows != EXCLUDED))
    label = np.array([columns.get(i, i) for i in actions[with_box].tolist()], dtype=np.int64)
    true_boxes, labels = _merge_actions(rows[with_box], boxes[with_box], label, len(ordered))
    excluded_actions = actions[(actions >= 0) & (rows == EXCLUDED)]
    persons, scores, num_whole = _pack_proposals(
        ordered, proposals, score_threshold, num_max_proposals, ann_file, proposal_file
    )
    videos = sorted({video for video, _ in ordered})
    number = {video: i for i, video in enumerate(videos)}
    return BoxRecords(
        videos=tuple(videos),
        video=np.array([number[video] for video, _ in ordered], dtype=np.int64),
        timestamps=np.array([timestamp for _, timestamp in ordered], dtype=np.float64),
        boxes=true_boxes,
        labels=labels,
        proposals=persons,
        scores=scores,
        num_classes=num_classes,
        classes=dict(classes),
        columns=dict(columns),
        excluded=excluded,
        excluded_actions=Counter(excluded_actions.tolist()),
        person_score_threshold=score_threshold,
        num_whole_frames=num_whole,
    )


def _key_frames(
    pairs: Sequence[tuple[str, float]],
    more: Iterable[str],
    excluded: frozenset[tuple[str, float]],
) -> tuple[list[tuple[str, float]], np.ndarray]:
    """The key frames in order, and the row of each of `pairs` among them, or EXCLUDED: (n,) int64.

    pairs: (video, timestamp), repeats allowed. more: keys of further key frames; names that are
        none are left out.
    """
    numbers = KeyFrameNumbers()
    number = np.array([numbers.add(*pair) for pair in pairs], dtype=np.int64)
    for name in more:
        if (moment := parse_key(name)) is not None:
            numbers.add(*moment)
    left_out = KeyFrameNumbers(excluded)
    out = np.array([left_out.find(*frame) is not None for frame in numbers.frames], dtype=bool)
    order = sorted(np.flatnonzero(~out).tolist(), key=numbers.frames.__getitem__)
    row = np.full(len(numbers), EXCLUDED)
    row[order] = np.arange(len(order))
    return [numbers.frames[i] for i in order], row[number]


def _merge_actions(
    rows: np.ndarray, boxes: np.ndarray, label: np.ndarray, num_rows: int
) -> tuple[Ragged, Ragged]:
    """Boxes of each key frame, and columns of each box.

    rows, label: (n,) key frame of each line, and its column or NO_ACTION; boxes: (n, 4). Lines of
    one key frame with the same box are one person's actions.
    """
    values = np.column_stack([rows.astype(np.float64), boxes.astype(np.float64)])
    _, first, which = np.unique(values, axis=0, return_index=True, return_inverse=True)
    order = np.lexsort((first, rows[first]))  # in the order of the file
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    which, first = rank[which.reshape(-1)], first[order]
    pairs = np.unique(np.column_stack([which, label])[label != NO_ACTION], axis=0)
    return (
        Ragged.group(boxes[first], rows[first], num_rows),
        Ragged.group(pairs[:, 1], pairs[:, 0], len(first)),
    )


def _pack_proposals(
    frames: Sequence[tuple[str, float]],
    proposals: Mapping[str, np.ndarray],
    score_threshold: float,
    num_max_proposals: int,
    ann_file: str,
    proposal_file: str | None,
) -> tuple[Ragged, Ragged, int]:
    """Boxes (p, 4) and scores (p,) of the proposals that are kept, for each key frame.

    Also how many key frames have none, and get the whole frame instead.
    """
    found = _find_proposals(frames, proposals, proposal_file)
    names = [key(*frame) for frame in frames]
    missing = [
        name for name, part in zip(names, found, strict=True) if part is None or not len(part)
    ]
    if proposal_file is not None and len(missing) == len(frames):
        if any(part is not None for part in found) or not proposals:
            raise ValueError(f"{proposal_file} has no box for any key frame of {ann_file}")
        raise ValueError(
            f"none of the {len(proposals):,} keys of {proposal_file} is a key frame of "
            f"{ann_file}: the first are {next(iter(proposals))!r} and {names[0]!r}; keys are "
            "VIDEO,TIMESTAMP with the video's name as annotated"
        )
    if proposal_file is not None and missing:
        log.warning(
            "%s has no proposal for %s of %s key frames, e.g. %s: they get the whole frame as one",
            proposal_file,
            f"{len(missing):,}",
            f"{len(frames):,}",
            missing[0],
        )
    parts = [WHOLE_FRAME if part is None or not len(part) else part for part in found]
    packed = Ragged.pack(parts, WHOLE_FRAME[:0])
    row, starts = packed.row_of_value, packed.ends[:-1]
    boxes, scores = packed.values[:, :4], packed.values[:, 4]

    def where(i: int) -> str:
        return f"{proposal_file}, key {names[row[i]]!r}"

    check_boxes(boxes, where)
    if bad := np.flatnonzero(~np.isfinite(scores)).tolist():
        raise ValueError(f"{where(bad[0])}: the score {scores[bad[0]]} is not a number")
    # The best one is kept whatever its score.
    best = np.maximum.reduceat(scores, starts)
    kept = scores >= np.minimum(np.float32(score_threshold), best)[row]
    place = np.cumsum(kept) - np.concatenate([[0], np.cumsum(kept)])[starts][row]
    kept &= place <= num_max_proposals
    kept_boxes = Ragged.group(boxes[kept].clip(0, 1), row[kept], len(parts))
    return kept_boxes, Ragged(scores[kept], kept_boxes.ends), len(missing)


def _find_proposals(
    frames: Sequence[tuple[str, float]],
    proposals: Mapping[str, np.ndarray],
    proposal_file: str | None,
) -> list[np.ndarray | None]:
    """The proposals of each key frame."""
    numbers = KeyFrameNumbers(frames)
    found: list[np.ndarray | None] = [None] * len(frames)
    names: dict[int, str] = {}
    for name, part in proposals.items():
        moment = parse_key(name)
        number = None if moment is None else numbers.find(*moment)
        if number is None:
            continue
        if number in names:
            raise ValueError(
                f"{proposal_file}: the keys {names[number]!r} and {name!r} are one key frame, "
                f"{key(*frames[number])!r}"
            )
        names[number] = name
        found[number] = part
    return found
