"""Videos with labelled segments, packed into a few arrays that workers share."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np


class SegmentRecord(NamedTuple):
    """One video. Times in seconds.

    duration: of the video. span: of what its features cover, which labels are relative to.
    result_span: the same for results.
    """

    name: str
    duration: float
    span: float
    result_span: float
    segments: np.ndarray  # (G, 2) float64, start and end
    labels: np.ndarray  # (G,) int64


class SegmentRecords:
    """Videos in a few flat arrays, which forked workers share (see `vidrec.data.clips.records`).

    names: (B,) uint8, all names in UTF-8; name_ends: (n + 1,) int64. times: (n, 3) float64:
    duration, span and result span. segments: (S, 2) float64; labels: (S,) int64; segment_ends:
    (n + 1,) int64. classes: the labels' names.
    """

    def __init__(
        self,
        names: np.ndarray,
        name_ends: np.ndarray,
        times: np.ndarray,
        segments: np.ndarray,
        labels: np.ndarray,
        segment_ends: np.ndarray,
        classes: Sequence[str],
    ) -> None:
        self.names = names
        self.name_ends = name_ends
        self.times = times
        self.segments = segments
        self.labels = labels
        self.segment_ends = segment_ends
        self.classes = tuple(classes)

    @classmethod
    def pack(cls, records: Sequence[SegmentRecord], classes: Sequence[str]) -> "SegmentRecords":
        encoded = [record.name.encode() for record in records]
        counts = [len(record.segments) for record in records]
        return cls(
            np.frombuffer(b"".join(encoded), np.uint8),
            np.cumsum([0, *map(len, encoded)]),
            np.array([record[1:4] for record in records], np.float64).reshape(-1, 3),
            np.concatenate([np.zeros((0, 2)), *[record.segments for record in records]]),
            np.concatenate([np.zeros(0, np.int64), *[record.labels for record in records]]),
            np.cumsum([0, *counts]),
            classes,
        )

    def __len__(self) -> int:
        return len(self.name_ends) - 1

    def name(self, row: int) -> str:
        return self.names[self.name_ends[row] : self.name_ends[row + 1]].tobytes().decode()

    def __getitem__(self, row: int) -> SegmentRecord:
        if not 0 <= row < len(self):
            raise IndexError(f"no record {row}, there are {len(self)}")
        own = slice(self.segment_ends[row], self.segment_ends[row + 1])
        duration, span, result_span = self.times[row].tolist()
        segments, labels = self.segments[own], self.labels[own]
        return SegmentRecord(self.name(row), duration, span, result_span, segments, labels)

    def __iter__(self) -> Iterator[SegmentRecord]:
        return (self[row] for row in range(len(self)))

    @property
    def segment_rows(self) -> np.ndarray:
        """The video of each segment, (S,)."""
        return np.repeat(np.arange(len(self)), np.diff(self.segment_ends))
