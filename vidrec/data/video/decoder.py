"""The interface of every decoder: an opened video whose frames are read by number."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import Generic, Protocol, Self, TypeVar

import numpy as np

from vidrec.data.video.geometry import CropPlan


class VideoError(RuntimeError):
    """A file that cannot be read correctly; the message gives the file and the reason."""


Frame = TypeVar("Frame")  # what a source decodes before it is cut


class Decoder(ABC, Generic[Frame]):
    """An opened video; a context manager that closes it.

    name: the file, for messages.
    num_frames: number of frames, which are numbered from 0.
    fps: mean frame rate, None if the source has no clock.
    width, height: pixels of the upright frames, rotated and mirrored as the file says. Pixels are
        taken as square: a sample aspect ratio (DVD, some DV and broadcasts) is not applied.
    num_channels: channels of the frames that are read.
    """

    name: str
    num_frames: int
    fps: float | None
    width: int
    height: int
    num_channels: int = 3

    def read(
        self, indices: Sequence[int], plan: CropPlan, out: np.ndarray | None = None
    ) -> np.ndarray:
        """Frames `indices` (any order, repeats allowed) cropped and scaled by `plan`.

        Returns (F, h, w, C) uint8, C-contiguous; written to `out` if it is given.
        """
        shape = (len(indices), *plan.size, self.num_channels)
        if out is None:
            out = np.empty(shape, dtype=np.uint8)
        elif out.shape != shape or out.dtype != np.uint8 or not out.flags.c_contiguous:
            raise ValueError(f"out is {out.dtype} {out.shape}, not C-contiguous uint8 {shape}")
        self._read(indices, [plan], [out])
        return out

    def read_many(self, indices: Sequence[int], plans: Sequence[CropPlan]) -> list[np.ndarray]:
        """Decode once and cut every plan: one (F, h, w, C) array per plan."""
        outs = [
            np.empty((len(indices), *plan.size, self.num_channels), dtype=np.uint8)
            for plan in plans
        ]
        self._read(indices, plans, outs)
        return outs

    def _read(
        self, indices: Sequence[int], plans: Sequence[CropPlan], outs: Sequence[np.ndarray]
    ) -> None:
        rows: dict[int, list[int]] = {}
        for row, index in enumerate(np.asarray(indices).tolist()):
            if not 0 <= index < self.num_frames:
                raise IndexError(f"{self.name}: no frame {index}, it has {self.num_frames}")
            rows.setdefault(index, []).append(row)
        cutters = [self._cutter(plan) for plan in plans]
        for index, frame in self._frames(sorted(rows)):
            first, *repeats = rows[index]
            for cutter, out in zip(cutters, outs, strict=True):
                cutter(frame, out[first])
                for row in repeats:
                    out[row] = out[first]

    @abstractmethod
    def _frames(self, wanted: list[int]) -> Iterator[tuple[int, Frame]]:
        """(index, decoded frame) of each frame in `wanted`, sorted; of several the last counts.

        Raises VideoError if one of them cannot be decoded.
        """

    @abstractmethod
    def _cutter(self, plan: CropPlan) -> Callable[[Frame, np.ndarray], None]:
        """A function that writes the plan's part of a decoded frame into an (h, w, C) array."""

    def close(self) -> None:
        """Release the file."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Reader(Protocol):
    """Opens the videos of a dataset."""

    def open(self, path: str, num_frames: int | None = None, offset: int = 0) -> Decoder:
        """The video at `path`.

        num_frames, offset: frames of it that count, and frames before the first of them, for
            sources that cannot tell (folders of frames); None counts what is there.
        """
