"""The rates of stochastic depth over the blocks of a network."""

import pytest

from vidrec.models.layers.drop_path import drop_path_rates


def test_probabilities_grow_linearly_up_to_the_last_block():
    assert drop_path_rates(0.2, 5) == pytest.approx([0, 0.05, 0.1, 0.15, 0.2])
    assert drop_path_rates(0.2, 1) == [0]


def test_a_probability_of_one_is_refused():
    with pytest.raises(ValueError, match=r"rate of 1.0 is not in"):
        drop_path_rates(1.0, 3)
