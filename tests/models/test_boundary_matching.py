"""The fast layer against the plain formulation: a dense mask and a convolution in three dimensions.

tests/golden/localization.json.gz was computed with MMAction2 1.2.0.
"""

import numpy as np
import pytest
import torch
from torch import nn

from tests.paths import read_golden
from vidrec.models.layers.boundary_matching import BoundaryMatching, sample_weights, valid_cells

GOLDEN = read_golden("localization.json.gz")


def dense_mask(temporal_dim, num_samples, num_samples_per_bin, boundary_ratio):
    """(T, num_samples, D, T): what every proposal samples, zeros for those beyond the end."""
    cell, sample, position, weight = sample_weights(
        temporal_dim, num_samples, num_samples_per_bin, boundary_ratio
    )
    duration, start = valid_cells(temporal_dim)
    mask = np.zeros((temporal_dim, num_samples, temporal_dim, temporal_dim), np.float32)
    mask[position, sample, duration[cell], start[cell]] = weight
    return mask


def test_weights_are_the_published_mask():
    mask = dense_mask(10, 4, 3, 0.5)
    expected = np.array(GOLDEN["small_mask"], np.float32).reshape(mask.shape)
    np.testing.assert_array_equal(mask, expected)


def test_weights_of_the_published_size():
    weight = sample_weights(100, 32, 3, 0.5)[3].astype(np.float64)
    assert len(weight) == GOLDEN["sample_mask"]["nonzero"]
    assert weight.sum() == pytest.approx(GOLDEN["sample_mask"]["sum"], rel=1e-12)
    assert (weight**2).sum() == pytest.approx(GOLDEN["sample_mask"]["sumsq"], rel=1e-12)


def test_layer_and_its_gradients_are_those_of_the_plain_formulation():
    torch.manual_seed(0)
    size, samples = 12, 5
    layer = BoundaryMatching(size, samples, 3, 0.5).double()
    convolution = nn.Conv3d(6, 7, (samples, 1, 1)).double()
    mask = torch.from_numpy(dense_mask(size, samples, 3, 0.5)).double()
    features = torch.randn(3, 6, size, dtype=torch.float64, requires_grad=True)
    again = features.detach().clone().requires_grad_()
    sampled = torch.einsum("nct,tsde->ncsde", again, mask)
    plain = convolution(sampled).squeeze(2)
    plain.square().sum().backward()
    expected = [again.grad, convolution.weight.grad.clone(), convolution.bias.grad.clone()]
    convolution.zero_grad()
    cells = layer(features, convolution.weight, convolution.bias)
    full = layer.spread(cells, convolution.bias)
    torch.testing.assert_close(full, plain)
    full.square().sum().backward()
    got = [features.grad, convolution.weight.grad, convolution.bias.grad]
    for ours, theirs in zip(got, expected, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_layer_keeps_no_large_constants():
    layer = BoundaryMatching(100, 32, 3, 0.5)
    assert not layer.state_dict()
    assert sum(b.numel() * b.element_size() for b in layer.buffers()) < 16 * 2**20
