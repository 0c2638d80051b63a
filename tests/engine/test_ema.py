"""The average of the weights, whose decay grows to the one asked for."""

import math

import pytest
import torch
from torch import nn

from vidrec.engine.ema import EMA


def average_after(num_steps, decay):
    """The average of a weight that is 0 at first and 1 from the first step on."""
    net = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(net.weight)
    ema = EMA(net, decay)
    nn.init.ones_(net.weight)
    for step in range(num_steps):
        ema.update(step)
    return ema.net.weight.item()


@pytest.mark.parametrize("num_steps", [1, 2, 5, 20])
def test_a_short_run_hardly_remembers_its_initial_weights(num_steps):
    """What is left of them after n steps is the product of (1 + t) / (10 + t): n! 9! / (n + 9)!."""
    left = 1 / math.comb(num_steps + 9, 9)
    assert average_after(num_steps, 0.9999) == pytest.approx(1 - left, rel=1e-6)


def test_the_decay_does_not_exceed_the_one_asked_for():
    growing = [(1 + t) / (10 + t) for t in range(8)]  # 8 / 17 is the last below 0.5
    left = math.prod(growing) * 0.5**12
    assert average_after(20, 0.5) == pytest.approx(1 - left, rel=1e-6)


def test_buffers_that_count_are_copied():
    net = nn.BatchNorm1d(2)
    ema = EMA(net, 0.9)
    net(torch.ones(4, 2))
    ema.update(0)
    assert ema.net.num_batches_tracked == 1
    assert ema.net.running_mean.tolist() == pytest.approx([0.09, 0.09])
