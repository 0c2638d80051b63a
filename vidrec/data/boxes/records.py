"""Key frames with labelled boxes and proposals, packed into a few arrays that workers share."""

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np


class KeyFrame(NamedTuple):
    """One annotated moment of a video. Boxes are x1, y1, x2, y2 as shares of width and height.

    timestamp: seconds, or the number of the frame where the annotations count frames.
    """

    video: str
    timestamp: float
    boxes: np.ndarray  # (G, 4) float32: the truth
    labels: tuple[tuple[int, ...], ...]  # (G,): columns of each box, which may be none
    proposals: np.ndarray  # (P, 4) float32
    scores: np.ndarray  # (P,) float32: of the person detector


class BoxRecords:
    """A sequence of `KeyFrame`, sorted by video and timestamp.

    videos: names; video: (n,) int64, which of them; timestamps: (n,) float64.
    boxes: (G, 4) float32 of all key frames; box_ends: (n + 1,) int64.
    labels: (L,) int64 columns of all boxes; label_ends: (G + 1,) int64.
    proposals: (P, 4) float32, scores: (P,) float32; proposal_ends: (n + 1,) int64.
    num_classes: columns of a label, with the background where there is one.
    classes: id in the annotation files -> name, of the classes that are evaluated.
    columns: id in the annotation files -> column, of all that are learned.
    excluded: (video, timestamp) that are annotated but do not count. excluded_actions: how often
        each id stands there.
    """

    def __init__(
        self,
        videos: Sequence[str],
        video: np.ndarray,
        timestamps: np.ndarray,
        boxes: np.ndarray,
        box_ends: np.ndarray,
        labels: np.ndarray,
        label_ends: np.ndarray,
        proposals: np.ndarray,
        scores: np.ndarray,
        proposal_ends: np.ndarray,
        num_classes: int,
        classes: Mapping[int, str],
        columns: Mapping[int, int],
        excluded: frozenset[tuple[str, float]] = frozenset(),
        excluded_actions: Mapping[int, int] | None = None,
    ) -> None:
        self.videos = tuple(videos)
        self.video = video
        self.timestamps = timestamps
        self.boxes = boxes
        self.box_ends = box_ends
        self.labels = labels
        self.label_ends = label_ends
        self.proposals = proposals
        self.scores = scores
        self.proposal_ends = proposal_ends
        self.num_classes = num_classes
        self.classes = dict(classes)
        self.columns = dict(columns)
        self.excluded = excluded
        self.excluded_actions = dict(excluded_actions or {})

    def __len__(self) -> int:
        return len(self.timestamps)

    def __getitem__(self, row: int) -> KeyFrame:
        first, last = self.box_ends[row : row + 2].tolist()
        ends = self.label_ends[first : last + 1].tolist()
        proposals = slice(*self.proposal_ends[row : row + 2].tolist())
        return KeyFrame(
            self.videos[self.video[row]],
            float(self.timestamps[row]),
            self.boxes[first:last],
            tuple(tuple(self.labels[a:b].tolist()) for a, b in itertools.pairwise(ends)),
            self.proposals[proposals],
            self.scores[proposals],
        )

    def __iter__(self) -> Iterator[KeyFrame]:
        return (self[row] for row in range(len(self)))

    def name(self, row: int) -> str:
        """The key frame as the files write it: `VIDEO,0902`."""
        return key(self.videos[self.video[row]], float(self.timestamps[row]))


def key(video: str, timestamp: float) -> str:
    """`VIDEO,0902`: whole timestamps have four digits.

    >>> key("1j20qq1JyX4", 902.0)
    '1j20qq1JyX4,0902'
    """
    return (
        f"{video},{int(timestamp):04d}" if timestamp == int(timestamp) else f"{video},{timestamp}"
    )


def parse_key(name: str) -> tuple[str, float] | None:
    """(video, timestamp) of `VIDEO,0902`, however many digits it has; None where it is none.

    >>> parse_key("1j20qq1JyX4,0902")
    ('1j20qq1JyX4', 902.0)
    """
    video, comma, timestamp = name.rpartition(",")
    try:
        moment = float(timestamp)
    except ValueError:
        return None
    return (video, moment) if comma and math.isfinite(moment) else None
