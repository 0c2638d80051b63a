"""What can be chosen when a network predicts, in the shell and in Python alike."""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Options:
    """Options of all tasks; those of another task have no effect and are refused by the command.

    topk: classes that are named. batch_size: clips of one forward pass.
    every: recognition: seconds of a part that gets labels of its own; None: the whole video only.
        Detection: seconds from one key frame to the next, None: 1.
    names: class names, one per line, in place of those of the checkpoint.
    detector, detector_weights, threshold: detection: the person detector of torchvision, the file
        of its weights, and the least score of a person. proposals: given boxes instead.
    min_score: detection: actions and localization: segments with a lower score are left out; None:
        0.05 for actions, all segments.
    extractor: localization: network that extracts the features; None: the one that the checkpoint
        names. features: a folder of features instead. classifier: a recognition network that names
        the segments.
    """

    topk: int = 5
    batch_size: int = 8
    every: float | None = None
    names: str | None = None
    detector: str = "fasterrcnn_resnet50_fpn"
    detector_weights: str | None = None
    threshold: float = 0.9
    proposals: str | None = None
    min_score: float | None = None
    extractor: str | None = None
    features: str | None = None
    classifier: str | None = None

    def __post_init__(self) -> None:
        for name in ("topk", "batch_size"):
            if (value := getattr(self, name)) < 1:
                raise ValueError(f"{name}={value}: give a whole number of at least 1")
        if self.every is not None and not 0 < self.every < math.inf:
            raise ValueError(f"every={self.every}: give a number of seconds above 0")
