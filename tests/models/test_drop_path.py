"""Stochastic depth: whole samples, the right share of them, the mean unchanged."""

import pytest
import torch

from vidrec.models.layers.drop_path import DropPath, drop_path_rates


def test_branches_are_left_out_for_whole_samples_and_the_mean_stays():
    torch.manual_seed(0)
    samples = DropPath(0.3)(torch.ones(20000, 3, 2)).flatten(1)
    assert torch.equal(samples.amin(1), samples.amax(1))
    assert samples.unique().tolist() == pytest.approx([0, 1 / 0.7])
    assert (samples[:, 0] == 0).float().mean().item() == pytest.approx(0.3, abs=0.01)


def test_evaluation_leaves_nothing_out():
    x = torch.randn(4, 3)
    assert DropPath(0.9).eval()(x) is x


def test_probabilities_grow_to_the_last_block():
    assert drop_path_rates(0.2, 5) == pytest.approx([0, 0.05, 0.1, 0.15, 0.2])
    assert drop_path_rates(0.2, 1) == [0]


def test_a_probability_of_one_is_refused():
    with pytest.raises(ValueError, match=r"drop_prob=1.0"):
        DropPath(1.0)
