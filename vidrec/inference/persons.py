"""The persons whose actions are predicted: found by a detector, or given in a file."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Protocol

import numpy as np
import torch

from vidrec.data.boxes.annotations import check_boxes
from vidrec.data.boxes.clock import Clock, length_of_pictures
from vidrec.data.boxes.key_frames import begin_of
from vidrec.data.boxes.keys import parse_key
from vidrec.data.boxes.person_proposals import read_proposals
from vidrec.data.video.decoder import VideoError
from vidrec.inference.options import Options
from vidrec.models.person_detector import PersonDetector


class Persons(Protocol):
    """Key frames of a video, and the persons in them."""

    sees_frames: bool  # whether it needs the key frames themselves
    how: str  # for the line that says how a prediction was made

    def moments(self, video: str) -> list[float]:
        """Seconds from the start of the file, ascending. Raises VideoError if there are none."""

    def boxes(
        self, video: str, moments: Sequence[float], frames: Sequence[np.ndarray]
    ) -> list[np.ndarray]:
        """Of each of some key frames (P, 5) float32: boxes normalised to [0, 1], and scores.

        frames: (H, W, 3) uint8 each; empty if they are not needed.
        """


def persons_of(options: Options, begin: float | None, device: torch.device) -> Persons:
    """Given boxes if there are any, else a detector.

    begin: time at which the files of the training's data begin. Raises ValueError without weights
    of a detector.
    """
    if options.proposals is not None:
        return GivenPersons(options.proposals, options.threshold, begin)
    return DetectedPersons(options, device)


class DetectedPersons:
    """A detector of torchvision on the key frames that `vidrec persons` has by default."""

    sees_frames = True

    def __init__(self, options: Options, device: torch.device) -> None:
        self.clock = Clock(1.0 if options.every is None else options.every)
        if options.detector_weights is None:
            raise ValueError(
                "actions are predicted for boxes of persons: pass --detector-weights FILE, the "
                f"weights of {options.detector}, which are linked from "
                "https://pytorch.org/vision/stable/models.html, or --proposals FILE with boxes"
            )
        self.detect = PersonDetector(
            options.detector,
            options.detector_weights,
            threshold=options.threshold,
            device=str(device),
        )
        self.how = f"persons by {options.detector}, score >= {options.threshold:g}"

    def moments(self, video: str) -> list[float]:
        return self.clock.moments(0.0, length_of_pictures(video)).tolist()

    def boxes(
        self, video: str, moments: Sequence[float], frames: Sequence[np.ndarray]
    ) -> list[np.ndarray]:
        return self.detect(np.stack(frames))


def _place(file: str, name: str, row: int) -> str:
    return f"{file}, key {name!r}, box {row + 1}"


class GivenPersons:
    """Boxes of a proposal file, whose key frames are those of the prediction.

    Videos are named without their extension, and with as many of their folders as the file has.
    Times are on the clock of the training's data, as the file is for them: if those are excerpts
    that begin at 900 s, 902 is the second 2 of the file. Times before that count from the start of
    the file instead, as `vidrec persons` writes them for other videos.

    threshold: least score of a person. begin: time at which the files of that data begin; None:
    START of VIDEO_START_END.
    """

    sees_frames = False

    def __init__(self, file: str, threshold: float, begin: float | None) -> None:
        self.file = file
        self.begin = begin
        self.how = f"persons of {file}, score >= {threshold:g}"
        self._by_video: dict[str, list[tuple[float, np.ndarray]]] = {}
        for name, rows in read_proposals(file).items():
            check_boxes(rows[:, :4], partial(_place, file, name))
            kept = rows[rows[:, 4] >= np.float32(threshold)]
            kept[:, :4] = kept[:, :4].clip(0, 1)
            if (moment := parse_key(name)) is not None:
                self._by_video.setdefault(moment[0], []).append((moment[1], kept))

    def moments(self, video: str) -> list[float]:
        moments, length = list(self._rows(video)), length_of_pictures(video)
        if moments[0] < 0 or moments[-1] >= length:
            raise VideoError(
                f"{video}: it lasts {length:.2f} s, but the boxes of {self.file} are at "
                f"{moments[0]:g} to {moments[-1]:g} s: they have another clock"
            )
        return moments

    def boxes(
        self, video: str, moments: Sequence[float], frames: Sequence[np.ndarray]
    ) -> list[np.ndarray]:
        rows = self._rows(video)
        return [rows[moment] for moment in moments]

    def _rows(self, video: str) -> dict[float, np.ndarray]:
        """The boxes of every key frame of a video by second, in order."""
        name = self._name(Path(video))
        rows = sorted(self._by_video[name], key=lambda row: row[0])
        begin = begin_of(name, self.begin)
        if rows[0][0] < begin:
            begin = 0.0
        return {moment - begin: boxes for moment, boxes in rows}

    def _name(self, video: Path) -> str:
        whole, bare = video.parts, video.with_suffix("").parts
        for start in range(len(bare)):
            for parts in (bare, whole):
                if (name := "/".join(parts[start:])) in self._by_video:
                    return name
        raise VideoError(
            f"{video}: {self.file} has no key frame of it, whose name would be {video.stem}"
        )
