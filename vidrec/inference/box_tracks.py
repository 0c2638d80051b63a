"""Where the persons of the key frames are at any time between them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from vidrec.inference.result import KeyFrame, Person
from vidrec.ops.box_iou import box_iou

SAME_PERSON = 0.3  # IoU of boxes in neighbouring key frames
LONE = 1.0  # seconds that a single key frame is shown


@dataclass(frozen=True)
class BoxTracks:
    """The persons of a video by time.

    A person is shown from half an interval before a key frame to half an interval after it; between
    two key frames, a person that both have (their boxes overlap, IoU >= 0.3) moves evenly from one
    box to the other. The interval is the usual time from one key frame to the next.

    frames: in order of time.
    """

    frames: Sequence[KeyFrame]

    @cached_property
    def interval(self) -> float:
        """Seconds from one key frame to the next: their median."""
        times = [frame.time for frame in self.frames]
        return float(np.median(np.diff(times))) if len(times) > 1 else LONE

    def at(self, seconds: float) -> list[Person]:
        """The persons at a time, each with the actions of the nearest key frame."""
        if not self.frames:
            return []
        times = np.array([frame.time for frame in self.frames])
        after = int(np.searchsorted(times, seconds, side="right"))
        near = [n for n in (after - 1, after) if 0 <= n < len(times)]
        nearest = min(near, key=lambda n: abs(times[n] - seconds))
        # Half an interval, and the rounding of times.
        if abs(times[nearest] - seconds) > self.interval / 2 + 1e-3:
            return []
        persons = self.frames[nearest].persons
        other = next((n for n in near if n != nearest), None)
        if other is None or abs(times[other] - times[nearest]) > 1.5 * self.interval:
            return persons
        share = float((seconds - times[nearest]) / (times[other] - times[nearest]))
        return _moved(persons, self.frames[other].persons, share)


def _moved(persons: Sequence[Person], others: Sequence[Person], share: float) -> list[Person]:
    """Persons on the way to where they are in another key frame; those it lacks stay."""
    moved = list(persons)
    if not persons or not others:
        return moved
    here = np.array([person.box for person in persons])
    there = np.array([person.box for person in others])
    overlap = box_iou(here[:, None], there)
    while overlap.max() >= SAME_PERSON:
        row, column = divmod(int(overlap.argmax()), len(others))
        x1, y1, x2, y2 = ((1 - share) * here[row] + share * there[column]).tolist()
        moved[row] = replace(persons[row], box=(x1, y1, x2, y2))
        overlap[row], overlap[:, column] = 0, 0
    return moved
