"""Videos with labels, packed into a few flat arrays whatever the number of samples."""

from array import array
from collections.abc import Iterable, Sequence
from operator import index as as_index
from typing import Any, NamedTuple, Self, overload

import numpy as np

from vidrec.data.ragged import Ragged, as_array

_UNKNOWN = -1  # number of frames of a video that nobody counted


class Record(NamedTuple):
    """One sample.

    num_frames: None if the file has to tell. offset: frames before the first that counts.
    """

    path: str
    label: int | tuple[int, ...]
    num_frames: int | None = None
    offset: int = 0


class Records:
    """A sequence of `Record` in flat arrays, which forked workers share (see `Ragged`)."""

    def __init__(
        self,
        paths: Ragged,
        label: np.ndarray | Ragged,
        num_frames: np.ndarray | None = None,
        offset: np.ndarray | None = None,
    ) -> None:
        """Take packed columns as they are; `pack` makes them.

        paths: texts. label: (n,) int64, or rows of int64 for multi-label.
        num_frames, offset: (n,) int64; num_frames is -1 if unknown.
        """
        self.paths = paths
        self.label = label
        self.num_frames = num_frames
        self.offset = offset
        # What readers know besides: names by label, and sentences on what they left out.
        self.class_names: Sequence[str] | None = None
        self.remarks: Sequence[str] | None = None
        # Why no sample has a label, in words; the column of labels says nothing then.
        self.unlabelled: str | None = None

    @classmethod
    def pack(
        cls,
        paths: Iterable[str],
        labels: Iterable[int] | Iterable[Sequence[int]],
        num_frames: Iterable[int | None] | None = None,
        offset: Iterable[int] | None = None,
    ) -> Self:
        """Records of samples given by column; labels are sequences of int for multi-label.

        The paths are read before the other columns, and not kept as strings.
        """
        packed = Ragged.pack_text(paths)
        label = _packed_labels(labels)
        columns = {"num_frames": _column(num_frames), "offset": _column(offset)}
        for name, column in {"labels": label, **columns}.items():
            if column is not None and len(column) != len(packed):
                raise ValueError(f"{len(packed)} paths, but {len(column)} {name}")
        return cls(packed, label, columns["num_frames"], columns["offset"])

    @property
    def multi_label(self) -> bool:
        return isinstance(self.label, Ragged)

    def __len__(self) -> int:
        return len(self.paths)

    @overload
    def __getitem__(self, key: int) -> Record: ...
    @overload
    def __getitem__(self, key: slice) -> "Records": ...
    def __getitem__(self, key: int | slice) -> "Record | Records":
        """Row `key`, counted from the end if negative, or the Records of a slice."""
        if isinstance(key, slice):
            return self.take(range(*key.indices(len(self))))
        row = as_index(key)
        if row < 0:
            row += len(self)
        if not 0 <= row < len(self):
            raise IndexError(f"no record {key}, there are {len(self)}")
        label = self.label[row]
        num_frames = _UNKNOWN if self.num_frames is None else int(self.num_frames[row])
        return Record(
            self.paths.text(row),
            tuple(label.tolist()) if isinstance(self.label, Ragged) else int(label),
            None if num_frames == _UNKNOWN else num_frames,
            0 if self.offset is None else int(self.offset[row]),
        )

    def take(self, indices: Sequence[int] | np.ndarray) -> "Records":
        """The Records of rows `indices` (any order, repeats allowed) or of a boolean mask."""
        rows = np.asarray(indices)
        if rows.dtype == bool:
            if rows.shape != (len(self),):
                raise IndexError(f"a mask of shape {rows.shape} for {len(self)} records")
            rows = np.flatnonzero(rows)
        rows = rows.astype(np.int64) if rows.size == 0 else rows
        if not np.issubdtype(rows.dtype, np.integer) or rows.ndim != 1:
            raise IndexError(
                f"rows must be a list of integers, not {rows.dtype} of shape {rows.shape}"
            )
        rows = np.where(rows < 0, rows + len(self), rows)
        if rows.size and not 0 <= rows.min() <= rows.max() < len(self):
            raise IndexError(f"no record {rows.max()} or {rows.min()}, there are {len(self)}")
        label = self.label.take(rows) if isinstance(self.label, Ragged) else self.label[rows]
        num_frames = None if self.num_frames is None else self.num_frames[rows]
        offset = None if self.offset is None else self.offset[rows]
        taken = Records(self.paths.take(rows), label, num_frames, offset)
        taken.class_names = self.class_names
        taken.unlabelled = self.unlabelled
        return taken

    def labels(self, num_classes: int | None = None) -> np.ndarray:
        """(n,) int64; multi-label (n, num_classes) float32 with a 1 for every label."""
        label = self.label
        values = label.values if isinstance(label, Ragged) else label
        if num_classes is not None and values.size and not values.max() < num_classes:
            raise ValueError(f"label {values.max()} is not below num_classes={num_classes}")
        if not isinstance(label, Ragged):
            return values.copy()
        if num_classes is None:
            raise ValueError("these records are multi-label: labels() needs num_classes")
        dense = np.zeros((len(self), num_classes), dtype=np.float32)
        dense[label.row_of_value, values] = 1
        return dense


def _column(numbers: Iterable[int | None] | None) -> np.ndarray | None:
    if numbers is None:
        return None
    if isinstance(numbers, array | np.ndarray):
        return np.array(numbers, dtype=np.int64)
    return np.array([_UNKNOWN if n is None else n for n in numbers], dtype=np.int64)


def _packed_labels(labels: Iterable[Any]) -> np.ndarray | Ragged:
    """(n,) int64 of one label per row, or rows of several."""
    if isinstance(labels, np.ndarray) and labels.ndim == 1 and labels.dtype.kind in "iu":
        return labels.astype(np.int64)
    rows = labels if isinstance(labels, array | list | tuple) else list(labels)
    if not len(rows) or isinstance(rows[0], int | np.integer):
        try:
            return as_array(array("q", rows), np.int64)
        except TypeError:
            raise ValueError("labels are either all numbers or all sequences of numbers") from None
    values, ends = array("q"), array("q", [0])
    for row in rows:
        if isinstance(row, int | np.integer):
            raise ValueError("labels are either all numbers or all sequences of numbers")
        values.extend(int(label) for label in row)
        ends.append(len(values))
    return Ragged(as_array(values, np.int64), as_array(ends, np.int64))
