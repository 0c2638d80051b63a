"""What a network says about a video, as data: actions, boxes with actions, or segments.

The fields are those of the JSON files; docs/predict.md documents them.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

SCHEMA = 1  # of the JSON files


@dataclass(frozen=True)
class ScoredClass:
    """A class with its score; `label` is its number, counted from 0."""

    label: int
    name: str
    score: float


@dataclass(frozen=True)
class Moment:
    """The best classes of a part of a video; times in seconds from the start of the file."""

    start: float
    end: float
    topk: list[ScoredClass]


@dataclass(frozen=True)
class Person:
    """A person in a key frame; `box` is x1, y1, x2, y2, normalised to [0, 1]."""

    box: tuple[float, float, float, float]
    score: float  # of the person detector, 1 for given boxes
    actions: list[ScoredClass]


@dataclass(frozen=True)
class KeyFrame:
    """The persons at a time, in seconds from the start of the file."""

    time: float
    persons: list[Person]


@dataclass(frozen=True)
class Segment:
    """A part of a video in seconds that shows an action; `name` is None without a classifier."""

    start: float
    end: float
    score: float
    name: str | None = None


@dataclass(frozen=True)
class Result:
    """The result for one video. What another task finds is empty.

    video: the path as it was given. model: the checkpoint. protocol: how the scores were computed,
    e.g. `10 clips x 3 crops, 8x8 frames`. duration: seconds, None if the file does not tell.
    topk: recognition, the best classes of the whole video. timeline: recognition, the best classes
    of each part. key_frames: detection. segments: localization, the best first.
    scores: recognition, of all classes (K,), None where only parts were classified. Not in JSON.
    """

    video: str
    model: str
    task: str
    protocol: str
    duration: float | None = None
    topk: list[ScoredClass] = field(default_factory=list)
    timeline: list[Moment] = field(default_factory=list)
    key_frames: list[KeyFrame] = field(default_factory=list)
    segments: list[Segment] = field(default_factory=list)
    scores: np.ndarray | None = field(default=None, repr=False, compare=False)

    @property
    def label(self) -> str:
        """Name of the best class of the whole video. Raises ValueError if there is none."""
        return self._best.name

    @property
    def score(self) -> float:
        """Score of the best class of the whole video. Raises ValueError if there is none."""
        return self._best.score

    @property
    def _best(self) -> ScoredClass:
        if not self.topk:
            kind = {"detection": "key_frames", "localization": "segments"}.get(
                self.task, "timeline"
            )
            raise ValueError(f"{self.video} has no label of the whole video: see .{kind}")
        return self.topk[0]

    @property
    def boxes(self) -> np.ndarray:
        """Boxes of all key frames (P, 4) float64, normalised to [0, 1], in their order."""
        rows = [person.box for frame in self.key_frames for person in frame.persons]
        return np.array(rows, dtype=np.float64).reshape(-1, 4)

    def as_dict(self) -> dict[str, Any]:
        """Plain values: the content of a JSON file."""
        content = {k: v for k, v in vars(self).items() if k != "scores"}
        plain = {
            k: [asdict(x) for x in v] if isinstance(v, list) else v for k, v in content.items()
        }
        return {"schema": SCHEMA, **plain}

    def to_json(self, path: str | Path | None = None) -> str:
        """The JSON text; also written to `path` if it is given."""
        text = json.dumps(self.as_dict(), indent=1)
        if path is not None:
            Path(path).write_text(text + "\n")
        return text


def best_classes(scores: np.ndarray, names: Sequence[str], k: int) -> list[ScoredClass]:
    """The k best of scores (K,), best first; of equal ones the lower number comes first."""
    order = np.argsort(-scores, kind="stable")[:k]
    return [ScoredClass(int(i), names[i], float(scores[i])) for i in order]
