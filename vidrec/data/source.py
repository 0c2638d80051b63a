"""What every decoder gives: an opened video whose frames are read by number."""

from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

import numpy as np

if TYPE_CHECKING:
    from vidrec.data.transforms import Plan


class VideoError(RuntimeError):
    """A file that cannot be read right; the message names it and says why."""


class Source(Protocol):
    """An opened video; a context manager that closes it.

    num_frames: frames that can be read, counted from 0.
    fps: mean frame rate, None where the source has no clock.
    width, height: pixels as displayed, after any rotation.
    """

    num_frames: int
    fps: float | None
    width: int
    height: int

    def read(
        self, indices: Sequence[int], plan: "Plan", out: np.ndarray | None = None
    ) -> np.ndarray:
        """Frames `indices` (any order, repeats allowed) cropped and scaled by `plan`.

        Returns (F, h, w, C) uint8, C-contiguous, written into `out` where it is given.
        """
        ...

    def read_many(self, indices: Sequence[int], plans: Sequence["Plan"]) -> list[np.ndarray]:
        """Decode once and cut every plan: one (F, h, w, C) array per plan."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


def rows_of(indices: Sequence[int], num_frames: int, name: str) -> dict[int, list[int]]:
    """Each distinct frame of `indices` and the rows of the output that show it."""
    rows: dict[int, list[int]] = {}
    for row, index in enumerate(np.asarray(indices).tolist()):
        if not 0 <= index < num_frames:
            raise IndexError(f"{name}: frame {index} was asked for, it has 0 to {num_frames - 1}")
        rows.setdefault(index, []).append(row)
    return rows
