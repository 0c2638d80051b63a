"""Rows in flat arrays against plain lists of arrays."""

import numpy as np
import pytest

from vidrec.data.ragged import Ragged

ROWS = [[1.5, 2.5], [], [3.5], [], [4.5, 5.5, 6.5]]
EMPTY = np.zeros((0, 2), np.float32)


def arrays():
    return [np.array(row, np.float32)[:, None] * [1, -1] for row in ROWS]


def same(packed, rows):
    assert len(packed) == len(rows)
    for found, expected in zip(packed, rows, strict=True):
        np.testing.assert_array_equal(found, expected)
        assert found.shape == expected.shape


def test_packed_rows_are_the_rows():
    packed = Ragged.pack([row.astype(np.float32) for row in arrays()], EMPTY)
    same(packed, arrays())
    assert packed.row_of_value.tolist() == [0, 0, 2, 4, 4, 4]
    assert (packed.values.dtype, packed.ends.dtype) == (np.float32, np.int64)
    assert packed.nbytes == 6 * 2 * 4 + 6 * 8
    nothing = Ragged.pack([], EMPTY)
    assert (len(nothing), nothing.values.shape, nothing.values.dtype) == (0, (0, 2), np.float32)


def test_values_are_grouped_by_their_row():
    values = np.concatenate(arrays())
    same(Ragged.group(values, np.array([0, 0, 2, 4, 4, 4]), 5), arrays())
    same(Ragged.group(values, np.array([0, 0, 2, 4, 4, 4]), 6), [*arrays(), EMPTY])


@pytest.mark.parametrize("at_once", [1, 2, 1000])
def test_rows_are_taken_in_any_order(monkeypatch, at_once):
    monkeypatch.setattr("vidrec.data.ragged._GATHERED", at_once)
    packed = Ragged.pack(arrays(), EMPTY)
    order = [4, 1, 0, 0, 3, 2]
    same(packed.take(np.array(order)), [arrays()[i] for i in order])
    same(packed.take(np.zeros(0, np.int64)), [])


def test_texts_come_back_even_those_that_are_not_utf8():
    texts = ["a.mp4", "", "ü/日本.mp4", b"\xff\xfe.mp4".decode("utf-8", "surrogateescape")]
    packed = Ragged.pack_text(iter(texts))
    assert [packed.text(i) for i in range(4)] == texts
    assert len(Ragged.pack_text([])) == 0
