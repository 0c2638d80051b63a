"""Detected segments of all videos: collected batch by batch, written to and read from JSON."""

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from vidrec.data.segments.annotations import SegmentRecords
from vidrec.files.atomic_write import atomic_write
from vidrec.ops.soft_nms import Candidates, soft_nms


class Detections(NamedTuple):
    """Segments of the videos of a table of records, in seconds; P in all."""

    rows: np.ndarray  # (P,) int64: row of the records; -1 for a video that is not in them
    segments: np.ndarray  # (P, 2) float64
    scores: np.ndarray  # (P,) float64
    labels: list[str] | None = None  # (P,)


class Merge:
    """Soft-NMS over the segments of overlapping sequences of one video.

    Times are divided by the latest of the video's segments, so that widths are shares of it.
    """

    def __init__(
        self, alpha: float, low_threshold: float, high_threshold: float, top_k: int
    ) -> None:
        self.settings = (alpha, low_threshold, high_threshold, top_k)

    def __call__(self, segments: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(M, 2) and (M,) of one video -> the best of them."""
        if len(scores) < 2:
            return segments, scores
        scale = max(float(segments[:, 1].max()), 1e-9)
        columns = (segments[:, 0] / scale, segments[:, 1] / scale, scores)
        kept = soft_nms(Candidates(*[torch.from_numpy(c)[None] for c in columns]), *self.settings)
        count = int(kept.counts[0])
        return kept.segments[0, :count].numpy() * scale, kept.scores[0, :count].numpy()


class SegmentResults(ABC):
    """The segments of the samples seen since the last `reset`, as arrays with a row a sample.

    records: the truth about all videos, whichever of them a rank has seen.
    merge: joins the segments of several sequences of a video; None keeps all of them.
    """

    def __init__(self, records: SegmentRecords, merge: Merge | None = None) -> None:
        self.records = records
        self.merge = merge
        self.reset()

    def reset(self) -> None:
        self._parts: dict[str, list[np.ndarray]] = {
            name: [] for name in ("index", "row", "segments", "scores", "count")
        }

    def update(self, predictions: dict[str, Any], batch: dict[str, Any]) -> None:
        """Keep `segments` (N, K, 2) in seconds, `scores` (N, K) and `count` (N,)."""
        for name, parts in self._parts.items():
            values = batch[name] if name in ("index", "row") else predictions[name]
            parts.append(values.detach().cpu().numpy())

    @property
    def rows(self) -> dict[str, np.ndarray]:
        """index, row, count (n,) int64; segments (n, K, 2), scores (n, K) float64."""
        if not self._parts["index"]:
            empty = {name: np.zeros(0, np.int64) for name in ("index", "row", "count")}
            return empty | {"segments": np.zeros((0, 0, 2)), "scores": np.zeros((0, 0))}
        return {name: np.concatenate(parts) for name, parts in self._parts.items()}

    def detections(self, rows: dict[str, np.ndarray]) -> Detections:
        """The segments of every video, best first. ValueError for scores that are no numbers."""
        if not np.isfinite(rows["scores"]).all():
            bad = int((~np.isfinite(rows["scores"])).any(axis=1).sum())
            raise ValueError(
                f"{bad} samples have scores that are not finite; the weights have diverged, or "
                "runtime.precision=fp16 overflows"
            )
        there = np.arange(rows["scores"].shape[1]) < rows["count"][:, None]
        videos = np.repeat(rows["row"], rows["count"])
        segments, scores = rows["segments"][there], rows["scores"][there]
        order = np.lexsort((-scores, videos))
        videos, segments, scores = videos[order], segments[order], scores[order]
        if self.merge is None:
            return Detections(videos, segments, scores)
        numbers, first = np.unique(videos, return_index=True)
        parts = [
            self.merge(*pair)
            for pair in zip(np.split(segments, first[1:]), np.split(scores, first[1:]), strict=True)
        ]
        return Detections(
            np.repeat(numbers, [len(part[1]) for part in parts]),
            np.concatenate([part[0] for part in parts]),
            np.concatenate([part[1] for part in parts]),
        )

    def compute(self, rows: dict[str, np.ndarray]) -> dict[str, float]:
        """rows: of all ranks, each sample once."""
        if len(rows["index"]) == 0:
            raise ValueError("no video was scored; is the list empty?")
        return self.score(self.detections(rows))

    @abstractmethod
    def score(self, detections: Detections) -> dict[str, float]:
        """What the metric says of the segments of all videos."""

    def score_file(self, path: str | Path) -> dict[str, float]:
        """The same of a results JSON, whoever wrote it."""
        return self.score(read_results(path, self.records))

    def dump(self, rows: dict[str, np.ndarray], path: str | Path) -> None:
        """Write ActivityNet's results JSON."""
        write_results(self.detections(rows), self.records, path)


def plain_name(name: str) -> str:
    """A video's name in results: without the `v_` of ActivityNet's files."""
    return name.removeprefix("v_")


def write_results(detections: Detections, records: SegmentRecords, path: str | Path) -> None:
    """The JSON of ActivityNet's evaluation server; the file is there whole or not at all."""
    results: dict[str, list[dict[str, Any]]] = {plain_name(r.name): [] for r in records}
    names = list(results)
    for i, row in enumerate(detections.rows.tolist()):
        entry = {"score": detections.scores[i].item(), "segment": detections.segments[i].tolist()}
        if detections.labels is not None:
            entry["label"] = detections.labels[i]
        results[names[row]].append(entry)
    with atomic_write(path, "w") as stream:
        json.dump({"version": "VERSION 1.3", "results": results, "external_data": {}}, stream)


def read_results(path: str | Path, records: SegmentRecords) -> Detections:
    """A results JSON: `{"results": {video: [{segment, score, label}, ...]}}`."""
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
        results: Mapping[str, Any] = content["results"]
        entries = [(name, entry) for name, found in results.items() for entry in found]
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
    return Detections(
        np.array(rows, np.int64),
        np.array(segments, np.float64).reshape(-1, 2),
        np.array(scores, np.float64),
        labels if entries and len(labels) == len(entries) else None,
    )
