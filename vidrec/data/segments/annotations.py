"""Annotations of videos with labelled segments -> `SegmentRecords`, a packed table. Opens no video.

Two JSON formats are read: that of the published BMN and BSN code, `{video: {duration_second,
duration_frame, feature_frame, annotations}}`, and ActivityNet's own, `{"database": {video:
{duration, subset, annotations}}}`, also without the outer level.
"""

import json
import logging
import math
import sys
from collections.abc import Mapping, Sequence
from typing import Any, TypeGuard

import numpy as np

from vidrec.data.segments.records import SegmentRecord, SegmentRecords
from vidrec.files.text_files import csv_rows, read_json_file

log = logging.getLogger(__name__)

FEATURE_INTERVAL = 16  # frames per feature of the published sequences


def read_segments(
    path: str | Sequence[str],
    subset: str | Sequence[str] | None = None,
    video_info: str | None = None,
    feature_interval: int = FEATURE_INTERVAL,
    tolerance: float = 1.0,
) -> SegmentRecords:
    """The videos of one or several annotation files.

    subset: take only the videos of these subsets (training, validation, testing). video_info: a csv
        with columns `video` and `subset`, for annotations without subsets.
    feature_interval: frames per feature of the original sequence; the published results end with
        the last whole one. Used if the number of frames is known.
    tolerance: seconds by which a segment may extend beyond its video; it is clipped to become a
        label, and left as it is for scoring.

    Videos without `annotations` are read if none has any segment: they are to be predicted, which
    only evaluation with `dump=FILE` takes.

    Raises ValueError with the file, the video and the value that cannot be right.
    """
    if feature_interval < 1:
        raise ValueError(f"feature_interval={feature_interval} must be at least 1 frame")
    if not 0 <= tolerance < math.inf:
        raise ValueError(f"tolerance={tolerance} must be a number of seconds, 0 or more")
    paths = [path] if isinstance(path, str) else list(path)
    wanted = None if subset is None else {subset} if isinstance(subset, str) else set(subset)
    videos = videos_of(paths, wanted, video_info)
    _refuse_half_annotated(videos)
    checked = {name: _annotations(where, video) for name, (where, video) in videos.items()}
    classes = sorted({label for _, labels in checked.values() for label in labels})
    number = {label: i for i, label in enumerate(classes)}
    records, num_empty = [], 0
    for name, (where, video) in videos.items():
        segments, labels = checked[name]
        duration, span, result_span = times_of(where, video, feature_interval)
        _check_inside(where, segments, duration, tolerance)
        table = np.array(segments, np.float64).reshape(-1, 2)
        num_empty += int((table[:, 0] == table[:, 1]).sum())
        rows = np.array([number[label] for label in labels], np.int64)
        records.append(SegmentRecord(name, duration, span, result_span, table, rows))
    if num_empty:
        log.warning(
            f"{', '.join(paths)}: {num_empty} segments of zero length; they give no labels, "
            "but count when recall is measured, as in the official evaluation"
        )
    return SegmentRecords.pack(records, classes)


def is_number(value: object) -> TypeGuard[float]:
    """Whether a value from JSON is a finite number, which neither true nor NaN is."""
    return (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and abs(value) <= sys.float_info.max
    )


def checked_segment(where: str, segment: object) -> tuple[float, float]:
    """Start and end of a segment from JSON. Raises ValueError, which begins with `where`."""
    if not isinstance(segment, list) or len(segment) != 2 or not all(map(is_number, segment)):
        raise ValueError(
            f"{where} has the segment {json.dumps(segment)[:200]}; expected two finite numbers, "
            "start and end in seconds"
        )
    start, end = float(segment[0]), float(segment[1])
    if end < start:
        raise ValueError(
            f"{where} has the segment [{start:g}, {end:g}], which ends before it starts; "
            "swap the two"
        )
    return start, end


def videos_of(
    paths: Sequence[str], wanted: set[str] | None, video_info: str | None
) -> dict[str, tuple[str, dict[str, Any]]]:
    """The videos of the wanted subsets: where each is, for messages, and what is said of it."""
    subsets = {} if video_info is None else _read_subsets(video_info)
    source = f" in {video_info}" if video_info is not None else ""
    videos: dict[str, tuple[str, dict[str, Any]]] = {}
    present: set[str] = set()
    num_without = 0
    for file in paths:
        for name, video in _database(file).items():
            where = f"{file}: {name}"
            own = video.get("subset", subsets.get(name))
            if not isinstance(own, str | None):
                raise ValueError(f"{where} has the subset {own!r}, which is not text")
            present |= {own} if own else set()
            num_without += own is None
            if wanted is None or own in wanted:
                if name in videos and videos[name][1] != video:
                    raise ValueError(f"{where} is annotated in another way in {videos[name][0]}")
                videos[name] = (where, video)
    if not videos:
        where = ", ".join(paths)
        if wanted is None:
            raise ValueError(f"{where} has no videos")
        known = f"its subsets are {', '.join(sorted(present))}" if present else "it has none"
        known += source
        raise ValueError(f"{where} has no videos of subset {', '.join(sorted(wanted))}: {known}")
    if wanted is not None and num_without:
        log.warning(
            f"{', '.join(paths)}: {num_without} videos have no subset{source}; they are left out"
        )
    return videos


def _database(path: str) -> dict[str, dict[str, Any]]:
    content = read_json_file(path)
    videos = content.get("database", content) if isinstance(content, dict) else None
    if not isinstance(videos, dict) or not all(map(_is_video, videos.values())):
        raise ValueError(
            f"{path} is not an annotation file: expected objects with `annotations` by video, "
            "at the top level or under `database`"
        )
    return videos


def _is_video(content: object) -> bool:
    """Whether it has the form of a video: with annotations, or at least with a duration."""
    if not isinstance(content, dict) or not isinstance(content.get("annotations", []), list):
        return False
    return bool({"annotations", "duration", "duration_second"} & content.keys())


def _read_subsets(path: str) -> dict[str, str]:
    rows = csv_rows(path)
    _, titles = next(rows, (0, []))
    if not {"video", "subset"} <= set(titles):
        raise ValueError(f"{path} has no columns `video` and `subset`")
    subsets: dict[str, str] = {}
    for line, row in rows:
        if len(row) != len(titles):
            raise ValueError(f"{path}:{line}: {len(row)} fields, but {len(titles)} columns")
        fields = dict(zip(titles, row, strict=True))
        name, subset = fields["video"], fields["subset"]
        if subsets.setdefault(name, subset) != subset:
            raise ValueError(f"{path}:{line}: {name} is of {subsets[name]} as well as of {subset}")
    return subsets


def _refuse_half_annotated(videos: Mapping[str, tuple[str, dict[str, Any]]]) -> None:
    """Raise ValueError if a video has no `annotations`, but others have segments."""
    without = [where for where, video in videos.values() if "annotations" not in video]
    if without and any(video.get("annotations") for _, video in videos.values()):
        raise ValueError(
            f"{without[0]} has no `annotations`, but other videos have: annotate all or none (an "
            "empty list says that nothing happens in a video)"
        )


def _annotations(
    where: str, video: Mapping[str, Any]
) -> tuple[list[tuple[float, float]], list[str]]:
    """The segments of a video and their labels."""
    segments, labels = [], []
    for annotation in video.get("annotations", []):
        if not isinstance(annotation, dict) or not {"segment", "label"} <= annotation.keys():
            raise ValueError(
                f"{where} has the annotation {json.dumps(annotation)[:200]}; "
                "expected an object with `segment` and `label`"
            )
        label = annotation["label"]
        if not isinstance(label, str) or not label.strip():
            raise ValueError(f"{where} has the label {label!r}; expected the name of a class")
        segments.append(checked_segment(where, annotation["segment"]))
        labels.append(label)
    return segments, labels


def times_of(
    where: str, video: Mapping[str, Any], feature_interval: int
) -> tuple[float, float, float]:
    """Duration, span and result span of a video; see `SegmentRecord`."""
    duration = video.get("duration_second", video.get("duration"))
    if not is_number(duration) or duration <= 0:
        raise ValueError(
            f"{where} has a duration of {duration!r} seconds; it must be positive and finite"
        )
    frames, covered = video.get("duration_frame"), video.get("feature_frame")
    if frames is None:
        return float(duration), float(duration), float(duration)
    if not all(is_number(n) and n > 0 for n in (frames, frames if covered is None else covered)):
        raise ValueError(
            f"{where} has duration_frame={frames!r} and feature_frame={covered!r}; both must be "
            "positive and finite"
        )
    span = float(duration)
    if covered is not None:
        # Of published videos the features miss at most 39 frames, or less than half.
        if not frames / 2 - 40 <= covered <= 2 * frames + 256:
            raise ValueError(
                f"{where} has feature_frame={covered:g}, {covered / frames:.1%} of its "
                f"duration_frame={frames:g}; it is the number of frames that the features cover, "
                "not that of features, and may be left out where they cover the whole video"
            )
        span = float(covered) / frames * duration
    # A video shorter than one interval is covered by its own frames.
    whole = frames // feature_interval * feature_interval or frames
    return float(duration), span, float(whole) / frames * duration


def _check_inside(
    where: str, segments: Sequence[tuple[float, float]], duration: float, tolerance: float
) -> None:
    for start, end in segments:
        if start < -tolerance or end > duration + tolerance:
            raise ValueError(
                f"{where} has the segment [{start:g}, {end:g}], but the video lasts {duration:g} "
                f"seconds; segments may extend beyond it by tolerance={tolerance:g}"
            )
