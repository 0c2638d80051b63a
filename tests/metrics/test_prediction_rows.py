import numpy as np
import pytest
import torch

from vidrec.metrics.prediction_rows import PredictionRows


def collector():
    return PredictionRows(index=np.zeros(0, np.int64), boxes=np.zeros((0, 4), np.float32))


def test_batches_are_joined_in_their_order_until_reset():
    collected = collector()
    collected.keep(index=torch.tensor([7, 3]), boxes=torch.arange(8.0).reshape(2, 4))
    collected.keep(index=torch.tensor([5]), boxes=torch.ones(1, 4, requires_grad=True))
    rows = collected.rows
    assert rows["index"].tolist() == [7, 3, 5]
    assert rows["boxes"].tolist() == [[0, 1, 2, 3], [4, 5, 6, 7], [1, 1, 1, 1]]
    collected.reset()
    assert collected.rows["index"].shape == (0,)


def test_without_batches_columns_have_the_type_and_shape_of_others():
    empty, full = collector(), collector()
    full.keep(index=torch.tensor([1]), boxes=torch.ones(1, 4))
    for name, values in full.rows.items():
        assert empty.rows[name].dtype == values.dtype
        assert empty.rows[name].shape == (0, *values.shape[1:])


def test_a_batch_has_every_column_and_no_other():
    for columns in ({"index": torch.ones(1)}, {"index": torch.ones(1), "scores": torch.ones(1)}):
        with pytest.raises(AssertionError, match="boxes"):
            collector().keep(**columns)
