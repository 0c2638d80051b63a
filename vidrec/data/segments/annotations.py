"""Annotations of videos with labelled segments -> `SegmentRecords`, a packed table. Opens no video.

Two JSON formats are read: that of the published BMN and BSN code, `{video: {duration_second,
duration_frame, feature_frame, annotations}}`, and ActivityNet's own, `{"database": {video:
{duration, subset, annotations}}}`, also without the outer level.
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
    """The videos of one or several annotation files.

    subset: take only the videos of these subsets (training, validation, testing). video_info: a csv
        with columns `video` and `subset`, for annotations without subsets.
    feature_interval: frames per feature of the original sequence; the published results end with
        the last whole one. Used if the number of frames is known.
    tolerance: seconds by which a segment may extend beyond its video; it is clipped to become a
        label, and left as it is for scoring.

    Raises ValueError with the file, the video and the value that cannot be right.
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
        known = f"its subsets are {', '.join(sorted(present))}" if present else "it has none"
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
            f"{', '.join(paths)}: {num_empty} segments of zero length; they give no labels, "
            "but count when recall is measured, as in the official evaluation"
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
            f"{path} is not an annotation file: expected objects with `annotations` by video, "
            "at the top level or under `database`"
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
        raise ValueError(f"{where} has a duration of {duration!r} seconds; it must be positive")
    frames, covered = video.get("duration_frame"), video.get("feature_frame")
    span = result_span = float(duration)
    if frames is not None:
        if frames <= 0 or (covered is not None and covered <= 0):
            raise ValueError(
                f"{where} has duration_frame={frames} and feature_frame={covered}; both must be "
                "positive"
            )
        span = duration if covered is None else float(covered) / frames * duration
        # A video shorter than one interval is covered by its own frames.
        whole = frames // feature_interval * feature_interval or frames
        result_span = float(whole) / frames * duration
    segments = np.array([a["segment"] for a in video["annotations"]], np.float64).reshape(-1, 2)
    for start, end in segments.tolist():
        if end < start:
            raise ValueError(
                f"{where} has the segment [{start:g}, {end:g}], which ends before it starts; "
                "swap the two"
            )
        if start < -tolerance or end > duration + tolerance:
            raise ValueError(
                f"{where} has the segment [{start:g}, {end:g}], but the video lasts {duration:g} "
                f"seconds; segments may extend beyond it by tolerance={tolerance:g}"
            )
    labels = np.array([number[a["label"]] for a in video["annotations"]], np.int64)
    return SegmentRecord(name, float(duration), span, result_span, segments, labels)
