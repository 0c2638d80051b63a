"""Key frames with labelled boxes and proposals, packed into a few arrays that workers share."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from vidrec.data.boxes.keys import key
from vidrec.data.ragged import Ragged

MAX_ID = 100_000  # of an action: labels have a column for each


class KeyFrame(NamedTuple):
    """One annotated moment of a video. Boxes are x1, y1, x2, y2, normalised to [0, 1].

    timestamp: seconds, or the number of the frame if the annotations count frames.
    """

    video: str
    timestamp: float
    boxes: np.ndarray  # (G, 4) float32: the ground truth
    labels: tuple[tuple[int, ...], ...]  # (G,): columns of each box; may be empty
    proposals: np.ndarray  # (P, 4) float32
    scores: np.ndarray  # (P,) float32: of the person detector


@dataclass(eq=False)
class BoxRecords:
    """A sequence of `KeyFrame`, sorted by video and timestamp; n key frames with G boxes in all."""

    videos: tuple[str, ...]  # names
    video: np.ndarray  # (n,) int64: which of them
    timestamps: np.ndarray  # (n,) float64
    boxes: Ragged  # n rows of (g, 4) float32
    labels: Ragged  # G rows of int64: columns of each box
    proposals: Ragged  # n rows of (p, 4) float32
    scores: Ragged  # n rows of (p,) float32
    num_classes: int  # columns of a label, including the background if there is one
    classes: Mapping[int, str]  # id in the annotation files -> name, of the evaluated classes
    columns: Mapping[int, int]  # id in the annotation files -> column, of all learned classes
    excluded: frozenset[tuple[str, float]] = frozenset()  # (video, timestamp) that do not count
    excluded_actions: Mapping[int, int] = field(default_factory=dict)  # id -> boxes in `excluded`
    person_score_threshold: float = 0.0  # proposals with a lower score were left out
    num_whole_frames: int = 0  # key frames without a proposal, whose only one is the whole frame

    def __len__(self) -> int:
        return len(self.timestamps)

    def __getitem__(self, row: int) -> KeyFrame:
        first, last = self.boxes.ends[row : row + 2].tolist()
        return KeyFrame(
            self.videos[self.video[row]],
            float(self.timestamps[row]),
            self.boxes[row],
            tuple(tuple(self.labels[box].tolist()) for box in range(first, last)),
            self.proposals[row],
            self.scores[row],
        )

    def __iter__(self) -> Iterator[KeyFrame]:
        return (self[row] for row in range(len(self)))

    def name(self, row: int) -> str:
        """The key frame as it is written in files: `VIDEO,0902`."""
        return key(self.videos[self.video[row]], float(self.timestamps[row]))
