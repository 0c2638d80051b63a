"""Videos with labelled segments, packed into a few flat arrays that forked workers share."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from vidrec.data.ragged import Ragged


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
    """A sequence of `SegmentRecord` (see `Ragged`).

    names: texts. times: (n, 3) float64, duration, span and result span. segments: rows of (G, 2)
    float64; labels: rows of (G,) int64. classes: the labels' names.
    """

    def __init__(
        self,
        names: Ragged,
        times: np.ndarray,
        segments: Ragged,
        labels: Ragged,
        classes: Sequence[str],
    ) -> None:
        self.names = names
        self.times = times
        self.segments = segments
        self.labels = labels
        self.classes = tuple(classes)

    @classmethod
    def pack(cls, records: Sequence[SegmentRecord], classes: Sequence[str]) -> "SegmentRecords":
        return cls(
            Ragged.pack_text(record.name for record in records),
            np.array([record[1:4] for record in records], np.float64).reshape(-1, 3),
            Ragged.pack([record.segments for record in records], np.zeros((0, 2))),
            Ragged.pack([record.labels for record in records], np.zeros(0, np.int64)),
            classes,
        )

    def __len__(self) -> int:
        return len(self.names)

    def name(self, row: int) -> str:
        return self.names.text(row)

    def __getitem__(self, row: int) -> SegmentRecord:
        if not 0 <= row < len(self):
            raise IndexError(f"no record {row}, there are {len(self)}")
        duration, span, result_span = self.times[row].tolist()
        return SegmentRecord(
            self.name(row), duration, span, result_span, self.segments[row], self.labels[row]
        )

    def __iter__(self) -> Iterator[SegmentRecord]:
        return (self[row] for row in range(len(self)))
