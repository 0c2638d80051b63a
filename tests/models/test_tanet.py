"""The temporal adaptive module against convolutions made one channel at a time."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from vidrec.models.backbones.resnet import ResNet
from vidrec.models.backbones.tanet import TANet
from vidrec.models.layers.temporal_adaptive import TAM


def drawn(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("kernel_size", [1, 3, 5])
def test_every_channel_is_convolved_with_a_kernel_of_its_own(kernel_size):
    tam = TAM(8, num_segments=4, kernel_size=kernel_size, init_std=1.0).double().eval()
    x = drawn(8, 8, 2, 3)
    result = tam(x).view(2, 4, 8, 2, 3)
    for clip, frames in enumerate(x.view(2, 4, 8, 2, 3)):
        pooled = frames.mean(dim=(2, 3)).T  # (C, T)
        kernels, weights = tam.G(pooled), tam.L(pooled[None])[0]
        for channel in range(8):
            series = frames[:, channel] * weights[channel][:, None, None]
            series = series.flatten(1).T[:, None]  # (pixels, 1, T)
            expected = F.conv1d(series, kernels[channel].view(1, 1, -1), padding="same")
            expected = expected[:, 0].T.view(4, 2, 3)
            torch.testing.assert_close(result[clip, :, channel], expected)


def test_kernels_sum_to_one_and_differ_between_clips():
    tam = TAM(4, num_segments=4, init_std=1.0).double().eval()
    kernels = tam.G(drawn(2, 4))
    torch.testing.assert_close(kernels.sum(dim=1), torch.ones(2, dtype=torch.float64))
    assert not torch.allclose(kernels[0], kernels[1])


@pytest.mark.parametrize("depth", [18, 50])
def test_without_the_modules_it_is_a_resnet(depth):
    net, plain = TANet(depth, num_segments=2).eval(), ResNet(depth).eval()
    plain.load_state_dict(
        {n.replace(".block.", "."): t for n, t in net.state_dict().items() if ".tam." not in n}
    )
    x = drawn(2, 3, 32, 32).float()
    assert not torch.allclose(net(x), plain(x))
    for stage in net.stages():
        for block in stage:
            block.tam = nn.Identity()
    torch.testing.assert_close(net(x), plain(x))


def test_maps_stay_in_bfloat16():
    tam = TAM(8, num_segments=2)
    with torch.autocast("cpu", torch.bfloat16):
        assert tam(drawn(4, 8, 2, 2).bfloat16()).dtype == torch.bfloat16


def test_even_kernels_are_named():
    with pytest.raises(ValueError, match="kernel_size=4"):
        TAM(8, kernel_size=4)
