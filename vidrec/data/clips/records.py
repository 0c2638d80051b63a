"""Packed tables of samples: a few flat arrays, whatever the number of samples."""

from array import array
from collections.abc import Iterable, Sequence
from operator import index as as_index
from typing import Any, NamedTuple, Self, overload

import numpy as np

_UNKNOWN = -1  # number of frames of a video that nobody counted
_GATHERED = 1 << 16  # rows that `take` moves at once


class Record(NamedTuple):
    """One sample. num_frames: None: ask the file. offset: frames before the first that counts."""

    path: str
    label: int | tuple[int, ...]
    num_frames: int | None = None
    offset: int = 0


class Records:
    """Samples in a few flat arrays, which forked workers share whatever the number of samples.

    A million Python strings would be copied into every worker: reading one writes its reference
    count, and the memory page with it.
    """

    def __init__(
        self,
        paths: np.ndarray,
        path_ends: np.ndarray,
        labels: np.ndarray,
        label_ends: np.ndarray | None = None,
        num_frames: np.ndarray | None = None,
        offset: np.ndarray | None = None,
    ) -> None:
        """Take packed arrays as they are; `pack` makes them.

        paths: (B,) uint8, all paths in UTF-8. path_ends: (n + 1,) int64, where they end, from 0.
        labels: (n,) int64; multi-label (L,) with label_ends: (n + 1,) int64 from 0.
        num_frames, offset: (n,) int64; -1 frames are unknown.
        """
        self.paths = paths
        self.path_ends = path_ends
        self.label_values = labels
        self.label_ends = label_ends
        self.num_frames = num_frames
        self.offset = offset

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
        blob, path_ends = bytearray(), array("q", [0])
        for path in paths:
            blob += path.encode("utf-8", "surrogateescape")
            path_ends.append(len(blob))
        values, label_ends = _packed_labels(labels)
        columns = {
            "labels": values if label_ends is None else label_ends[1:],
            "num_frames": _column(num_frames),
            "offset": _column(offset),
        }
        for name, column in columns.items():
            if column is not None and len(column) != len(path_ends) - 1:
                raise ValueError(f"{len(path_ends) - 1} paths, but {len(column)} {name}")
        return cls(
            _array(blob, np.uint8),
            _array(path_ends, np.int64),
            values,
            label_ends,
            columns["num_frames"],
            columns["offset"],
        )

    @property
    def multi_label(self) -> bool:
        return self.label_ends is not None

    def __len__(self) -> int:
        return len(self.path_ends) - 1

    @overload
    def __getitem__(self, key: int) -> Record: ...
    @overload
    def __getitem__(self, key: slice) -> "Records": ...
    def __getitem__(self, key: int | slice) -> "Record | Records":
        """Row `key`, from the end where negative, or the Records of a slice."""
        if isinstance(key, slice):
            return self.take(range(*key.indices(len(self))))
        row = as_index(key)
        if row < 0:
            row += len(self)
        if not 0 <= row < len(self):
            raise IndexError(f"no record {key}, there are {len(self)}")
        path = self.paths[self.path_ends[row] : self.path_ends[row + 1]].tobytes()
        if self.label_ends is None:
            label: int | tuple[int, ...] = int(self.label_values[row])
        else:
            label = tuple(
                self.label_values[self.label_ends[row] : self.label_ends[row + 1]].tolist()
            )
        num_frames = _UNKNOWN if self.num_frames is None else int(self.num_frames[row])
        return Record(
            path.decode("utf-8", "surrogateescape"),
            label,
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
                f"rows are one axis of integers, not {rows.dtype} of shape {rows.shape}"
            )
        rows = np.where(rows < 0, rows + len(self), rows)
        if rows.size and not 0 <= rows.min() <= rows.max() < len(self):
            raise IndexError(f"no record {rows.max()} or {rows.min()}, there are {len(self)}")
        paths, path_ends = _gather(self.paths, self.path_ends, rows)
        if self.label_ends is None:
            labels, label_ends = self.label_values[rows], None
        else:
            labels, label_ends = _gather(self.label_values, self.label_ends, rows)
        num_frames = None if self.num_frames is None else self.num_frames[rows]
        offset = None if self.offset is None else self.offset[rows]
        return Records(paths, path_ends, labels, label_ends, num_frames, offset)

    def labels(self, num_classes: int | None = None) -> np.ndarray:
        """(n,) int64; multi-label (n, num_classes) float32 with a 1 for every label."""
        values = self.label_values
        if num_classes is not None and values.size and not values.max() < num_classes:
            raise ValueError(f"label {values.max()} is not below num_classes={num_classes}")
        if self.label_ends is None:
            return values.copy()
        if num_classes is None:
            raise ValueError("these records are multi-label: labels() needs num_classes")
        dense = np.zeros((len(self), num_classes), dtype=np.float32)
        dense[np.repeat(np.arange(len(self)), np.diff(self.label_ends)), values] = 1
        return dense


def _array(buffer: bytearray | array, dtype: Any) -> np.ndarray:
    return np.frombuffer(buffer, dtype) if len(buffer) else np.empty(0, dtype)


def _column(numbers: Iterable[int | None] | None) -> np.ndarray | None:
    if numbers is None:
        return None
    if isinstance(numbers, array | np.ndarray):
        return np.array(numbers, dtype=np.int64)
    return np.array([_UNKNOWN if n is None else n for n in numbers], dtype=np.int64)


def _packed_labels(labels: Iterable[Any]) -> tuple[np.ndarray, np.ndarray | None]:
    """One label a row: (n,) int64 and None. Several: all of them and their (n + 1,) ends."""
    if isinstance(labels, np.ndarray) and labels.ndim == 1 and labels.dtype.kind in "iu":
        return labels.astype(np.int64), None
    rows = labels if isinstance(labels, array | list | tuple) else list(labels)
    if not len(rows) or isinstance(rows[0], int | np.integer):
        try:
            return _array(array("q", rows), np.int64), None
        except TypeError:
            raise ValueError("labels are either all numbers or all sequences of numbers") from None
    values, ends = array("q"), array("q", [0])
    for row in rows:
        if isinstance(row, int | np.integer):
            raise ValueError("labels are either all numbers or all sequences of numbers")
        values.extend(int(label) for label in row)
        ends.append(len(values))
    return _array(values, np.int64), _array(ends, np.int64)


def _gather(
    values: np.ndarray, ends: np.ndarray, rows: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The runs `rows` of `values`, where run i is values[ends[i] : ends[i + 1]], and their ends."""
    lengths = ends[rows + 1] - ends[rows]
    new_ends = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    gathered = np.empty(new_ends[-1], dtype=values.dtype)
    # In pieces: a position of eight bytes for every byte of a path is too much at once.
    for first in range(0, len(rows), _GATHERED):
        piece = slice(first, first + _GATHERED)
        begin, end = new_ends[first], new_ends[min(first + _GATHERED, len(rows))]
        shift = ends[rows[piece]] - new_ends[first : first + len(rows[piece])]
        gathered[begin:end] = values[np.repeat(shift, lengths[piece]) + np.arange(begin, end)]
    return gathered, new_ends
