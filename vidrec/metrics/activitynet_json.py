"""Segments in the JSON of ActivityNet's evaluation server, and a classifier's labels of videos."""

import json
import logging
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from vidrec.data.segments.annotations import checked_segment, is_number
from vidrec.data.segments.records import SegmentRecords
from vidrec.errors import did_you_mean
from vidrec.files.atomic_write import atomic_write
from vidrec.files.text_files import read_json_file

log = logging.getLogger(__name__)


class SegmentDetections(NamedTuple):
    """Scored segments of the videos of a table of records, in seconds; P in all."""

    rows: np.ndarray  # (P,) int64: row of the records; -1 for a video that is not in them
    segments: np.ndarray  # (P, 2) float64, start and end
    scores: np.ndarray  # (P,) float64
    labels: list[str] | None = None  # (P,)


def plain_name(name: str) -> str:
    """A video's name in results: without the `v_` of ActivityNet's files."""
    return name.removeprefix("v_")


def _row_by_name(records: SegmentRecords) -> dict[str, int]:
    """The row of each video by its name in results."""
    row = {plain_name(record.name): i for i, record in enumerate(records)}
    if len(row) < len(records):
        names = Counter(plain_name(record.name) for record in records)
        name = names.most_common(1)[0][0]
        raise ValueError(f"v_{name} and {name} are annotated, but have one name in results")
    return row


def write_results(detections: SegmentDetections, records: SegmentRecords, path: str | Path) -> None:
    """Write `{"results": {video: [{segment, score, label}, ...]}}` atomically."""
    names = list(_row_by_name(records))
    results: dict[str, list[dict[str, object]]] = {name: [] for name in names}
    for i, row in enumerate(detections.rows.tolist()):
        entry = {"score": detections.scores[i].item(), "segment": detections.segments[i].tolist()}
        if detections.labels is not None:
            entry["label"] = detections.labels[i]
        results[names[row]].append(entry)
    with atomic_write(path, "w") as stream:
        json.dump({"version": "VERSION 1.3", "results": results, "external_data": {}}, stream)


def read_results(path: str | Path, records: SegmentRecords) -> SegmentDetections:
    """Read what `write_results` or others wrote; either all segments have labels or none.

    Segments of videos that are not annotated are kept, counted in a warning. Raises ValueError,
    with the video, if the file has another form, if no video or no label is an annotated one, or if
    a segment, a score or a label cannot be right.
    """
    row = _row_by_name(records)
    rows, segments, scores, labels = [], [], [], []
    unknown, num_videos = [], 0
    for name, found in _read(path)["results"].items():
        own = row.get(plain_name(name), -1)
        num_videos += 1
        unknown += [name] if own < 0 else []
        for entry in _entries(path, name, found):
            where = f"{path}: {name}"
            segments.append(checked_segment(where, entry.get("segment")))
            scores.append(_checked_score(where, entry.get("score")))
            rows.append(own)
            if "label" in entry:
                labels.append(_checked_label(where, entry["label"]))
            if len(labels) not in (0, len(rows)):
                raise ValueError(
                    f"{where} has a segment {'with' if 'label' in entry else 'without'} a label, "
                    "unlike those before it"
                )
    if unknown and len(unknown) == num_videos:
        raise ValueError(
            f"{path} has none of the {len(records)} annotated videos; its first is {unknown[0]}"
        )
    if unknown:
        log.warning(
            f"{path}: {len(unknown)} of {num_videos} videos are not annotated, the first is "
            f"{unknown[0]}; their segments count as wrong"
        )
    warn_of_unknown_classes(path, labels, records.classes)
    return SegmentDetections(
        np.array(rows, np.int64),
        np.array(segments, np.float64).reshape(-1, 2),
        np.array(scores, np.float64),
        labels if labels else None,
    )


def warn_of_unknown_classes(
    path: str | Path, labels: Iterable[str], classes: Sequence[str]
) -> None:
    """Count the labels that are no annotated class. Raises ValueError if none is."""
    counts = Counter(labels)
    unknown = [label for label in counts if label not in set(classes)]
    if not unknown or not classes:  # without annotated classes no score is defined anyway
        return
    names = f"{unknown[0]!r} is no annotated class; {did_you_mean(unknown[0], classes)}"
    if len(unknown) == len(counts):
        raise ValueError(f"{path}: none of its {len(counts)} labels is annotated: {names}")
    num = sum(counts[label] for label in unknown)
    log.warning(
        f"{path}: {num} of {counts.total()} labels count for nothing, of {len(unknown)} classes "
        f"that are not annotated: {names}"
    )


def _read(path: str | Path) -> dict[str, Any]:
    """A JSON object whose `results` are an object."""
    content = read_json_file(str(path))
    if not isinstance(content, dict) or not isinstance(content.get("results"), dict):
        raise ValueError(f"{path} is not a file of results, {{'results': {{video: [...]}}}}")
    return content


def _entries(path: str | Path, name: str, found: object) -> list[dict[str, Any]]:
    """The results of a video, a list of objects."""
    if not isinstance(found, list) or not all(isinstance(entry, dict) for entry in found):
        raise ValueError(
            f"{path} is not a file of results: {name} has {json.dumps(found)[:200]}, "
            "expected a list of objects"
        )
    return found


def _checked_score(where: str, score: object) -> float:
    if not is_number(score):
        raise ValueError(f"{where} has the score {score!r}; expected a finite number")
    return float(score)


def _checked_label(where: str, label: object) -> str:
    if not isinstance(label, str):
        raise ValueError(f"{where} has the label {label!r}; expected the name of a class")
    return label


def read_video_labels(path: str | Path, topk: int) -> dict[str, list[tuple[str, float]]]:
    """The best classes of each video and their scores, from a classifier's JSON.

    Either `{"results": {video: [{label, score}, ...]}}`, or `{"results": {video: [score, ...]},
    "class": [name, ...]}`. Videos are named as in results.
    """
    content = _read(path)
    names = content.get("class")
    if not isinstance(names, list | None):
        raise ValueError(f"{path}: `class` is {type(names).__name__}, expected a list of names")
    labels: dict[str, list[tuple[str, float]]] = {}
    for video, found in content["results"].items():
        where = f"{path}: {video}"
        if names is None:
            pairs = [
                (
                    _checked_label(where, entry.get("label")),
                    _checked_score(where, entry.get("score")),
                )
                for entry in _entries(path, video, found)
            ]
        elif isinstance(found, list) and len(found) == len(names):
            pairs = [
                (_checked_label(str(path), label), _checked_score(where, score))
                for label, score in zip(names, found, strict=True)
            ]
        else:
            raise ValueError(f"{where} has no list of {len(names)} scores, one of each class")
        if plain_name(video) in labels:
            raise ValueError(f"{where} is the same video as one before it")
        labels[plain_name(video)] = sorted(pairs, key=lambda pair: -pair[1])[:topk]
    return labels
