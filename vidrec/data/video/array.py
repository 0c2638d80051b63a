"""Frames that are already in memory, read as a video is."""

from collections.abc import Callable, Iterator

import numpy as np

from vidrec.data.video.decoder import Decoder
from vidrec.data.video.geometry import CropPlan
from vidrec.data.video.resample import cut, place


class ArrayDecoder(Decoder[np.ndarray]):
    """Frames (T, H, W, C) uint8, cut and scaled as those of an accurate decoder."""

    def __init__(self, frames: np.ndarray, fps: float | None = None, name: str = "frames") -> None:
        if frames.ndim != 4 or frames.dtype != np.uint8 or 0 in frames.shape:
            raise ValueError(
                f"{name}: {frames.dtype} of shape {frames.shape} is no video; pass uint8 "
                "(T, H, W, C)"
            )
        self.name = name
        self.fps = fps
        self.num_frames, self.height, self.width, self.num_channels = frames.shape
        self._video = frames

    def _frames(self, wanted: list[int]) -> Iterator[tuple[int, np.ndarray]]:
        for index in wanted:
            yield index, self._video[index]

    def _cutter(self, plan: CropPlan) -> Callable[[np.ndarray, np.ndarray], None]:
        return lambda frame, out: place(cut(frame, plan.box, plan.size), plan, out)
