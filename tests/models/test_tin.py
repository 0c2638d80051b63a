"""Temporal interlacing against a plain loop over frames and channels."""

import math

import pytest
import torch

from vidrec.models.backbones.tin import ResNetTIN
from vidrec.models.layers.temporal_interlace import TemporalInterlace, interpolation


def drawn(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def moved(series, offset):
    """A series of numbers, zero past the ends, at position t - offset, linear in between."""
    result = []
    for t in range(len(series)):
        below = math.floor(t - offset)
        share = (t - offset) - below
        at = [series[i] if 0 <= i < len(series) else 0.0 for i in (below, below + 1)]
        result.append((1 - share) * at[0] + share * at[1])
    return result


@pytest.mark.parametrize("offset", [0.0, 1.0, -2.0, 0.3, -1.7, 5.0])
def test_interpolation_samples_between_frames(offset):
    series = drawn(5)
    mixture = interpolation(torch.tensor([offset], dtype=torch.float64), 5)
    expected = torch.tensor(moved(series.tolist(), offset), dtype=torch.float64)
    torch.testing.assert_close(mixture[0] @ series, expected)


def test_interlace_moves_groups_both_ways():
    layer = TemporalInterlace(channels=16, num_segments=3, shift_div=2).double()
    x = drawn(6, 16, 2, 2)
    result = layer(x).view(2, 3, 16, 2, 2)
    clips = x.view(2, 3, 16, 2, 2)
    descriptor = clips[:, :, :8].mean(dim=(3, 4)).transpose(1, 2)
    offset, weight = layer.offset_net(descriptor), layer.weight_net(descriptor)
    assert offset.abs().min() > 0.01
    for clip in range(2):
        for channel in range(16):
            group = channel // 2  # two channels a group: offsets a, b, -a, -b
            for y, x_ in ((0, 0), (1, 1)):
                series = clips[clip, :, channel, y, x_].tolist()
                if channel < 8:
                    signed = offset[clip, group % 2] * (1 if group < 2 else -1)
                    factors = weight[clip, :, group % 2].tolist()
                    series = moved(series, signed.item())
                    series = [f * value for f, value in zip(factors, series, strict=True)]
                expected = torch.tensor(series, dtype=torch.float64)
                torch.testing.assert_close(result[clip, :, channel, y, x_], expected)


def test_offsets_learn():
    layer = TemporalInterlace(channels=16, num_segments=4).double()
    layer(drawn(4, 16, 2, 2)).square().sum().backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in layer.offset_net.parameters())
    assert all(parameter.grad.abs().sum() > 0 for parameter in layer.weight_net.parameters())


def test_offsets_start_at_half_a_frame_and_weights_at_one():
    layer = TemporalInterlace(channels=16, num_segments=4)
    silence = torch.zeros(1, 4, 4)
    torch.nn.init.zeros_(layer.offset_net.fc1.bias)
    assert layer.offset_net(silence)[0].tolist() == pytest.approx([0.5, 0.5], abs=1e-4)
    assert torch.equal(layer.weight_net(silence), torch.ones(1, 4, 2))


def test_clips_do_not_see_each_other_and_bfloat16_stays():
    net = ResNetTIN(18, num_segments=2, num_stages=2).eval()
    x = drawn(4, 3, 32, 32).float()
    torch.testing.assert_close(net(x), torch.cat([net(x[:2]), net(x[2:])]))
    with torch.autocast("cpu", torch.bfloat16):
        assert net.layer1[0].conv1.conv.net1(net.conv1(x)).dtype == torch.bfloat16
        net.train()(x).sum().backward()


def test_channels_that_make_no_groups_are_named():
    with pytest.raises(ValueError, match="shift_div=16"):
        TemporalInterlace(32, shift_div=16)
