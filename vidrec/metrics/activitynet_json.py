"""Segments in the JSON of ActivityNet's evaluation server, and a classifier's labels of videos."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from vidrec.data.segments.records import SegmentRecords
from vidrec.files.atomic_write import atomic_write


class SegmentDetections(NamedTuple):
    """Scored segments of the videos of a table of records, in seconds; P in all."""

    rows: np.ndarray  # (P,) int64: row of the records; -1 for a video that is not in them
    segments: np.ndarray  # (P, 2) float64, start and end
    scores: np.ndarray  # (P,) float64
    labels: list[str] | None = None  # (P,)


def plain_name(name: str) -> str:
    """A video's name in results: without the `v_` of ActivityNet's files."""
    return name.removeprefix("v_")


def write_results(detections: SegmentDetections, records: SegmentRecords, path: str | Path) -> None:
    """Write `{"results": {video: [{segment, score, label}, ...]}}` atomically."""
    results: dict[str, list[dict[str, object]]] = {plain_name(r.name): [] for r in records}
    names = list(results)
    for i, row in enumerate(detections.rows.tolist()):
        entry = {"score": detections.scores[i].item(), "segment": detections.segments[i].tolist()}
        if detections.labels is not None:
            entry["label"] = detections.labels[i]
        results[names[row]].append(entry)
    with atomic_write(path, "w") as stream:
        json.dump({"version": "VERSION 1.3", "results": results, "external_data": {}}, stream)


def read_results(path: str | Path, records: SegmentRecords) -> SegmentDetections:
    """Read what `write_results` or others wrote; labels are optional.

    Raises ValueError if the file has another form or none of the videos.
    """
    try:
        entries = list(_entries(path))
        segments = [entry["segment"] for _, entry in entries]
        scores = [entry["score"] for _, entry in entries]
        labels = [entry["label"] for _, entry in entries if "label" in entry]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{path} is not a file of results, "
            f"{{'results': {{video: [{{segment, score}}, ...]}}}}: {error!r}"
        ) from None
    row = {plain_name(record.name): i for i, record in enumerate(records)}
    rows = [row.get(plain_name(name), -1) for name, _ in entries]
    if entries and max(rows) < 0:
        raise ValueError(f"{path} has none of the {len(records)} annotated videos")
    return SegmentDetections(
        np.array(rows, np.int64),
        np.array(segments, np.float64).reshape(-1, 2),
        np.array(scores, np.float64),
        labels if entries and len(labels) == len(entries) else None,
    )


def _entries(path: str | Path) -> Iterator[tuple[str, Any]]:
    """(video, entry) of every segment in a file of results."""
    for name, found in json.loads(Path(path).read_text(encoding="utf-8"))["results"].items():
        for entry in found:
            yield name, entry


def read_video_labels(path: str | Path, topk: int) -> dict[str, list[tuple[str, float]]]:
    """The best classes of each video and their scores, from a classifier's JSON.

    Either `{"results": {video: [{label, score}, ...]}}`, or `{"results": {video: [score, ...]},
    "class": [name, ...]}`. Videos are named as in results.
    """
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
        names = content.get("class")
        labels = {}
        for video, found in content["results"].items():
            if names is not None:
                order = np.argsort(-np.asarray(found, np.float64), kind="stable")[:topk]
                pairs = [(names[k], float(found[k])) for k in order]
            else:
                pairs = [(entry["label"], float(entry["score"])) for entry in found]
                pairs = sorted(pairs, key=lambda pair: -pair[1])[:topk]
            labels[plain_name(video)] = pairs
        return labels
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise ValueError(f"{path} is not a file of video-level labels: {error!r}") from None
