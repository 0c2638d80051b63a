"""Rows of different lengths in one flat array."""

from array import array
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

_GATHERED = 1 << 16  # rows that `take` moves at once


class Ragged:
    """Row i is values[ends[i] : ends[i + 1]].

    Two arrays whatever the number of rows, which forked workers share. A million Python objects
    would be copied into every worker: reading one writes its reference count, and with it the
    memory page.

    values: (L, ...); ends: (n + 1,) int64, ascending from 0 to L.

    >>> rows = Ragged(np.array([10, 11, 20]), np.array([0, 2, 2, 3]))
    >>> [rows[i].tolist() for i in range(len(rows))]
    [[10, 11], [], [20]]
    >>> rows.row_of_value.tolist()
    [0, 0, 2]
    """

    def __init__(self, values: np.ndarray, ends: np.ndarray) -> None:
        self.values = values
        self.ends = ends

    @classmethod
    def pack(cls, rows: Sequence[np.ndarray], empty: np.ndarray) -> "Ragged":
        """Rows (l, ...) one after the other.

        empty: (0, ...), with the type and the trailing axes that the values have without any row.
        """
        ends = np.cumsum([0, *map(len, rows)], dtype=np.int64)
        return cls(np.concatenate([empty, *rows]), ends)

    @classmethod
    def group(cls, values: np.ndarray, row_of_value: np.ndarray, num_rows: int) -> "Ragged":
        """Values (L, ...) whose rows (L,) ascend; rows without values are empty."""
        counts = np.bincount(row_of_value, minlength=num_rows)
        return cls(values, np.concatenate([[0], np.cumsum(counts)]).astype(np.int64))

    @classmethod
    def pack_text(cls, texts: Iterable[str]) -> "Ragged":
        """Texts as bytes of UTF-8, which `text` gives back; read one by one, none is kept."""
        blob, ends = bytearray(), array("q", [0])
        for text in texts:
            blob += text.encode("utf-8", "surrogateescape")
            ends.append(len(blob))
        return cls(as_array(blob, np.uint8), as_array(ends, np.int64))

    def text(self, row: int) -> str:
        """The text of a row; see `pack_text`."""
        return self[row].tobytes().decode("utf-8", "surrogateescape")

    def __len__(self) -> int:
        return len(self.ends) - 1

    def __getitem__(self, row: int) -> np.ndarray:
        """The values of `row`, counted from 0."""
        return self.values[self.ends[row] : self.ends[row + 1]]

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self[row] for row in range(len(self)))

    @property
    def row_of_value(self) -> np.ndarray:
        """The row of each value, (L,) int64."""
        return np.repeat(np.arange(len(self)), np.diff(self.ends))

    @property
    def nbytes(self) -> int:
        return self.values.nbytes + self.ends.nbytes

    def take(self, rows: np.ndarray) -> "Ragged":
        """The rows `rows`, int64 in any order, repeats allowed."""
        lengths = self.ends[rows + 1] - self.ends[rows]
        ends = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        values = np.empty((ends[-1], *self.values.shape[1:]), dtype=self.values.dtype)
        # In pieces: a position of eight bytes for every byte of a path is too much at once.
        for first in range(0, len(rows), _GATHERED):
            piece = slice(first, first + _GATHERED)
            begin, end = ends[first], ends[min(first + _GATHERED, len(rows))]
            shift = self.ends[rows[piece]] - ends[first : first + len(rows[piece])]
            values[begin:end] = self.values[
                np.repeat(shift, lengths[piece]) + np.arange(begin, end)
            ]
        return Ragged(values, ends)


def as_array(buffer: bytearray | array, dtype: type[np.generic]) -> np.ndarray:
    """The numbers of a buffer, not copied."""
    return np.frombuffer(buffer, dtype) if len(buffer) else np.empty(0, dtype)
