"""Annotations of videos with labelled segments -> `SegmentRecords`, a packed table. Opens no video.

Two forms of JSON are read: the published one, `{video: {duration_second, duration_frame,
feature_frame, annotations}}`, and ActivityNet's own, `{"database": {video: {duration, subset,
annotations}}}`, which may also come without the outer level.
"""

import csv
import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vidrec.data.segments.records import SegmentRecord, SegmentRecords

log = logging.getLogger(__name__)


def read_segments(
    path: str | Sequence[str],
    subset: str | Sequence[str] | None = None,
    video_info: str | None = None,
    feature_interval: int = 16,
    tolerance: float = 1.0,
) -> SegmentRecords:
    """The videos of an annotation file, or of several.

    subset: take the videos of these subsets only (training, validation, testing). video_info: a CSV
        with the columns `video` and `subset`, for annotations that do not name subsets themselves.
    feature_interval: frames of one feature of the original sequence; the published results end
        with the last whole one. Used where the number of frames is known.
    tolerance: seconds that a segment may lie outside of its video; such are cut off where they
        become labels, and kept as they are for scoring.

    Raises ValueError that names file, video and value for what cannot be right.
    """
    paths = [path] if isinstance(path, str) else list(path)
    wanted = None if subset is None else {subset} if isinstance(subset, str) else set(subset)
    subsets = {} if video_info is None else _read_subsets(video_info)
    videos: dict[str, tuple[str, dict[str, Any]]] = {}
    present: set[str] = set()
    for file in paths:
        for name, video in _database(file).items():
            own = video.get("subset", subsets.get(name))
            present |= {own} if own else set()
            if wanted is None or own in wanted:
                videos[name] = (file, video)
    if not videos:
        where = ", ".join(paths)
        if wanted is None:
            raise ValueError(f"{where} has no videos")
        known = f"its subsets are {', '.join(sorted(present))}" if present else "it names none"
        raise ValueError(f"{where} has no videos of subset {', '.join(sorted(wanted))}: {known}")
    classes = sorted({a["label"] for _, video in videos.values() for a in video["annotations"]})
    number = {label: i for i, label in enumerate(classes)}
    records, num_empty = [], 0
    for name, (file, video) in videos.items():
        record = _record(f"{file}: {name}", name, video, number, feature_interval, tolerance)
        num_empty += int((record.segments[:, 0] == record.segments[:, 1]).sum())
        records.append(record)
    if num_empty:
        log.warning(
            f"{', '.join(paths)}: {num_empty} segments of zero length; they label nothing, and "
            "count when recall is measured, as they do for the official evaluation"
        )
    return SegmentRecords.pack(records, classes)


def _database(path: str) -> dict[str, dict[str, Any]]:
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} is not JSON: {error}") from None
    videos = content.get("database", content) if isinstance(content, dict) else None
    if not isinstance(videos, dict) or not all(
        isinstance(video, dict) and isinstance(video.get("annotations"), list)
        for video in videos.values()
    ):
        raise ValueError(
            f"{path} is not an annotation file: it must map videos to objects with `annotations`, "
            "at the top or under `database`"
        )
    return videos


def _read_subsets(path: str) -> dict[str, str]:
    with open(path, newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    if not rows or not {"video", "subset"} <= rows[0].keys():
        raise ValueError(f"{path} has no columns `video` and `subset`")
    return {row["video"]: row["subset"] for row in rows}


def _record(
    where: str,
    name: str,
    video: Mapping[str, Any],
    number: Mapping[str, int],
    feature_interval: int,
    tolerance: float,
) -> SegmentRecord:
    duration = video.get("duration_second", video.get("duration"))
    if not isinstance(duration, int | float) or not duration > 0:
        raise ValueError(f"{where} has a duration of {duration!r} seconds; it must be above 0")
    frames, covered = video.get("duration_frame"), video.get("feature_frame")
    span = result_span = float(duration)
    if frames is not None:
        if frames <= 0 or (covered is not None and covered <= 0):
            raise ValueError(
                f"{where} has duration_frame={frames} and feature_frame={covered}; both must be "
                "above 0"
            )
        span = duration if covered is None else float(covered) / frames * duration
        # A video shorter than one interval is covered by what it has.
        whole = frames // feature_interval * feature_interval or frames
        result_span = float(whole) / frames * duration
    segments = np.array([a["segment"] for a in video["annotations"]], np.float64).reshape(-1, 2)
    for start, end in segments.tolist():
        if end < start:
            raise ValueError(
                f"{where} has the segment [{start:g}, {end:g}], which ends before it starts; "
                "exchange the two"
            )
        if start < -tolerance or end > duration + tolerance:
            raise ValueError(
                f"{where} has the segment [{start:g}, {end:g}], but the video lasts {duration:g} "
                f"seconds; more than tolerance={tolerance:g} outside of it is refused"
            )
    labels = np.array([number[a["label"]] for a in video["annotations"]], np.int64)
    return SegmentRecord(name, float(duration), span, result_span, segments, labels)
