"""What a network says about a video: the result with the ways to look at it."""

from vidrec.inference.result import (
    KeyFrame,
    Moment,
    Person,
    Result,
    ScoredClass,
    Segment,
    best_classes,
)

__all__ = [
    "KeyFrame",
    "Moment",
    "Person",
    "Prediction",
    "ScoredClass",
    "Segment",
    "best_classes",
]


class Prediction(Result):
    """A `Result` as it is returned; what draws it takes a `Result`, which it is."""
